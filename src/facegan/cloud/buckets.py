"""A bucket that is private, encrypted and tidy; and what is in one, listed and deleted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.s3_place import Place
from facegan.cloud.training_request import tag_list
from facegan.cloud.uploading import MANIFEST, abort_call, objects_below, uploads_below
from facegan.errors import CloudError

DAYS = 7  # after which S3 drops the parts of an upload that nobody went on with
BATCH = 1000  # objects that one request deletes, by S3
US_EAST_1 = "us-east-1"  # the one region that CreateBucket must not name
CLOSED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
TIDY = {
    "ID": "parts of unfinished uploads",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": DAYS},
}


def creation(
    bucket: str, region: str, tags: Mapping[str, str], kms_key: str | None = None
) -> list[Call]:
    """The calls that make a bucket: nobody else reads it, it is encrypted, and it tidies itself."""
    named: dict[str, Any] = {"Bucket": bucket}
    where: dict[str, Any] = (
        {} if region == US_EAST_1 else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    by: dict[str, Any] = (
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key}
        if kms_key
        else {"SSEAlgorithm": "AES256"}
    )
    rule = {"ApplyServerSideEncryptionByDefault": by, "BucketKeyEnabled": bool(kms_key)}
    closed = named | {"PublicAccessBlockConfiguration": CLOSED}
    encrypted = named | {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    tidy = named | {"LifecycleConfiguration": {"Rules": [TIDY]}}
    tagged = named | {"Tagging": {"TagSet": tag_list(tags)}}
    undo = Call("s3", "DeleteBucket", named, bucket)
    return [
        Call("s3", "CreateBucket", named | where, bucket, undo),
        Call("s3", "PutPublicAccessBlock", closed, bucket),
        Call("s3", "PutBucketEncryption", encrypted, bucket),
        Call("s3", "PutBucketLifecycleConfiguration", tidy, bucket),
        Call("s3", "PutBucketTagging", tagged, bucket),
    ]


def exists(aws: Aws, bucket: str) -> bool:
    """Whether there is a bucket, that these credentials may look into.

    Raises:
        CloudError: it is somebody else's, or nothing can be asked.
    """
    try:
        # Not HeadBucket: its answers have no body, and so no reason.
        aws.ask(Call("s3", "ListObjectsV2", {"Bucket": bucket, "MaxKeys": 1}, bucket))
    except CloudError as error:
        if error.code == "NoSuchBucket":
            return False
        if error.code == "AccessDenied":
            hint = "It is another account's, or your credentials lack s3:ListBucket on it."
            raise CloudError(
                f"The bucket {bucket} may not be looked into.", hint, error.code
            ) from error
        raise
    return True


@dataclass(frozen=True)
class Contents:
    """What is at a place.

    Args:
        keys: Of its objects, a data set's manifest first: without it, what is left is no set.
        size: Of them all, in bytes.
        uploads: Key and id of what was never finished.
        keeps_versions: Whether the bucket keeps what is deleted (and is paid for it).
    """

    keys: tuple[str, ...]
    size: int
    uploads: tuple[tuple[str, str], ...]
    keeps_versions: bool


def contents(aws: Aws, place: Place) -> Contents:
    """Everything at a place.

    Raises:
        CloudError: it cannot be listed.
    """
    found = [(str(it["Key"]), int(it["Size"])) for it in objects_below(aws, place)]
    found.sort(key=lambda it: (it[0].rpartition("/")[2] != MANIFEST, it[0]))
    uploads = [(str(it["Key"]), str(it["UploadId"])) for it in uploads_below(aws, place)]
    asked = Call("s3", "GetBucketVersioning", {"Bucket": place.bucket}, place.bucket)
    return Contents(
        tuple(key for key, _ in found),
        sum(size for _, size in found),
        tuple(uploads),
        aws.ask(asked).get("Status") == "Enabled",
    )


def removal(place: Place, found: Contents) -> list[Call]:
    """The calls that delete it."""
    batches = [found.keys[start : start + BATCH] for start in range(0, len(found.keys), BATCH)]
    return [
        *(abort_call(place, key, upload) for key, upload in found.uploads),
        *(delete_objects_call(place, keys) for keys in batches),
    ]


def delete_objects_call(place: Place, keys: tuple[str, ...]) -> Call:
    """Delete up to a thousand objects."""
    named = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
    request = {"Bucket": place.bucket, "Delete": named}
    return Call("s3", "DeleteObjects", request, f"{len(keys):,} objects of {place}")


def remove(aws: Aws, calls: list[Call], on_done: Callable[[Call], object]) -> None:
    """Carry a removal out.

    Raises:
        CloudError: an object could not be deleted (named, with S3's reason), or a call failed. What
            was deleted before stays deleted; the same command goes on.
    """
    for call in calls:
        answer = aws.ask(call)
        for refused in answer.get("Errors", ())[:1]:
            told = f"{refused.get('Code')}: {refused.get('Message')}"
            key = f"s3://{call.request['Bucket']}/{refused.get('Key')}"
            hint = "Your credentials need s3:DeleteObject there. The same command goes on."
            raise CloudError(f"{len(answer['Errors']):,} are left; {key}: {told}.", hint)
        on_done(call)
