"""Written by bench_images.py at 1795565569.4183927."""
