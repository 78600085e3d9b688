"""facegan.toml: flags over the file over nothing; what it does not know is refused by name."""

from pathlib import Path

import pytest

from facegan.cloud.settings import EXAMPLE, Settings
from facegan.errors import CloudError, ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facegan.toml"


def test_the_example_is_read(file: Path) -> None:
    file.write_text(EXAMPLE)
    settings = Settings.read(file)
    assert (settings.region, settings.bucket) == ("eu-west-1", "my-bucket")
    assert settings.all_tags == {"facegan:project": "faces"}


def test_flags_count_before_the_file(file: Path) -> None:
    file.write_text(EXAMPLE)
    assert Settings.read(file).but(region="us-east-1", role=None).region == "us-east-1"


def test_without_a_file_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.read() == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cloud]\nregoin = 'x'", "Did you mean region"),
        ("[cloud]\nregion = 5", "region is 5.*a text"),
        ("[cloud]\nsubnets = 'x'", "subnets is 'x'.*a list"),
        ("[cloud.price]\n'ml.g5.xlarge' = 'much'", "price is .*a table of prices"),
        ("[cloud", "cannot be read"),
    ],
)
def test_what_it_does_not_know_is_refused(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=told):
        Settings.read(file)


def test_a_named_file_that_is_missing_is_said(file: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Settings.read(file)


def test_a_setting_that_is_needed_is_asked_for_by_flag_and_file() -> None:
    with pytest.raises(CloudError, match=r"No bucket is known.*--bucket.*\[cloud\] bucket"):
        Settings().need("bucket")
