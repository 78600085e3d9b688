"""What a request may say, and how a wrong one is told."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from facegan.errors import RequestError, RequestTooLarge
from facegan.wire import CSV, JSON, GenerateRequest, decode_request


def refusal(body: str | bytes, content_type: str = JSON) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode_request(body.encode() if isinstance(body, str) else body, content_type)
    return caught.value


@pytest.mark.parametrize(
    "seed", ["true", "1.5", '"3"', "null", "-1", "4294967296", "1" * 400, "[]"]
)
def test_a_wrong_seed_is_named_by_its_place(seed: str) -> None:
    """Seeds are whole numbers from 0 to 2**32 - 1, and nothing is rounded or converted."""
    assert refusal(f'{{"seeds": [0, {seed}]}}').message.startswith("seeds[1]:")


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_ends_of_the_seeds_are_seeds(seed: int) -> None:
    """Both ends of the range are in it."""
    assert GenerateRequest(seeds=[seed]).seeds == [seed]


@pytest.mark.parametrize("wanted", ["true", "1.5", "null", "-1", "4294967296", '""', "[0]"])
def test_a_wrong_class_is_named_by_its_place(wanted: str) -> None:
    """A class is a whole number or a name; whether the model knows it, the model says."""
    told = refusal(f'{{"seeds": [1, 2], "classes": [0, {wanted}]}}').message
    assert told == "classes[1] is neither a number from 0 nor a name."


@pytest.mark.parametrize("wanted", ["7", '"glasses"', "{}", "true"])
def test_classes_are_a_list(wanted: str) -> None:
    """One class for all is still a list of one."""
    error = refusal(f'{{"seeds": [1], "classes": {wanted}}}')
    assert (
        error.message.startswith("classes: must be a list, not ") and '"classes": [' in error.hint
    )


@pytest.mark.parametrize("classes", [[], [1, 2], [1, 2, 3, 4]])
def test_classes_are_one_for_all_or_one_an_image(classes: list[int]) -> None:
    """Three seeds take one class or three."""
    for fields in ({"seeds": [1, 2, 3]}, {"latents": [[0.5]] * 3}):
        told = refusal(json.dumps({**fields, "classes": classes})).message
        assert told == f"classes: {len(classes)} of them do not fit 3 images."
        for fitting in ([0], ["glasses"], [0, "glasses", 2]):
            assert GenerateRequest(**fields, classes=fitting).classes == fitting


@pytest.mark.parametrize("psi", ["true", '"1"', "-0.1", "2.1", "1e999", "null"])
def test_a_wrong_truncation_is_named(psi: str) -> None:
    """truncation_psi is a finite number from 0 to 2."""
    told = refusal(f'{{"seeds": [1], "truncation_psi": {psi}}}').message
    assert told.startswith("truncation_psi:")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_literals_that_are_not_json_are_refused(literal: str) -> None:
    """RFC 8259 has no NaN; Python's reader has."""
    message = refusal(f'{{"seeds": [1], "truncation_psi": {literal}}}').message
    assert f"{literal} is not a JSON number" in message


@pytest.mark.parametrize(
    "fields", [{}, {"seeds": [1], "latents": [[1.0]]}, {"seeds": None}, {"truncation_psi": 1}]
)
def test_a_request_has_either_seeds_or_latents(fields: dict[str, Any]) -> None:
    """Both or neither is told, with an example."""
    error = refusal(json.dumps(fields))
    assert "either seeds or latents" in error.message
    assert '{"seeds": [1, 2, 3]' in error.hint


@pytest.mark.parametrize("fields", [{"seeds": []}, {"latents": []}])
def test_no_image_at_all_is_refused(fields: dict[str, Any]) -> None:
    """A request asks for at least one image."""
    assert "at least one" in refusal(json.dumps(fields)).message


def test_an_unknown_field_offers_the_nearest() -> None:
    """A typing error is mended, not ignored."""
    error = refusal('{"sedes": [1]}')
    assert "'sedes'" in error.message and error.hint.startswith("Did you mean seeds")


def test_a_field_twice_is_refused() -> None:
    """Python's reader would silently keep the last."""
    assert "'seeds' is there twice" in refusal('{"seeds": [1], "seeds": [2]}').message


