"""A load request can never name a folder outside the models' folder."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facegan.errors import RequestError, UnknownModel
from facegan.serving.model.paths import check_name, model_folder

PARTS = st.sampled_from(["a", "model", "..", ".", "", "models", "secret", "\0", "~", "%2e%2e", "…"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, with another beside it."""
    top = tmp_path_factory.mktemp("ml")
    (top / "models/a/model").mkdir(parents=True)
    (top / "secret/model").mkdir(parents=True)
    (top / "models-of-others/model").mkdir(parents=True)
    return top / "models"


def test_model_folder_is_accepted(base: Path) -> None:
    """The URL has SageMaker's form."""
    assert model_folder(str(base / "a/model"), base) == (base / "a/model").resolve()


@pytest.mark.parametrize("url", [
    "", "a/model", "/", "/etc", "{base}", "{base}/", "{base}/.", "{base}/../secret/model",
    "{base}/../models/a/model", "{base}/a/../a/model", "{base}-of-others/model", "{base}/a\0/model",
    "{base}/a/model\n", "file://{base}/a/model", "{base}/" + "x" * 5000, "~/models/a",
])  # fmt: skip
def test_other_paths_are_400(base: Path, url: str) -> None:
    """Elsewhere, relative, with "..", with NUL, or the folder of all models itself."""
    with pytest.raises(RequestError):
        model_folder(url.format(base=base), base)


@pytest.mark.parametrize("url", [None, 1, ["/opt"], {"a": 1}, True])
def test_url_that_is_not_text_is_400(base: Path, url: object) -> None:
    """The field may hold any JSON."""
    with pytest.raises(RequestError):
        model_folder(url, base)


def test_a_missing_folder_is_unknown(base: Path) -> None:
    """404, as is a file."""
    (base / "file").touch()
    for url in (base / "b/model", base / "file"):
        with pytest.raises(UnknownModel):
            model_folder(str(url), base)


def test_link_out_of_the_folder_is_400(base: Path, tmp_path: Path) -> None:
    """The link is the folder, one above it, or a file in it that would be read."""
    secret = base.parent / "secret"
    links = {"link": secret / "model", "above": secret}
    for name, target in links.items():
        (base / name).symlink_to(target)
    for url in ("link", "above/model"):
        with pytest.raises(RequestError, match="link"):
            model_folder(str(base / url), base)
    for name in ("generator.safetensors", "model_card.json", "generator.onnx", "code"):
        folder = base / f"with-{name}"
        folder.mkdir()
        (folder / name).symlink_to(secret)
        with pytest.raises(RequestError, match="link"):
            model_folder(str(folder), base)
    folder = base / "deep"
    (folder / "code").mkdir(parents=True)
    (folder / "code/inference.py").symlink_to("/etc/passwd")
    with pytest.raises(RequestError, match="link"):
        model_folder(str(folder), base)


def test_link_loop_is_400(base: Path) -> None:
    """They do not hang the server."""
    (base / "one").symlink_to(base / "two")
    (base / "two").symlink_to(base / "one")
    with pytest.raises(RequestError):
        model_folder(str(base / "one/model"), base)


def test_the_folder_of_models_may_be_a_link_itself(base: Path, tmp_path: Path) -> None:
    """The operator chose it."""
    (tmp_path / "models").symlink_to(base)
    assert model_folder(str(tmp_path / "models/a/model"), tmp_path / "models").is_dir()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PARTS | st.text(max_size=6), max_size=8), is_below=st.booleans())
def test_no_path_leads_out(base: Path, parts: list[str], is_below: bool) -> None:
    """Every accepted path lies below the folder of models."""
    url = "/".join([str(base) if is_below else "", *parts])
    try:
        found = model_folder(url, base)
    except (RequestError, UnknownModel):
        return
    assert base.resolve() in found.parents


@pytest.mark.parametrize("name", ["a", "../../etc", "a/b", "\0", "é", "x" * 2048, " "])
def test_a_name_is_any_text(name: str) -> None:
    """It is never a path."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 2049, None, 1, "\ud800"])
def test_name_that_is_not_text_is_refused(name: object) -> None:
    """Empty, too long, half a character."""
    with pytest.raises(RequestError):
        check_name(name)
