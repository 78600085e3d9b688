"""A transport that reaches a SageMaker endpoint, or a local server, through boto3's own call."""

import ipaddress
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from facegan.client import Reply, StreamedReply
from facegan.cloud.aws import CHECK, CLOCK, RENEW
from facegan.cloud.aws_session import open_session
from facegan.errors import CloudError, InvocationError, first_line

LOCAL = "For a server on this machine, give its URL, as http://localhost:8080."

# Our own server checks no signature, but boto3 sends nothing without one. These go to loopback
# addresses only, where a newcomer has no credentials and real ones need not be shown.
LOCAL_IDENTITY = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}

HINTS = {  # error code of AWS → the next step
    "ValidationError": "List the endpoints of the region: `aws sagemaker list-endpoints`.",
    "AccessDeniedException": "Your role needs the permission sagemaker:{action}.",
    "ExpiredTokenException": RENEW,
    "UnrecognizedClientException": CHECK,
    "InvalidSignatureException": CLOCK,
    "ThrottlingException": "Wait a few seconds and ask again.",
    "ServiceUnavailable": "Wait a few seconds and ask again.",
}


BOTO_HINTS = {  # exception of botocore → the next step
    "NoCredentialsError": f"Run `aws configure`, or name a profile. {LOCAL}",
    "PartialCredentialsError": f"Run `aws configure`, or name a profile. {LOCAL}",
    "NoRegionError": f"Name a region, as eu-west-1, or run `aws configure`. {LOCAL}",
    "ProfileNotFound": "`aws configure list-profiles` lists those there are.",
    "EndpointConnectionError": "Is it up, and the address right? `facegan serve MODEL` starts one.",
    "ConnectionClosedError": "The server stopped while it answered; look at its log.",
    "ConnectTimeoutError": "Check the address and the network.",
    "ReadTimeoutError": "Ask for fewer faces at once.",
    "ValueError": "Give the address as a URL. " + LOCAL,
}


