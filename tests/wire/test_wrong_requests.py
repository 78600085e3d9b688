"""JSON requests of another shape: what was seen, and the form that works."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.errors import RequestError
from facegan.wire import GenerateRequest, decode_request
from facegan.wire.error_text import FIELD_ALIASES

VALUES: dict[str, Any] = {
    "the number 3": 3,
    "the number 0.5": 0.5,
    "the text '0-15'": "0-15",
    "true": True,
    "an object": {"a": 1},
}
LISTS = ("seeds", "latents", "classes", "mix", "mix_layers")
NUMBERS = ("truncation_psi", "columns", "quality", "interpolate", "frame_ms")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def refusal(body: Any) -> RequestError:
    with pytest.raises(RequestError) as refused:
        decode_request(json.dumps(body).encode(), "application/json")
    return refused.value


@pytest.mark.parametrize("field", LISTS)
@pytest.mark.parametrize("seen", VALUES)
def test_a_value_where_a_list_is_asked_for_is_named(field: str, seen: str) -> None:
    body = {"seeds": [1, 2], field: VALUES[seen]}
    if field == "latents":
        del body["seeds"]
    error = refusal(body)
    assert error.message == f"{field}: must be a list, not {seen}."
    assert f'"{field}": [' in error.hint


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_in_quotation_marks_is_written_without(field: str) -> None:
    error = refusal({"seeds": [1, 2], field: "2"})
    assert error.message.endswith("number, not the text '2'.")
    assert error.hint == f'Write "{field}": 2, without quotation marks.'


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"seed": 3}, 'Write {"seeds": [3]}.'),
        ({"seed": [1]}, 'Write {"seeds": [1]}.'),
        ({"seeds": "3"}, 'Write {"seeds": [3]}.'),
        ({"seeds": ["1", 2.0]}, 'Write {"seeds": [1, 2]}.'),
        ([1, 2, 3], 'Write {"seeds": [1, 2, 3]}.'),
        (7, 'Write {"seeds": [7]}.'),
        ([[0.1, 0.2]], '"latents"'),
        ([{"seeds": [1]}], "application/jsonlines"),
        ({"instances": [{"seeds": [1]}]}, "Wrap nothing"),
        ({"inputs": "cat"}, "Wrap nothing"),
        ({"prompt": "cat"}, "not from text"),
        ({"num_images": 4}, "one image per seed"),
        ({"seeds": [1], "truncation": 0.7}, '"truncation_psi": 0.7'),
        ({"seeds": [1], "format": "png"}, "Accept"),
        ({"seeds": [1], "Layout": "row"}, "Did you mean layout?"),
        ({"seeds": [-1]}, "Example"),
        ({"seeds": [2**32]}, "Example"),
        ({}, "Example"),
    ],
)
def test_the_hint_holds_the_form_that_works(body: Any, hint: str) -> None:
    assert hint in refusal(body).hint


def test_what_a_hint_writes_is_a_request() -> None:
    for body in ({"seed": 3}, {"seeds": "3"}, [4, 5], 6):
        written = re.search(r"\{.*\}", refusal(body).hint)
        assert written and decode_request(written[0].encode(), "application/json").seeds


def test_no_alias_is_a_field() -> None:
    assert not FIELD_ALIASES.keys() & GenerateRequest.model_fields.keys()


@given(JSON_VALUES | st.dictionaries(st.sampled_from(["seeds", "latents", "mix"]), JSON_VALUES))
def test_any_json_is_read_or_refused_in_a_few_words(body: Any) -> None:
    try:
        decode_request(json.dumps(body).encode(), "application/json")
    except RequestError as error:
        assert error.hint and len(str(error)) < 600


def test_an_empty_body_is_called_so() -> None:
    with pytest.raises(RequestError, match="The body is empty"):
        decode_request(b" \n", "application/json")
