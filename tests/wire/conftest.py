"""Hypothesis as these tests use it: a busy machine is slow, which is no failure."""

from hypothesis import settings

settings.register_profile("facegan", deadline=None, max_examples=60)
settings.load_profile("facegan")
