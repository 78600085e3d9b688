"""A transform job's requests: lines in, lines out, each answer beside its line."""

from typing import Any

import pytest
from api_model import complaints

from facegan.cloud.transform_request import TransformJob
from facegan.errors import ConfigError

BATCH: dict[str, Any] = {
    "name": "batch-1",
    "image": "image:1",
    "role": "arn:aws:iam::123456789012:role/facegan",
    "model": "s3://bucket/model.tar.gz",
    "requests": "s3://bucket/in.jsonl",
    "output": "s3://bucket/out",
    "instance_type": "ml.c7i.xlarge",
}
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"


def test_the_requests_are_ones_that_the_api_takes() -> None:
    more = {"kms_key": KEY, "tags": {"a": "b"}, "subnets": ("s",), "security_groups": ("g",)}
    images = {"requests": "s3://bucket/photos", "content_type": "image/png;direction=BtoA"}
    for wish in (BATCH, BATCH | more | {"is_line_by_line": True}, BATCH | images):
        for call in TransformJob(**wish).creation():
            assert complaints(call.action, call.request) == ""


def test_lines_are_split_sent_together_and_answered_in_order() -> None:
    """As docs/serving-reference.md has it; every answer ends with a line feed of its own."""
    request = TransformJob(**BATCH).request()
    assert request["BatchStrategy"] == "MultiRecord" and request["MaxPayloadInMB"] == 1
    assert request["TransformInput"]["SplitType"] == "Line"
    assert request["TransformInput"]["ContentType"] == "application/jsonlines"
    assert request["TransformOutput"]["AssembleWith"] == "None"
    alone = TransformJob(**BATCH | {"is_line_by_line": True}).request()
    assert alone["BatchStrategy"] == "SingleRecord"


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "image/png;seeds=7"])
def test_images_are_sent_whole_one_by_one(content_type: str) -> None:
    """A PNG comes back for each; a photo has up to the 6 MB of the server."""
    request = TransformJob(**BATCH | {"content_type": content_type}).request()
    assert request["BatchStrategy"] == "SingleRecord" and request["MaxPayloadInMB"] == 6
    assert request["TransformInput"]["SplitType"] == "None"
    assert request["TransformInput"]["ContentType"] == content_type
    assert request["TransformOutput"]["Accept"] == "image/png"


def test_what_is_made_can_be_taken_back() -> None:
    model, job = TransformJob(**BATCH).creation()
    assert model.undo and model.undo.action == "DeleteModel"
    assert job.undo and job.undo.action == "StopTransformJob"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"instance_type": "ml.g5.xlarge"}, "wants 580"),
        ({"instance_type": "local"}, "runs on AWS"),
        ({"requests": "in.jsonl"}, "requests is 'in.jsonl'"),
        ({"payload_mb": 0}, "payload_mb is 0"),
        ({"model": "s3://bucket/models/"}, "ends with model.tar.gz"),
        ({"content_type": "image/gif"}, "content_type is 'image/gif'"),
        ({"content_type": "image/png;seeds=" + "1," * 200}, "content_type is 'image/png;seeds=1,1"),
        ({"content_type": "image/png", "is_line_by_line": True}, "one by one"),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        TransformJob(**BATCH | change)
    assert told in str(refused.value)
