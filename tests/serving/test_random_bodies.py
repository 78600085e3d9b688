"""No bytes that a client sends cause a 5xx."""

import json
import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from facegan.wire import IMAGE_CODECS, REQUEST_TYPES, GenerateRequest

Post = Callable[..., TestResponse]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
EXAMPLES = settings(max_examples=int(os.environ.get("FACEGAN_FUZZ_EXAMPLES", "35")))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
FIELDS = st.sampled_from([*GenerateRequest.model_fields, "x"])
NPY_HEADS = st.sampled_from([b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00v\x00"])


@pytest.mark.parametrize("content_type", REQUEST_TYPES)
@EXAMPLES
@given(head=NPY_HEADS, tail=st.binary(max_size=200))
def test_random_bytes_never_cause_a_5xx(
    post: Post, content_type: str, head: bytes, tail: bytes
) -> None:
    """No 5xx for any bytes under any content type."""
    assert post(head + tail, content_type).status_code < 500


@EXAMPLES
@given(values=st.dictionaries(FIELDS, VALUES, max_size=4))
def test_random_json_never_causes_a_5xx(post: Post, values: dict[str, object]) -> None:
    """No 5xx for any JSON that looks like a request."""
    assert post(json.dumps(values).encode()).status_code < 500


LIKELY = st.fixed_dictionaries(
    {"seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3)},
    optional={
        "interpolate": st.integers(0, 9),
        "mix": st.lists(st.integers(0, 9), max_size=2),
        "mix_layers": st.lists(st.integers(0, 9), max_size=2),
        "layout": st.sampled_from(["grid", "row", "column", "single", "animation"]),
        "columns": st.integers(0, 10**30),
        "quality": st.integers(0, 101),
        "frame_ms": st.integers(9, 99),
        "classes": st.lists(st.integers(0, 2), max_size=3),
    },
)


@EXAMPLES
@given(values=LIKELY, accept=st.sampled_from([*IMAGE_CODECS, "*/*"]))
def test_likely_requests_are_answered_or_refused_in_every_format(
    post: Post, values: dict[str, object], accept: str
) -> None:
    """No 5xx for any combination of fields and formats."""
    reply = post(json.dumps(values).encode(), Accept=accept)
    assert reply.status_code in (200, 400, 413)
    if reply.status_code != 200:
        assert reply.get_json()["message"]


@EXAMPLES
@given(accept=st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00"), max_size=60))
def test_random_accept_never_causes_a_5xx(post: Post, accept: str) -> None:
    """No 5xx for any Accept header."""
    assert post(b'{"seeds": [1]}', Accept=accept).status_code < 500