@pytest.mark.parametrize(
    "body", ["", "nul", "[1]", '"seeds"', "1", b"\xff\xfe\xfa", b'{"seeds": [1]']
)
def test_a_body_that_is_no_json_object_is_refused(body: str | bytes) -> None:
    """The hint shows one that is."""
    assert any(word in refusal(body).hint for word in ("Example", "Write"))


@pytest.mark.parametrize("opening", ["[", '{"seeds":', '{"latents": [['])
def test_deep_nesting_is_refused(opening: str) -> None:
    """A hundred thousand brackets exhaust the reader's stack, not ours."""
    refusal(opening * 100_000)


def test_an_enormous_whole_number_is_refused() -> None:
    """Python refuses to read more than 4300 digits, and says so as a ValueError."""
    refusal('{"seeds": [' + "1" * 5000 + "]}")


def test_a_lone_surrogate_in_a_name_is_refused() -> None:
    """Half a character cannot be told back as UTF-8."""
    error = refusal('{"seeds": [1], "\\ud800": 2}')
    error.message.encode()


def test_a_very_long_field_name_is_cut_in_the_message() -> None:
    """An answer stays readable."""
    assert len(refusal(json.dumps({"x" * 100_000: 1})).message) < 120


@pytest.mark.parametrize(
    ("latents", "told"),
    [
        ("[[1, 2], [3]]", "latent 1 is 1 long, latent 0 is 2"),
        ('[[1, 2], [3, "a"]]', "latent 1, number 1"),
        ("[[1, true]]", "latent 0, number 1"),
        ("[[1e999]]", "latent 0, number 0"),
        ("[1, 2]", "latent 0"),
        ("7", "latents"),
        ("[[]]", "latents"),
    ],
)
def test_wrong_latents_are_named_by_their_place(latents: str, told: str) -> None:
    """Which latent, and which of its numbers."""
    error = refusal(f'{{"latents": {latents}}}')
    assert told in error.message and '"latents"' in error.hint


@pytest.mark.parametrize(
    ("layout", "seeds", "columns", "told"),
    [
        ("single", [1, 2], None, "one image"),
        ("row", [1, 2], 2, "columns"),
        ("rows", [1], None, "layout"),
        ("grid", [1], 0, "columns"),
        ("grid", [1], True, "columns"),
        ("grid", [1], 1.5, "columns"),
    ],
)
def test_an_arrangement_that_cannot_be_is_refused(
    layout: Any, seeds: list[int], columns: Any, told: str
) -> None:
    """Layout, columns and the number of images fit together."""
    with pytest.raises(RequestError, match=told):
        GenerateRequest(seeds=seeds, layout=layout, columns=columns)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"seeds": [1], "interpolate": 4}, "interpolate: needs two"),
        ({"latents": [[0.5]], "interpolate": 4}, "interpolate: needs two"),
        ({"seeds": [1, 2], "interpolate": 0}, "interpolate: "),
        ({"seeds": [1, 2], "interpolate": 65_537}, "interpolate: "),
        ({"seeds": [1, 2], "interpolate": 10**4000}, "interpolate: "),
        ({"seeds": [1, 2], "interpolate": True}, "interpolate: "),
        ({"seeds": [1, 2], "interpolate": 2.0}, "interpolate: "),
        ({"seeds": [1, 2], "interpolate": 2, "mix": [3]}, "interpolate: does not go with mix"),
        ({"latents": [[0.5]], "mix": [3]}, "mix: goes with seeds"),
        ({"seeds": [1], "mix": []}, "mix: is empty"),
        ({"seeds": [1], "mix": [-1]}, "mix[0]: "),
        ({"seeds": [1], "mix": 7}, "mix: "),
        ({"seeds": [1], "mix_layers": [1]}, "mix_layers: goes with mix"),
        ({"seeds": [1], "mix": [2], "mix_layers": []}, "mix_layers: is empty"),
        ({"seeds": [1], "mix": [2], "mix_layers": [-1]}, "mix_layers[0]: "),
        ({"seeds": [1], "quality": 0}, "quality: "),
        ({"seeds": [1], "quality": 101}, "quality: "),
        ({"seeds": [1], "layout": "animation"}, 'layout: "animation" takes two'),
        ({"seeds": [1, 2], "layout": "animation", "columns": 2}, "columns: goes with"),
        ({"seeds": [1, 2], "layout": "animation", "frame_ms": 9}, "frame_ms: "),
        ({"seeds": [1, 2], "frame_ms": 40}, "frame_ms: goes with"),
        ({"seeds": [1, 2], "interpolate": 2, "layout": "single"}, "takes one image, not 3"),
        ({"seeds": [1, 2], "interpolate": 9, "classes": [0] * 10}, "fit 2 seeds or latents"),
        ({"seeds": [1, 2], "mix": [3], "classes": [0, 1]}, "fit 3 seeds or latents"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], told: str) -> None:
    """Each in a sentence that names the field, with an example of what does go."""
    error = refusal(json.dumps(fields))
    assert error.message.startswith(told) or told in error.message
    assert error.hint.startswith(("Example", "Write"))


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"seeds": [1, 2]}, 2),
        ({"seeds": [1, 2], "interpolate": 1}, 2),
        ({"seeds": [1, 2, 3], "interpolate": 10}, 21),
        ({"latents": [[0.5], [1.0]], "interpolate": 65_536}, 65_537),
        ({"seeds": [1, 2], "mix": [7, 8, 9]}, 6),
    ],
)
def test_the_count_is_of_images_that_come_back(fields: dict[str, Any], count: int) -> None:
    """What a limit counts."""
    assert GenerateRequest.model_validate(fields).count == count


