"""What tests type in place of what documents say, and what runs elsewhere: the only two tables."""

import re

from documents.blocks import CLOUD, Example

# Minutes become seconds, and places of other machines become folders: pattern → replacement.
SHORTER = {
    r"--images \d+": "--images 128",
    r"^((?:facegan|torchrun .*-m facegan\.cli) train (?!--metric).*--resume\b.*)":
        r"\1 --total-kimg 0.1",
    r"^((?:facegan|torchrun .*-m facegan\.cli) train (?!--metric)(?!.*--resume).*)":
        r"\1 --total-kimg 0.064",
    r'"total_kimg": "1"': '"total_kimg": "0.064"',
    r"--evaluate-kimg \d+": "--evaluate-kimg 0.064 --evaluate-samples 128",
    r"^(facegan evaluate .*)": r"\1 --samples 128",
    r" --watch 30": "",
    r"--preset paper64": "--preset tiny",
    r"--micro-batch 32": "--micro-batch 8",
    r"--resolution 256": "--resolution 32",
    r"/opt/ml/processing/": "processing/",
    r"/tmp/ml\b": "ml",
    r"/mnt/faces": "faces",
    r"^(tensorboard .*)": r"\1 --inspect",  # prints what it would show, and ends
}  # fmt: skip
CLOUD_TEST = "tests/documents/test_cloud_documents.py"
# What cannot run here: how a line begins → what runs it, and why not here.
ELSEWHERE = {
    r"make demo\b": (".ci/run", "it makes an environment"),
    r"make test$": (".ci/run", "it makes an environment"),
    r"make setup$": ("Makefile", "it makes an environment; `make test` begins with it"),
    r"python3 -m venv": (".ci/release.py", "it makes an environment"),
    r"\. \.venv/bin/activate": ("Makefile", "the environment is the one that runs the tests"),
    r"make build\b": (".ci/containers", "needs Docker"),
    r"make local-test\b": (".ci/containers", "needs Docker"),
    r"make test-images": (".ci/containers", "needs Docker"),
    r"docker run\b": ("tests/container/test_serving_contract.py", "needs Docker"),
    r"local_test/": ("tests/local_test/test_scripts.py", "needs Docker"),
    r"facegan studio\b": ("tests/studio/test_studio_command.py", "needs Gradio"),
    r"pip install\b": (".ci/release.py", "needs a package index"),
    r"curl .*execute-api": ("tests/infra/test_door_handler.py", "needs API Gateway"),
    r".*--(extractor inception|inception-weights)\b":
        ("tests/metrics/test_extractor.py", "fetches 96 MB"),
}  # fmt: skip


def place_of(command: str) -> str:
    """Return the file of the repository that runs a command in place of these tests, or ""."""
    if CLOUD.search(command):
        return CLOUD_TEST
    return next((place for start, (place, _) in ELSEWHERE.items() if re.match(start, command)), "")


def run_here(example: Example) -> Example:
    """Return an example without the commands that run elsewhere."""
    return Example(example.source, tuple(it for it in example.commands if not place_of(it)))


def shortened(text: str) -> str:
    """Return what is typed in place of a text."""
    for pattern, replacement in SHORTER.items():
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text
