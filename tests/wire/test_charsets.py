"""Text in other charsets is read, or refused by the charset's name; ASCII is the same in all."""

import codecs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.errors import UnsupportedContentType
from facegan.wire import CSV, JSON, JSON_LINES, NPY, as_utf8, decode_request, iter_requests

UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]
CLASSES = '{"seeds": [1], "classes": ["é, ü"]}'


@pytest.mark.parametrize("told", ["", "; charset=utf-8", '; Charset="UTF-16"', "; charset=x"])
@pytest.mark.parametrize("charset", UNICODE)
def test_unicode_is_read_whatever_the_header_says(charset: str, told: str) -> None:
    body = '{"seeds": [1]}'.encode(charset)
    assert decode_request(body, JSON + told).seeds == [1]
    rows = decode_request("0.5,1\r\n2,3\r\n".encode(charset), CSV + told).latents
    assert rows is not None and rows.tolist() == [[0.5, 1], [2, 3]]


@pytest.mark.parametrize("charset", UNICODE)
def test_lines_stay_lines_in_every_unicode(charset: str) -> None:
    """A line feed is two bytes of UTF-16: answers would be beside the wrong lines."""
    body = '{"seeds": [1]}\r\n{"seeds": [2565]}\n'.encode(charset)
    lines = list(iter_requests(as_utf8(body, JSON_LINES)))
    assert [getattr(line.request, "seeds", line) for line in lines] == [[1], [2565]]


@pytest.mark.parametrize("charset", ["iso-8859-1", "ISO-8859-1", "latin1", "windows-1252"])
def test_latin_is_read_as_it_says(charset: str) -> None:
    request = decode_request(CLASSES.encode("latin-1"), f"{JSON}; charset={charset}")
    assert request.classes == ["é, ü"]


@pytest.mark.parametrize("charset", ["koi8-r", "zlib", "rot13", "klingon", "idna", "\xff" * 99])
def test_another_charset_is_named_unless_the_body_is_ascii(charset: str) -> None:
    told = f"{JSON}; charset={charset}"
    with pytest.raises(UnsupportedContentType, match="charset") as error:
        decode_request(CLASSES.encode(), told)
    assert "UTF-8" in error.value.hint
    assert decode_request(b'{"seeds": [1]}', told).seeds == [1]


@given(body=st.binary(max_size=40), charset=st.text(max_size=9), mark=st.sampled_from(
    [b"", codecs.BOM_UTF8, codecs.BOM_UTF16, codecs.BOM_UTF16_BE, codecs.BOM_UTF32]
), kind=st.sampled_from([JSON, CSV, JSON_LINES, NPY]))  # fmt: skip
def test_any_bytes_are_decoded_refused_or_left(
    body: bytes, charset: str, mark: bytes, kind: str
) -> None:
    """What is not text is for the type's own decoder to name."""
    try:
        found = as_utf8(mark + body, f"{kind}; charset={charset}")
    except UnsupportedContentType:
        return
    if kind == NPY or (not mark and body.isascii() and b"\0" not in body):
        assert found == mark + body


def test_numbers_are_never_text() -> None:
    array = np.frombuffer(codecs.BOM_UTF16 * 4, np.uint8)
    assert as_utf8(array.tobytes(), f"{NPY}; charset=utf-16") == array.tobytes()
