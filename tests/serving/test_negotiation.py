"""Accept headers, as clients send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.errors import NotAcceptable
from facegan.serving.http.negotiation import negotiate
from facegan.wire import IMAGE_CODECS, JSON, NPY, PNG, bare_type

OFFERED = (PNG, JSON, NPY)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, PNG),
        ("", PNG),
        (" , ", PNG),
        ("*/*", PNG),
        ("image/*", PNG),
        ("application/*", JSON),
        ("application/x-npy", NPY),
        ("APPLICATION/X-NPY ; Q=1", NPY),
        ("application/json, image/png;q=0.9", JSON),
        ("application/json;q=.2, image/png;q=0.1", JSON),
        ("application/json, image/png", PNG),
        ("image/png;q=0, */*", JSON),
        ("*/*;q=0.1, application/x-npy;q=0.2", NPY),
        ("*/*, application/x-npy", NPY),
        ("image/png;q=0.1, image/*;q=0.9, application/json;q=0.5", JSON),
        ("text/html,application/xhtml+xml,image/webp,*/*;q=0.8", PNG),
        ("text/html, image/gif, *; q=.2, */*; q=.2", PNG),
        ("image/png;q=high, application/json", JSON),
        ("image/png;q=2, application/json;q=0.1", JSON),
        ("application/json;charset=utf-8", JSON),
        ("garbage, application/json", JSON),
        ("*/png, application/json", JSON),
    ],
)
def test_the_best_of_what_is_offered(accept: str | None, chosen: str) -> None:
    """Quality first, then the closer range, then the default; malformed parts do not count."""
    assert negotiate(accept, OFFERED, default=PNG) == chosen


@pytest.mark.parametrize(
    "accept", ["image/gif", "garbage", "*/*;q=0", "image/png;q=0", "a/b;q=nan"]
)
def test_nothing_acceptable_lists_what_is_offered(accept: str) -> None:
    """The hint lists the types to ask for."""
    with pytest.raises(NotAcceptable) as caught:
        negotiate(accept, OFFERED, default=PNG)
    assert all(offered in caught.value.hint for offered in OFFERED)


@given(accept=st.text(alphabet="*/;,=q.01 abcimage/pngé", max_size=60) | st.text(max_size=40))
def test_any_header_is_answered_or_not_acceptable(accept: str) -> None:
    """No header raises anything else."""
    try:
        assert negotiate(accept, tuple(IMAGE_CODECS), default=PNG) in IMAGE_CODECS
    except NotAcceptable as error:
        assert error.message.isascii()


@pytest.mark.parametrize(
    ("content_type", "bare"),
    [("Image/PNG; a=b", "image/png"), (" text/csv ", "text/csv"), ("", ""), (None, "")],
)
def test_bare_type(content_type: str | None, bare: str) -> None:
    """Parameters and case are dropped."""
    assert bare_type(content_type) == bare
