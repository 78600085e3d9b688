"""Calls as data: in their order, taken back when a later one fails, explained when refused."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from botocore.stub import Stubber

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call, carry_out
from facegan.errors import CloudError


def bucket(name: str, undo: Call | None = None) -> Call:
    return Call("s3", "CreateBucket", {"Bucket": name}, name, undo)


def gone(name: str) -> Call:
    return Call("s3", "DeleteBucket", {"Bucket": name}, name)


class Service:
    """Remembers what was asked of it, and refuses what it is told to."""

    def __init__(self, refused: dict[str, BaseException]) -> None:
        self.asked: list[str] = []
        self.refused = refused

    def __call__(self, call: Call) -> Any:
        what = f"{call.action} {call.on}"
        self.asked.append(what)
        if what in self.refused:
            raise self.refused[what]
        return what


def test_calls_are_made_in_their_order() -> None:
    service = Service({})
    calls = [bucket("a", gone("a")), bucket("b", gone("b"))]
    assert carry_out(service, calls) == ["CreateBucket a", "CreateBucket b"] == service.asked


@pytest.mark.parametrize("why", [CloudError("no."), KeyboardInterrupt()])
def test_what_was_made_goes_again_in_reverse(why: BaseException) -> None:
    service = Service({"CreateBucket c": why})
    with pytest.raises(type(why)):
        carry_out(service, [bucket(name, gone(name)) for name in "abc"])
    assert service.asked[3:] == ["DeleteBucket b", "DeleteBucket a"]


def test_what_cannot_be_taken_back_is_named_and_the_rest_still_goes() -> None:
    refused = {"CreateBucket c": CloudError("no."), "DeleteBucket b": CloudError("neither.")}
    service = Service(refused)
    with pytest.raises(CloudError, match=r"no\..*Left behind.*b \(s3:DeleteBucket\)"):
        carry_out(service, [bucket(name, gone(name)) for name in "abc"])
    assert service.asked[-1] == "DeleteBucket a"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("AccessDeniedException", "lack the permission ecr:CreateRepository"),
        ("ExpiredTokenException", "Renew your credentials"),
        ("ThrottlingException", "wait a minute"),
        ("Strange", "Strange"),
    ],
)
def test_a_refusal_names_action_resource_and_next_step(
    credentials: pytest.MonkeyPatch, code: str, told: str
) -> None:
    aws = Aws()
    with Stubber(aws.client("ecr")) as stub:
        stub.add_client_error("create_repository", code, "why.")
        with pytest.raises(CloudError) as refused:
            aws.ask(Call("ecr", "CreateRepository", {"repositoryName": "faces"}, "faces"))
    assert refused.value.code == code
    assert f"ecr:CreateRepository on faces failed: {code}: why." in str(refused.value)
    assert told in str(refused.value)


def test_no_credentials_are_said_with_the_next_step(no_aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match=r"Unable to locate credentials\. Run `aws configure`"):
        Aws("eu-west-1").ask(Call("sts", "GetCallerIdentity", {}, "you"))


def test_what_is_no_answer_of_awss_is_said(credentials: pytest.MonkeyPatch) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Sign in</html")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        credentials.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(CloudError, match=r"sts:GetCallerIdentity on you.*a proxy\?"):
            Aws().ask(Call("sts", "GetCallerIdentity", {}, "you"))
        server.shutdown()


def test_an_unknown_profile_is_said(no_aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match=r"profile.*list-profiles"):
        Aws(profile="nobody")


def test_pages_are_read_one_after_another(aws: Aws) -> None:
    aws.client("s3").create_bucket(
        Bucket="pictures", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    for number in range(3):
        aws.client("s3").put_object(Bucket="pictures", Key=str(number), Body=b"")
    listing = Call("s3", "ListObjectsV2", {"Bucket": "pictures", "MaxKeys": 2}, "pictures")
    assert [it["Key"] for it in aws.pages(listing, "Contents")] == ["0", "1", "2"]
