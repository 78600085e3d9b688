"""Faces over HTTP: the app, the four functions behind it, and its limits.

Nothing is imported here: gunicorn's master reads ``gunicorn_settings`` without loading torch, which
must not have started its threads when a worker is forked.
"""