class SageMakerTransport:
    """Sends through ``sagemaker-runtime:InvokeEndpoint``.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html

    Args:
        endpoint_name: The endpoint's name; a server of ours answers to any.
        endpoint_url: Another address than AWS's, as ``http://localhost:8080``.
        region: AWS region; boto3's usual sources where None.
        profile: AWS profile; boto3's usual sources where None.
        target_model: Of an endpoint of many models the archive's name below its prefix.
        target_variant: Of an endpoint of several variants the one to ask; None: by their weights.

    Raises:
        InvocationError: no region, an unknown profile, a URL that is none.
        CloudError: boto3 is not installed.
    """

    def __init__(
        self,
        endpoint_name: str,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        target_model: str | None = None,
        target_variant: str | None = None,
    ) -> None:
        self.endpoint_name = endpoint_name
        self.target = {
            name: value
            for name, value in (("TargetModel", target_model), ("TargetVariant", target_variant))
            if value
        }
        self.place = endpoint_url or "AWS"
        self.client = make_client(endpoint_url, region, profile)

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`; the answer may take 70 seconds."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.invoke_endpoint(
                **self.request(content_type, accept), **self.target, Body=body
            )
            return Reply(200, answer.get("ContentType", ""), answer["Body"].read())
        except ClientError as cause:
            return self.reply_of(cause)
        except BotoCoreError as cause:
            raise explained(cause, self.place) from cause

    def stream(self, body: bytes, content_type: str, accept: str) -> StreamedReply:
        """See :class:`facegan.client.StreamingTransport`.

        Through ``sagemaker-runtime:InvokeEndpointWithResponseStream``, whose answers may be longer
        than the 6 MB of the plain call; it knows no target model, of which the plain call is asked.
        """
        if "TargetModel" in self.target:
            whole = self.send(body, content_type, accept)
            return StreamedReply(whole.status, whole.content_type, iter([whole.body]))
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.invoke_endpoint_with_response_stream(
                **self.request(content_type, accept), **self.target, Body=body
            )
        except ClientError as cause:
            reply = self.reply_of(cause)
            return StreamedReply(reply.status, reply.content_type, iter([reply.body]))
        except BotoCoreError as cause:
            raise explained(cause, self.place) from cause
        return StreamedReply(200, answer.get("ContentType", ""), self.parts_of(answer["Body"]))

    def request(self, content_type: str, accept: str) -> dict[str, str]:
        """What every call says beside its body."""
        named = {"EndpointName": self.endpoint_name}
        return named | {"ContentType": content_type, "Accept": accept}

    def parts_of(self, events: Any) -> Iterator[bytes]:
        """The pieces of an answer in botocore's events."""
        from botocore.exceptions import ClientError

        try:
            for event in events:
                yield event["PayloadPart"]["Bytes"]
        except ClientError as cause:  # ModelStreamError, InternalStreamFailure
            told = cause.response["Error"]
            place = f"The stream of {self.endpoint_name!r} broke off"
            raise InvocationError(f"{place}: {told.get('Code')}: {told.get('Message')}") from cause
        except Exception as cause:  # urllib3's, the socket's, and botocore's of damaged messages
            raise explained(cause, self.place) from cause
        finally:
            events.close()

    def reply_of(self, error: Any) -> Reply:
        """The container's own error as its Reply; one of AWS's is raised."""
        response = error.response
        if "OriginalStatusCode" in response:  # ModelError: AWS wraps what the container said
            body = str(response.get("OriginalMessage", "")).encode()
            return Reply(int(response["OriginalStatusCode"]), "", body)
        if is_ours(response.get("RawBody", b"")):
            status = response["ResponseMetadata"]["HTTPStatusCode"]
            return Reply(status, "application/json", response["RawBody"])
        code, message = response["Error"].get("Code", ""), response["Error"].get("Message", "")
        action = error.operation_name
        told = f"sagemaker-runtime:{action} on {self.endpoint_name!r} failed: {code}"
        hint = HINTS.get(code, "").format(action=action)
        raise InvocationError(f"{told}: {message}", hint) from error


def make_client(endpoint_url: str | None, region: str | None, profile: str | None) -> Any:
    """A boto3 client of sagemaker-runtime."""
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as cause:
        raise CloudError("boto3 is not installed.", "pip install 'facegan[cloud]'") from cause
    is_local = endpoint_url is not None and is_loopback(endpoint_url)
    # The container has 60 seconds, and AWS asks callers to wait 70. One seed is one face, so
    # asking again is safe; a server on this machine is better heard at once.
    attempts = {"mode": "standard", "total_max_attempts": 1 if is_local else 3}
    config = Config(
        connect_timeout=5,
        read_timeout=70,
        retries=attempts,
        proxies={} if is_local else None,
    )
    try:
        session = open_session(region, profile)
        identity = LOCAL_IDENTITY if is_local else {}
        client = session.client(
            "sagemaker-runtime", endpoint_url=endpoint_url, config=config, **identity
        )
    except (BotoCoreError, ValueError) as cause:
        raise explained(cause, endpoint_url or "AWS") from cause
    for action in ("InvokeEndpoint", "InvokeEndpointWithResponseStream"):
        client.meta.events.register(f"after-call.sagemaker-runtime.{action}", keep_error_body)
    return client


def keep_error_body(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Hand on the body of an error, of which botocore keeps the message and drops our hint."""
    if http_response.status_code >= 300:
        parsed["RawBody"] = http_response.content


def is_ours(body: bytes) -> bool:
    """Whether an error's body is the JSON that a facegan server writes."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and "error" in told and "message" in told


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, or no URL at all
        return False


def explained(cause: Exception, place: str) -> InvocationError:
    """An error of botocore's in our words, with the next step."""
    reason = first_line(cause).rstrip(".")
    return InvocationError(f"{place}: {reason}.", BOTO_HINTS.get(type(cause).__name__, ""))
