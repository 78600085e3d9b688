"""Models in memory: loading, serving, a registry of several, and the memory and cores there are."""
