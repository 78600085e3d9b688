"""Error messages for invalid requests: what was received, and an example that works."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

EXAMPLE = 'Example: {"seeds": [1, 2, 3], "truncation_psi": 1.0}'
KINDS = {  # pydantic's error types → what the value must be
    "list_type": "a list",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
}
MAX_ITEMS = 64  # of a list that a hint repeats
FIELD_EXAMPLES = {
    "truncation_psi": 'Example: {"seeds": [1, 2, 3], "truncation_psi": 0.7}',
    "layout": 'Example: {"seeds": [1, 2, 3], "layout": "row"}',
    "columns": 'Example: {"seeds": [1, 2, 3, 4], "columns": 2}',
    "quality": 'Example: {"seeds": [1, 2, 3], "quality": 90}, as image/jpeg.',
    "interpolate": 'Example: {"seeds": [3, 8], "interpolate": 10}',
    "frame_ms": 'Example: {"seeds": [3, 8], "layout": "animation", "frame_ms": 60}',
    "mix": 'Example: {"seeds": [1, 2], "mix": [7, 8, 9]}',
    "mix_layers": 'Example: {"seeds": [1, 2], "mix": [7, 8], "mix_layers": [4, 5]}',
    "images": 'Example: {"images": ["iVBORw0KGgo…"]}, each a PNG, JPEG or WebP in base64. '
    "There is one result per image.",
    "label_maps": 'Example: {"label_maps": ["iVBORw0KGgo…"], "seeds": [7]}, each a PNG in base64, '
    "or rows of class numbers: [[0, 0, 1], [0, 2, 1]].",
    "styles": 'Example: {"label_maps": ["iVBORw0KGgo…"], "styles": ["/9j/4AAQSkZJ…"]}, each a PNG, '
    "JPEG or WebP in base64.",
    "direction": 'Example: {"images": ["iVBORw0KGgo…"], "direction": "BtoA"}',
}
OTHER_APIS = {  # what to write instead of a field that other APIs have
    'Wrap nothing: send {"seeds": [1, 2, 3]} itself.': "instances inputs input data body request "
    "requests payload parameters params config options kwargs signature_name dataframe_split",
    'Images are generated from seeds, not from text: {"seeds": [1, 2, 3]}. "classes" selects the '
    "classes of a conditional model.": "prompt prompts text texts caption query message messages "
    "negative_prompt",
    'There is one image per seed: {"seeds": [0, 1, 2, 3]} is four.': "n num num_images count "
    "number samples num_samples n_samples batch_size num_images_per_prompt",
    'Write {"seeds": [1, 2, 3], "truncation_psi": 0.7}.': "psi trunc truncation truncation_value "
    "temperature guidance_scale",
    'Write {"seeds": [1, 2, 3]}.': "seed random_seed random_state noise_seed",
    'Write {"latents": [[0.3, -1.2, …], …]}.': "z zs latent latent_vector latent_vectors noise "
    "vector vectors w ws embedding",
    'Write {"seeds": [1, 2], "classes": [0, "glasses"]}; or one class for all.': "class label "
    "labels class_idx class_id class_label classes_names category conditioning",
    'Write {"images": ["iVBORw0KGgo…"]}: files in base64.': "image picture pictures photo photos "
    "source sources source_image init_image",
    'Write {"label_maps": ["iVBORw0KGgo…"]}: PNGs in base64.': "label_map map maps mask masks "
    "segmentation semantic_map annotation",
    'Write {"styles": ["iVBORw0KGgo…"]}: files in base64.': "style style_image style_images "
    "reference reference_image",
    'Send {"about": true} alone: it asks what the model takes.': "about",
    "The Accept header names the type of the reply, as image/png or application/json.": "format "
    "output_format type output content_type accept response_format mime",
    "Images have the resolution of the model; leave it out.": "size width height resolution "
    "image_size scale",
}
FIELD_ALIASES = {name: hint for hint, names in OTHER_APIS.items() for name in names.split()}


def first_error(error: ValidationError) -> Mapping[str, Any]:
    """Return the first of pydantic's errors: where (``loc``), which (``type``), text (``msg``)."""
    return error.errors(include_url=False, include_context=False)[0]


def expected_and_got(details: Mapping[str, Any]) -> str:
    """Return what a value must be and what it is, to follow a field's name and a colon."""
    if kind := KINDS.get(details["type"]):
        return f"must be {kind}, not {describe(details['input'])}"
    return str(details["msg"]).replace("Input should be", "must be")


def describe(value: Any) -> str:
    """Describe a value of a request in a few words."""
    match value:
        case None:
            return "null"
        case bool():
            return json.dumps(value)
        case int() if abs(value) >= 2**64:  # printing it may take long
            return "a huge number"
        case int() | float():
            return f"the number {shorten(repr(value))}"
        case str():
            return f"the text {shorten(value)!a}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
    return f"a {type(value).__name__}"


def suggest_value(field: str, value: Any) -> str:
    """Return a hint that repeats a value in the form its field needs; "" if that is unclear."""
    if field not in ("seeds", "mix", "mix_layers"):
        number = as_number(value)
        if field in FIELD_EXAMPLES and isinstance(value, str) and number is not None:
            return f'Write "{field}": {number}, without quotation marks.'
        return ""
    if isinstance(value, dict):
        return ""
    numbers = [as_number(it) for it in (value if isinstance(value, list) else [value])[:MAX_ITEMS]]
    if not numbers or not all(type(it) is int and it >= 0 for it in numbers):
        return ""
    start = "" if field == "seeds" else '"seeds": [1, 2], '
    return shorten(f'Write {{{start}"{field}": {numbers}', 200) + "}."


def as_number(value: Any) -> int | float | None:
    """Return a number, or a text that is one, as int if it is whole; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
        return int(number) if number.is_integer() else number
    except (TypeError, ValueError, OverflowError):
        return None


def hint_for_body(value: Any) -> str:
    """Return what to send instead of a JSON body that is not an object."""
    if isinstance(value, list) and value and all(isinstance(it, list) for it in value):
        return 'Write {"latents": [[0.3, -1.2, …], …]}.'
    if isinstance(value, list) and value and all(isinstance(it, dict) for it in value):
        return "Send one request; several go as application/jsonlines, one per line."
    return suggest_value("seeds", value) or EXAMPLE


def shorten(text: str, length: int = 40) -> str:
    """Cut a caller's text so that an error stays readable."""
    return text if len(text) <= length else text[:length] + "…"
