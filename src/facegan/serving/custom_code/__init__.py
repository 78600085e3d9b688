"""A model's own inference script (code/inference.py): found, loaded, and called."""
