"""A package that is not installed is said with the extra that brings it."""

import re
import tomllib
from pathlib import Path

import pytest

from facegan.cli.__main__ import NOT_INSTALLED, run_safely
from facegan.cli.missing_packages import EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
WHEELS = {"botocore": "boto3"}  # where the names differ


def without(package: str) -> None:
    raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def test_it_is_a_sentence_with_the_fix_and_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_safely(lambda **_: without("torch.nn"))
    message = capsys.readouterr().err
    assert code == NOT_INSTALLED
    assert "The package torch is not installed." in message
    assert "pip install 'facegan[training]'" in message


def test_a_module_that_no_extra_brings_is_a_fault_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError):
        run_safely(lambda **_: without("facegan.nowhere"))


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_an_extra_brings_what_it_is_said_to(package: str, extra: str) -> None:
    wanted = PROJECT["optional-dependencies"][extra]
    names = {re.split(r"[<>=!~;\[ ]", line)[0].replace("-", "_") for line in wanted}
    assert WHEELS.get(package, package).replace("-", "_") in names
