"""The content types that cross the wire, spelled once."""

JSON = "application/json"
NPY = "application/x-npy"
CSV = "text/csv"
PNG = "image/png"
