"""AWS as this project speaks to it: clients made in one place, every failure a sentence."""

import logging
from collections.abc import Iterator
from typing import Any

from facegan.cloud.aws_session import open_session
from facegan.cloud.calls import Call
from facegan.cloud.permissions import permissions_of
from facegan.errors import CloudError, first_line

ATTEMPTS = 6  # with botocore's own backoff between them: throttling, 5xx, a lost connection

RENEW = "Renew your credentials: `aws sso login`, or `aws configure`."
CHECK = "Check your credentials: `aws sts get-caller-identity`."
CLOCK = "Check your credentials, and this machine's clock."
LATER = "AWS asks for fewer calls: wait a minute, and give the same command again."
ANOTHER_REGION = "The bucket is in another region: name it by --region."
PERMISSION = "Your credentials lack the permission {permission}: see infra/iam/README.md."
HINTS = {  # error code of AWS → the next step
    "400": CHECK,  # answers to HEAD have no other code
    "403": PERMISSION,
    "AccessDenied": PERMISSION,
    "AccessDeniedException": PERMISSION,
    "UnauthorizedOperation": PERMISSION,
    "ExpiredToken": RENEW,
    "ExpiredTokenException": RENEW,
    "RequestExpired": CLOCK,
    "UnrecognizedClientException": CHECK,
    "InvalidClientTokenId": CHECK,
    "InvalidAccessKeyId": CHECK,
    "InvalidSignatureException": CLOCK,
    "SignatureDoesNotMatch": CLOCK,
    "ThrottlingException": LATER,
    "Throttling": LATER,
    "TooManyRequestsException": LATER,
    "SlowDown": LATER,
    "ResourceInUse": "The name is taken: give another, or delete what has it.",
    "ResourceLimitExceeded": "See `facegan cloud check --instance-type TYPE`: which quota it is, "
    "and how to ask for more.",
    "LimitExceededException": "Ask AWS for a higher quota, or delete what is not needed.",
    "NoSuchBucket": "Check the bucket's name: `aws s3 ls`.",
    "InvalidObjectState": "It is archived (Glacier): restore it first, `aws s3api restore-object`.",
    "BadDigest": "What arrived is not what was sent, or the file changed meanwhile: again, please.",
    "PreconditionFailed": "It changed while it was read: give the same command again.",
    "PermanentRedirect": ANOTHER_REGION,
    "AuthorizationHeaderMalformed": ANOTHER_REGION,
}
BOTO_HINTS = {  # exception of botocore → the next step
    "NoCredentialsError": "Run `aws configure`, or name a --profile.",
    "PartialCredentialsError": "Run `aws configure`, or name a --profile.",
    "NoRegionError": "Name a --region, as eu-west-1, or write one into facegan.toml.",
    "ProfileNotFound": "`aws configure list-profiles` lists those there are.",
    "TokenRetrievalError": RENEW,
    "UnauthorizedSSOTokenError": RENEW,
    "SSOTokenLoadError": RENEW,
    "EndpointConnectionError": "Check the network, and the region's name.",
    "ConnectTimeoutError": "Check the network, and the region's name.",
    "ConnectionClosedError": "Check the network, and give the same command again.",
    "ReadTimeoutError": "Check the network, and give the same command again.",
    "ResponseParserError": "Something between here and AWS answered in its place: a proxy?",
}


class Aws:
    """Clients of one account in one region.

    Args:
        region: AWS region; boto3's usual sources where None.
        profile: AWS profile; boto3's usual sources where None.
        endpoint_url: Another address than AWS's, of a service that speaks as it does.

    Raises:
        CloudError: boto3 is not installed, or there is no such profile.
    """

    def __init__(
        self,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        try:
            from botocore.exceptions import BotoCoreError
        except ImportError as cause:
            raise CloudError("boto3 is not installed.", "pip install 'facegan[cloud]'") from cause
        logging.getLogger("botocore").setLevel(logging.WARNING)  # not where it found credentials
        try:
            self.session = open_session(region, profile)
        except BotoCoreError as cause:
            raise explained(cause, "AWS") from cause
        self.endpoint_url = endpoint_url
        self.clients: dict[str, Any] = {}

    @property
    def region(self) -> str | None:
        """Where calls go, if that is known."""
        found: str | None = self.session.region_name
        return found

    def client(self, service: str, **settings: Any) -> Any:
        """boto3's client of a service, made when it is first asked for.

        Args:
            service: boto3's name of it.
            settings: Of its ``botocore.config.Config``; those of the first caller count.

        Raises:
            CloudError: no region is known.
        """
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        if service not in self.clients:
            retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
            config = Config(retries=retries, **settings)
            try:
                self.clients[service] = self.session.client(
                    service, config=config, endpoint_url=self.endpoint_url
                )
            except (BotoCoreError, ValueError) as cause:
                raise explained(cause, service) from cause
        return self.clients[service]

    def ask(self, call: Call) -> Any:
        """Make one call.

        Raises:
            CloudError: it failed; names the action, the resource and the next step.
        """
        from botocore import xform_name

        method = getattr(self.client(call.service), xform_name(call.action))
        try:
            return method(**call.request)
        except failures() as cause:
            raise failed(call, cause) from cause

    def pages(self, call: Call, items: str) -> Iterator[Any]:
        """Everything that a call lists, page after page.

        Args:
            call: The first page's.
            items: The name of the list in an answer.

        Raises:
            CloudError: see :meth:`ask`.
        """
        from botocore import xform_name

        paginator = self.client(call.service).get_paginator(xform_name(call.action))
        try:
            for page in paginator.paginate(**call.request):
                yield from page.get(items, ())
        except failures() as cause:
            raise failed(call, cause) from cause


def failures() -> tuple[type[Exception], ...]:
    """What a call raises where AWS refuses, cannot be reached, or answers what is no answer."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return BotoCoreError, ClientError, ResponseParserError


def failed(call: Call, cause: Any) -> CloudError:
    """What a failed call comes to, in a sentence with the next step."""
    response = getattr(cause, "response", None)
    if not isinstance(response, dict):  # botocore's own: no credentials, no network
        return explained(cause, f"{call.service}:{call.action} on {call.on}")
    told = response["Error"]
    code = str(told.get("Code"))
    hint = HINTS.get(code, "").format(permission=permissions_of(call.service, call.action)[0])
    message = f"{call.service}:{call.action} on {call.on} failed: {code}: {told.get('Message')}"
    return CloudError(message, hint, code)


def explained(cause: Exception, doing: str) -> CloudError:
    """An error of botocore's own in our words."""
    kind = type(cause).__name__
    reason = first_line(cause).rstrip(".")
    return CloudError(f"{doing}: {reason}.", BOTO_HINTS.get(kind, ""), kind)
