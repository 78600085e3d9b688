"""Logs one line per request; exports metrics to Prometheus and, if enabled, CloudWatch."""
