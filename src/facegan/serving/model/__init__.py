"""Models in memory: loading, serving, a registry of many, and the memory and cores they may use."""
