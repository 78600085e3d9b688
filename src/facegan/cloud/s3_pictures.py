"""Pictures below an S3 prefix: listed page by page, read by name, with AWS's errors in a line."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from facegan.errors import CloudError

READERS = 32  # at once: a key takes some ten milliseconds, whatever its size
ABSENT = {"NoSuchKey", "404", "NotFound"}
ARCHIVED = "InvalidObjectState"  # in Glacier
HINTS = {  # error code of AWS → the next step
    "NoSuchBucket": "Check the bucket's name: `aws s3 ls`.",
    "AccessDenied": "Your role needs s3:ListBucket on the bucket and s3:GetObject on its keys.",
    "InvalidAccessKeyId": "Check your credentials: `aws sts get-caller-identity`.",
    "SignatureDoesNotMatch": "Check your credentials, and this machine's clock.",
    "ExpiredToken": "Renew your credentials: `aws sso login`, or `aws configure`.",
    "PermanentRedirect": "The bucket is in another region: name it by --region.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: name it by --region.",
}


class S3Pictures:
    """The objects below a prefix, as names and what reads them.

    Args:
        address: ``s3://bucket/prefix``.
        client: boto3's S3 client.

    Raises:
        CloudError: the address names no bucket.
    """

    def __init__(self, address: str, client: Any) -> None:
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise CloudError(f"{address!r} names no bucket.", "Write s3://bucket/prefix.")
        self.bucket, self.client = bucket, client
        # A folder's name without its slash would also take in its neighbours' (cats, cats2).
        self.prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"

    @property
    def name(self) -> str:
        """The address, as it is understood."""
        return f"s3://{self.bucket}/{self.prefix}"

    def streams(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Every key in S3's order, which is that of its bytes, without the prefix.

        Raises:
            CloudError: the bucket cannot be listed.
        """
        for key in self.keys():
            yield key.removeprefix(self.prefix), partial(self.read, key)

    def keys(self) -> Iterator[str]:
        """A page of a thousand is held at a time."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        for page in self.explained("ListObjectsV2", lambda: iter(pages)):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):  # the console's "folders"
                    yield str(found["Key"])

    def explained(self, action: str, begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """What an iterator of boto3's gives; its errors as ours."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield from begin()
        except (ClientError, BotoCoreError) as cause:
            raise self.error(action, cause) from cause

    def read(self, key: str) -> bytes:
        """An object's bytes.

        Raises:
            FileNotFoundError: it is gone, or archived: that picture alone is lost.
            CloudError: nothing can be read (credentials, network).
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            content: bytes = answer["Body"].read()
            return content
        except ClientError as cause:
            code = str(cause.response["Error"].get("Code"))
            if code in ABSENT:
                raise FileNotFoundError("it vanished after it was listed") from cause
            if code == ARCHIVED:
                raise FileNotFoundError("it is archived (Glacier), and not restored") from cause
            raise self.error("GetObject", cause) from cause
        except BotoCoreError as cause:
            raise self.error("GetObject", cause) from cause

    def find(self, name: str) -> bytes | None:
        """The bytes of a named object below the prefix; None where there is none."""
        try:
            return self.read(self.prefix + name)
        except FileNotFoundError:
            return None

    def error(self, action: str, cause: Any) -> CloudError:
        """A CloudError that names the action, the place and the next step."""
        response = getattr(cause, "response", None)
        if response is None:  # botocore's own: no credentials, no network
            hint = "Run `aws configure`, or name a --profile." if "redentials" in str(cause) else ""
            return CloudError(f"s3:{action} on {self.name}: {str(cause).rstrip('.')}.", hint)
        code = str(response["Error"].get("Code"))
        message = f"s3:{action} on {self.name} failed: {code}: {response['Error'].get('Message')}"
        return CloudError(message, HINTS.get(code, ""))


def make_s3(endpoint_url: str | None, region: str | None, profile: str | None) -> Any:
    """A boto3 client of S3 with a connection for every reader.

    Raises:
        CloudError: boto3 is not installed, the profile is unknown, or the URL is none.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as cause:
        raise CloudError("boto3 is not installed.", "pip install 'facegan[cloud]'") from cause
    config = Config(
        max_pool_connections=READERS, retries={"mode": "standard", "total_max_attempts": 5}
    )
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        return session.client("s3", endpoint_url=endpoint_url, config=config)
    except (BotoCoreError, ValueError) as cause:
        raise CloudError(f"S3: {str(cause).rstrip('.')}.") from cause
