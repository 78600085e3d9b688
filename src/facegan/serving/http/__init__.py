"""The HTTP server: app, routes, refusals, OpenAPI, and gunicorn with its worker."""
