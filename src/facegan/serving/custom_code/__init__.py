"""An owner's inference script (code/inference.py): found, loaded, and called in place of ours."""
