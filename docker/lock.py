"""Resolves the images' packages anew and writes them with the hashes of their files, by uv.

Versions are those of constraints.txt, which the tests run with. The locks for processors name
torch's CPU build: it is on PyTorch's own index (--torch-index) or in a folder (--torch-wheels).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {  # name: extras of pyproject.toml
    "training.cuda": ("training", "container", "streaming"),
    "training.cpu": ("training", "container", "streaming"),
    "serving-gpu.cuda": ("serving-gpu",),
    "serving-gpu.cpu": ("serving-gpu",),
    "serving": ("serving",),
}
# The images' Python and system; hashes are of all files of a version, whatever system they are for.
COMPILE = ("pip", "compile", "--quiet", "--generate-hashes", "--python-version=3.11",
           "--python-platform=x86_64-manylinux_2_28", "--constraints=constraints.txt",
           "--excludes=docker/requirements/excluded.in",
           "--custom-compile-command=make lock")  # fmt: skip


def compile_lock(name: str, *words: str) -> None:
    """Write one lock file."""
    file = f"docker/requirements/{name}.lock"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([str(uv), *COMPILE, *words, f"--output-file={file}"], cwd=ROOT, check=True)
    print(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-index", default="", help="PyTorch's CPU index, or a copy of it")
    default = os.environ.get("PIP_FIND_LINKS", "")
    parser.add_argument("--torch-wheels", default=default, help="a folder with torch's CPU wheel")
    asked = parser.parse_args()
    cpu = [f"--index={asked.torch_index}"] if asked.torch_index else []
    cpu += [f"--find-links={asked.torch_wheels}"] if asked.torch_wheels else []
    if not cpu:
        sys.exit("Error: where is torch's CPU build? Name its index: make lock TORCH_INDEX=…")
    compile_lock("build", "docker/requirements/build.in")
    for name, extras in LOCKS.items():
        more = cpu if name.endswith(".cpu") else []
        compile_lock(name, "pyproject.toml", *(f"--extra={extra}" for extra in extras), *more)
        if more and "+cpu" not in (ROOT / f"docker/requirements/{name}.lock").read_text():
            sys.exit(f"Error: {name}.lock names no CPU build of torch. Look at TORCH_INDEX.")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failed:
        sys.exit(f"Error: uv could not resolve it (exit code {failed.returncode}).")