def test_mixed_faces_stand_in_a_table() -> None:
    """A row a seed, a column a seed to mix with; unless columns, or another layout, say else."""
    fields: dict[str, Any] = {"seeds": [1, 2], "mix": [7, 8, 9]}
    assert GenerateRequest(**fields).grid_columns == 3
    assert GenerateRequest(**fields, columns=2).grid_columns == 2
    assert GenerateRequest(**fields, layout="row").grid_columns == 6
    assert GenerateRequest(seeds=[1, 2]).grid_columns is None


def test_classes_of_mixed_faces_are_one_for_all_or_one_a_seed_of_both() -> None:
    """First those of the seeds, then those they are mixed with."""
    for classes in ([0], [0, 1, 2]):
        request = GenerateRequest(seeds=[1, 2], mix=[3], classes=classes)
        assert request.classes == classes and request.label_count == 3


def test_a_request_cannot_be_changed() -> None:
    """It was checked at birth; a change would be a request nobody checked."""
    request = GenerateRequest(seeds=[1])
    with pytest.raises(ValidationError, match="frozen"):
        request.truncation_psi = 0.5
    assert request.truncation_psi == 1.0


@pytest.mark.parametrize("fields", [{"seeds": [4, 5, 6]}, {"latents": np.zeros((3, 2))}])
def test_count_is_the_number_of_images(fields: dict[str, Any]) -> None:
    """Three seeds are three images, and so are three latents."""
    assert GenerateRequest(**fields).count == 3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("1,2\n3,x\n", "Row 2, column 2"),
        ("1,nan\n", "Row 1, column 2"),
        ("1_0\n", "Row 1, column 1"),
        ("1,\n", "Row 1, column 2"),
        ("z0,z1\n1,2\n", "Row 1, column 1"),
        ("1,2\n\n3,4\n", "Row 2"),
        ("1,2\n3\n", "latent 1 is 1 long"),
        ('"1', "not CSV"),
        ("", "at least one"),
        (b"\xff", "not CSV"),
    ],
)
def test_wrong_csv_is_named_by_row_and_column(body: str | bytes, told: str) -> None:
    """A person finds the cell in a spreadsheet, where rows and columns count from 1."""
    assert told in refusal(body, CSV).message


@pytest.mark.parametrize(
    "body", ["1,2\n3,4", "1,2\r\n3,4\r\n", "\ufeff1, 2\n3, 4\n", '"1","2"\n3,4\n']
)
def test_csv_as_programs_write_it(body: str) -> None:
    """Line ends, a byte order mark, quotes and blanks of common programs are read."""
    latents = decode_request(body.encode(), CSV).latents
    assert latents is not None and latents.tolist() == [[1, 2], [3, 4]]


def test_millions_of_csv_rows_are_refused_before_they_are_read() -> None:
    """They would keep a server's core busy for seconds."""
    with pytest.raises(RequestTooLarge):
        decode_request(b"x\n" * 1_000_000, CSV)
