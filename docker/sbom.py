"""What is in the images, as CycloneDX, and what is known against it; run by `make sbom`.

Both tools read an environment from outside, so the image's own is listed with Python alone and
handed to them: cyclonedx-bom writes the bill of materials, pip-audit asks PyPI for vulnerabilities.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from build import IMAGES, VARIANTS, tags

from facegan.docker_engine import Docker
from facegan.errors import FaceGANError

LIST = (
    "from importlib.metadata import distributions as d;"
    "print('\\n'.join(sorted({f'{x.name}=={x.version}' for x in d()})))"
)


def run(*words: str) -> int:
    """Run one of the tools; its exit code, or a sentence where it is missing."""
    try:
        return subprocess.run([sys.executable, "-m", *words]).returncode
    except OSError as error:
        sys.exit(f"Error: {words[0]}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, default="cuda")
    parser.add_argument("--out", type=Path, default=Path("runs/sbom"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    docker = Docker(os.environ)
    docker.check()
    found = 0
    for image in IMAGES:
        name = tags(image, asked.variant)[0]
        packages = asked.out / f"{image}-{asked.variant}.txt"
        options = ("--rm", "--network=none", "--entrypoint=python")
        packages.write_text(docker.output("run", *options, name, "-c", LIST, doing=name) + "\n")
        bill = packages.with_suffix(".cdx.json")
        if run("cyclonedx_py", "requirements", "--output-file", str(bill), str(packages)):
            sys.exit("Error: no bill of materials. pip install cyclonedx-bom pip-audit")
        print(f"{name}: {bill}")
        audit = ("--no-deps", "--disable-pip", "--progress-spinner=off", "--requirement")
        report = packages.with_suffix(".vulnerabilities.json")
        found |= run("pip_audit", *audit, str(packages), "--format=json", f"--output={report}")
    if found:
        sys.exit(f"Error: vulnerabilities were found, or PyPI was not reached: {asked.out}/*.json")


if __name__ == "__main__":
    try:
        main()
    except FaceGANError as error:
        sys.exit(f"Error: {error}")
