"""A transport over an asynchronous endpoint: the request lies in S3, and the answer comes there.

https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-invoke-endpoint.html
"""

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from facegan.client import Reply
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.limits import check_place
from facegan.errors import CloudError, InvocationError

FIRST_WAIT, LAST_WAIT = 0.5, 10.0  # seconds between two looks, growing
GONE = ("NoSuchKey", "404", "NotFound")
DENIED = ("AccessDenied", "403")
UNTYPED = ("", "binary/octet-stream", "application/octet-stream")
STATUS = re.compile(r"\((\d{3})\) from \w+(?: with message)?\s*\"?(.*?)\"?\.? See https", re.DOTALL)


class AsynchronousTransport:
    """Sends through S3 and ``sagemaker-runtime:InvokeEndpointAsync``.

    The request's object and the answer's are deleted once the answer was read.

    Args:
        aws: Where.
        endpoint_name: The endpoint's name.
        inputs: s3://bucket/prefix below which requests are put.
        timeout_seconds: How long an answer is waited for; a machine may have to come first.
        say: Is told what is waited for.
        sleep: Waits.
        clock: Seconds that only grow.

    Raises:
        ConfigError: ``inputs`` is no place in S3.
    """

    def __init__(
        self,
        aws: Aws,
        endpoint_name: str,
        inputs: str,
        timeout_seconds: float = 900,
        say: Callable[[str], object] = lambda line: None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_place(inputs, "input", "")
        self.aws, self.endpoint_name, self.inputs = aws, endpoint_name, inputs.rstrip("/")
        self.timeout_seconds, self.say, self.sleep, self.clock = timeout_seconds, say, sleep, clock

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`; the answer may take an hour."""
        name = f"{self.inputs}/{uuid.uuid4().hex}"
        self.aws.ask(put(name, body, content_type))
        try:
            answer = self.aws.ask(self.invocation(name, content_type, accept))
        except BaseException:
            self.remove(name)
            raise
        places = (answer["OutputLocation"], answer.get("FailureLocation"))
        self.say(f"Waiting for {places[0]}; the endpoint may have to start a machine first.")
        try:
            reply, found = self.wait(*places, accept)
        except KeyboardInterrupt:
            self.say(f"The request goes on; its answer will be {places[0]}.")
            raise
        for address in (name, found):
            self.remove(address)
        return reply

    def invocation(self, address: str, content_type: str, accept: str) -> Call:
        """The call that queues a request."""
        request = {
            "EndpointName": self.endpoint_name,
            "InputLocation": address,
            "ContentType": content_type,
            "Accept": accept,
            "RequestTTLSeconds": int(min(max(self.timeout_seconds, 60), 21600)),
        }
        return Call("sagemaker-runtime", "InvokeEndpointAsync", request, self.endpoint_name)

    def wait(self, output: str, failure: str | None, accept: str) -> tuple[Reply, str]:
        """The answer once it is there, or why there is none; and where it was.

        Raises:
            InvocationError: none came in time.
        """
        begun, pause = self.clock(), FIRST_WAIT
        while True:
            if (answer := self.look(output)) is not None:
                told = str(answer.get("ContentType", ""))
                kind = accept if told in UNTYPED else told
                return Reply(200, kind, answer["Body"].read()), output
            if failure and (answer := self.look(failure)) is not None:
                return failure_of(answer["Body"].read()), failure
            if self.clock() - begun >= self.timeout_seconds:
                hint = f"It may still come, to {output}; or wait longer: --timeout SECONDS."
                told = f"{self.endpoint_name} gave no answer in {self.timeout_seconds:g} seconds."
                raise InvocationError(told, hint)
            self.sleep(pause)
            pause = min(pause * 1.5, LAST_WAIT)

    def look(self, address: str) -> Any:
        """An object, or None while it is not there."""
        try:
            return self.aws.ask(Call("s3", "GetObject", at(address), address))
        except CloudError as error:
            if error.code in GONE:
                return None
            if error.code in DENIED:
                hint = "Without s3:ListBucket what is not there yet looks so, too."
                raise CloudError(error.message, f"{error.hint} {hint}", error.code) from error
            raise

    def remove(self, address: str) -> None:
        """Delete an object; what may not be deleted stays, and is told."""
        try:
            self.aws.ask(Call("s3", "DeleteObject", at(address), address))
        except CloudError as error:
            self.say(f"{address} stays: {error.message}")


def put(address: str, body: bytes, content_type: str) -> Call:
    """Write an object."""
    request = at(address) | {"Body": body, "ContentType": content_type}
    return Call("s3", "PutObject", request, address)


def at(address: str) -> dict[str, Any]:
    """Bucket and key of s3://bucket/key."""
    parts = urlsplit(address, allow_fragments=False)
    return {"Bucket": parts.netloc, "Key": parts.path.removeprefix("/")}


def failure_of(told: bytes) -> Reply:
    """The container's own error in what SageMaker writes about a failure, else all of that."""
    text = told.decode("utf8", "replace")
    found = STATUS.search(text)
    if not found:
        return Reply(500, "text/plain", told)
    message = found[2]
    for candidate in (message, message.replace('\\"', '"')):
        try:
            if isinstance(json.loads(candidate), dict):
                message = candidate
                break
        except ValueError:
            continue
    return Reply(int(found[1]), "application/json", message.encode())
