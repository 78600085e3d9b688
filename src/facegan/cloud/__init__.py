"""Verbs on AWS, through boto3."""
