"""Credentials: who is asked for them where the user has none."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from facegan.cloud.aws import Aws
from facegan.cloud.aws_session import NITRO, XEN, is_ec2, open_session
from facegan.cloud.calls import Call
from facegan.errors import CloudError

WHO = Call("sts", "GetCallerIdentity", {}, "the account")
connects: list[object] = []  # an audit hook cannot be taken away again


def note(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect":
        connects.append(args[1])


@pytest.fixture(scope="module", autouse=True)
def hook() -> None:
    sys.addaudithook(note)


@pytest.fixture
def asked(no_aws: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """The addresses that were connected to, by someone without any credentials."""
    no_aws.delenv("AWS_EC2_METADATA_DISABLED")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        no_aws.delenv(name, raising=False)
    connects.clear()
    yield connects


def test_without_credentials_nobody_is_asked(
    asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegan.cloud.aws_session.is_ec2", lambda: False)
    with pytest.raises(CloudError, match="Unable to locate credentials"):
        Aws("eu-west-1").ask(WHO)
    assert asked == []


def test_an_address_that_the_user_names_is_asked(
    asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the machine is not known to be one of EC2's."""
    monkeypatch.setattr("facegan.cloud.aws_session.is_ec2", lambda: False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{address[1]}")
    assert open_session("eu-west-1", None).get_credentials() is None
    assert address in asked


def test_on_ec2_botocore_may_ask(asked: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facegan.cloud.aws_session.is_ec2", lambda: True)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # the user's word counts there too
    session = open_session("eu-west-1", None)
    assert session._session.get_config_variable("metadata_service_num_attempts") > 0
    assert session.get_credentials() is None and asked == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (NITRO, "i-0123456789abcdef0\n", True),
        (XEN, "ec2e1916-9099-7caf-fd21-012345abcdef\n", True),
        (XEN, "EC2E1916-9099-7CAF-FD21-012345ABCDEF\n", True),
        (NITRO, "", False),
        (NITRO, "Not Specified\n", False),
        (XEN, "00000000-0000-0000-0000-000000000000\n", False),
    ],
)
def test_ec2_is_known_by_what_linux_says(
    file: str, text: str, expected: bool, tmp_path: Path
) -> None:
    assert not is_ec2(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert is_ec2(tmp_path) is expected
