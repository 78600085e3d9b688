"""Batches the requests of many callers, and runs what must not run twice at a time."""
