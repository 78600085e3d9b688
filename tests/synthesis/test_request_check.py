"""What a request gives is what the model takes, or one sentence says what to send."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facegan.errors import RequestError
from facegan.model_files import ModelCard
from facegan.model_inputs import IMAGES, LABEL_MAPS, LABELS, LATENTS, STYLES, ModelInput
from facegan.synthesis import InputBatch, Synthesizer, latents_of_seeds

SIDE = 8
CLASSES = (("sky", "#0000ff"), ("hair", "#804020"), ("skin", "#f0c0a0"))
IMAGE = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(1, SIDE, SIDE, 3)
MAP = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(1, SIDE, SIDE) % 3


def model_of(*inputs: ModelInput, **facts: Any) -> Synthesizer:
    """A model that takes these inputs; nothing is generated here."""
    card = ModelCard(
        family="any",
        preset="tiny",
        settings={},
        image_shape=(3, SIDE, SIDE),
        latent_dim=4 if LATENTS in inputs else 0,
        weights_sha256="ab" * 32,
        network_inputs=inputs,
        map_classes=CLASSES if LABEL_MAPS in inputs else (),
        **facts,
    )
    backend: Any = SimpleNamespace(card=card, has_truncation=False, style_layers=0)
    return Synthesizer(backend)


DRAWING = model_of(LATENTS)
TRANSLATING = model_of(IMAGES)
BOTH_WAYS = model_of(IMAGES, directions=("AtoB", "BtoA"))
PAINTING = model_of(LABEL_MAPS, LATENTS, STYLES)
WITHOUT_ENCODER = model_of(LABEL_MAPS, LATENTS)
FLAT = model_of(LABEL_MAPS)
SORTED = model_of(LABEL_MAPS, LATENTS, LABELS, classes=(("cat", 3), ("dog", 5)))


def rows(array: np.ndarray, count: int) -> np.ndarray:
    """Different images or maps."""
    return np.concatenate([np.roll(array, number, axis=1) for number in range(count)])


def shapes(batch: InputBatch) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in batch.arrays.items()}


def test_one_map_and_many_seeds_make_as_many_images() -> None:
    batch = PAINTING.prepare_batch(seeds=[3, 4, 5], label_maps=MAP)
    assert shapes(batch) == {"label_maps": (3, SIDE, SIDE), "latents": (3, 4)}
    assert all(np.array_equal(one, MAP[0]) for one in batch.arrays["label_maps"])
    assert np.array_equal(batch.arrays["latents"], latents_of_seeds(PAINTING.card, [3, 4, 5]))
    assert len(batch) == 3 and batch.direction is None


def test_many_maps_and_one_seed_make_as_many_images() -> None:
    maps = rows(MAP, 4)
    batch = PAINTING.prepare_batch(seeds=[7], label_maps=maps)
    assert np.array_equal(batch.arrays["label_maps"], maps)
    assert np.array_equal(
        batch.arrays["latents"], latents_of_seeds(PAINTING.card, [7]).repeat(4, 0)
    )


def test_as_many_of_both_are_pairs() -> None:
    batch = PAINTING.prepare_batch(latents=np.eye(4)[:2], label_maps=rows(MAP, 2))
    assert np.array_equal(batch.arrays["latents"], np.eye(4)[:2])
    assert np.array_equal(batch.arrays["label_maps"], rows(MAP, 2))


def test_a_map_alone_has_the_seed_0() -> None:
    batch = PAINTING.prepare_batch(label_maps=rows(MAP, 2))
    assert np.array_equal(
        batch.arrays["latents"], PAINTING.prepare_batch([0, 0], label_maps=MAP).arrays["latents"]
    )
    assert shapes(FLAT.prepare_batch(label_maps=rows(MAP, 2))) == {"label_maps": (2, SIDE, SIDE)}


def test_a_style_takes_the_place_of_a_seed() -> None:
    batch = PAINTING.prepare_batch(label_maps=rows(MAP, 2), styles=IMAGE)
    assert shapes(batch) == {"label_maps": (2, SIDE, SIDE), "styles": (2, SIDE, SIDE, 3)}
    seeded = PAINTING.prepare_batch([1], label_maps=MAP)
    assert batch.kind != seeded.kind, "they never share a batch"


def test_images_are_translated_in_the_first_direction_unless_another_is_named() -> None:
    assert BOTH_WAYS.prepare_batch(images=IMAGE).direction == "AtoB"
    batch = BOTH_WAYS.prepare_batch(images=IMAGE, direction="BtoA")
    assert batch.direction == "BtoA" and np.array_equal(batch.arrays["images"], IMAGE)
    assert batch.kind != BOTH_WAYS.prepare_batch(images=IMAGE).kind


def test_an_interpolation_leads_between_seeds_over_one_map() -> None:
    batch = PAINTING.prepare_batch([1, 2], label_maps=MAP, interpolate=4)
    assert shapes(batch) == {"label_maps": (5, SIDE, SIDE), "latents": (5, 4)}
    ends = latents_of_seeds(PAINTING.card, [1, 2])
    assert np.array_equal(batch.arrays["latents"][[0, -1]], ends)


def test_classes_of_images_and_of_pixels_go_together() -> None:
    batch = SORTED.prepare_batch([1], label_maps=rows(MAP, 3), classes=["dog", 0, 1])
    assert list(batch.arrays) == ["label_maps", "latents", "labels"]
    assert batch.arrays["labels"].tolist() == [1, 0, 1]
    one_seed = SORTED.prepare_batch([5], label_maps=rows(MAP, 2)).arrays["labels"]
    same_seeds = SORTED.prepare_batch([5, 5], label_maps=MAP).arrays["labels"]
    assert one_seed.tolist() == same_seeds.tolist()


def test_other_integers_are_label_maps_too() -> None:
    for kind in (np.int64, np.uint16, np.int8):
        batch = FLAT.prepare_batch(label_maps=MAP.astype(kind))
        assert batch.arrays["label_maps"].dtype == np.uint8
        assert np.array_equal(batch.arrays["label_maps"], MAP)
    assert np.array_equal(FLAT.prepare_batch(label_maps=MAP.tolist()).arrays["label_maps"], MAP)


def test_arrays_that_cannot_be_written_or_are_views_are_taken() -> None:
    """As those that a body's bytes are read as; torch would warn about them."""
    read_only = np.frombuffer(IMAGE.tobytes(), np.uint8).reshape(IMAGE.shape)[:, ::-1, :, ::-1]
    batch = TRANSLATING.prepare_batch(images=read_only)
    assert batch.arrays["images"].flags.c_contiguous
    assert np.array_equal(batch.arrays["images"], read_only)


HIGH = np.where(np.arange(SIDE)[:, None] == 2, 3, MAP[0])[None]
REFUSED: list[tuple[Synthesizer, dict[str, Any], str]] = [
    # what the model does not take
    (DRAWING, {"images": IMAGE}, "images: this model generates images from seeds.*Send seeds"),
    (DRAWING, {"seeds": [1], "label_maps": MAP}, "label_maps: this model generates.*Send seeds"),
    (DRAWING, {"seeds": [1], "styles": IMAGE}, "no encoder of styles.*Leave styles out"),
    (DRAWING, {"seeds": [1], "direction": "AtoB"}, "one way only.*Leave direction out"),
    (TRANSLATING, {"label_maps": MAP}, r"images: is missing; this model translates images.*\(N, 8"),
    (TRANSLATING, {"images": IMAGE, "label_maps": MAP}, "label_maps: this model translates images"),
    (TRANSLATING, {"images": IMAGE, "seeds": [1]}, "seeds: .*same image for the same input"),
    (TRANSLATING, {"images": IMAGE, "latents": [[0.0]]}, "latents: .*Leave latents out"),
    (TRANSLATING, {"images": IMAGE, "interpolate": 3}, "interpolate: .*same image"),
    (TRANSLATING, {"images": IMAGE, "mix": [3]}, "mix: .*same image"),
    (TRANSLATING, {"images": IMAGE, "truncation_psi": 0.5}, "no truncation.*set it to 1"),
    (TRANSLATING, {"images": IMAGE, "classes": [0]}, "not conditional.*Leave classes out"),
    (TRANSLATING, {"images": IMAGE, "direction": "AtoB"}, "one way only"),
    (TRANSLATING, {"images": IMAGE, "styles": IMAGE}, "no encoder"),
    (BOTH_WAYS, {"images": IMAGE, "direction": "there"}, "'there' does not exist.*AtoB or BtoA"),
    (BOTH_WAYS, {"images": IMAGE, "direction": "\x1b" * 99}, "does not exist"),
    (PAINTING, {"seeds": [1]}, "label_maps: is missing; this model paints label maps.*0 to 2"),
    (PAINTING, {"images": IMAGE, "seeds": [1], "label_maps": MAP}, "images: this model paints"),
    (PAINTING, {}, "label_maps: is missing"),
    (WITHOUT_ENCODER, {"label_maps": MAP, "styles": IMAGE}, "no encoder.*seeds choose the style"),
    (FLAT, {"label_maps": MAP, "seeds": [1]}, "paints label maps, and gives the same image"),
    # what does not go together
    (PAINTING, {"label_maps": MAP, "seeds": [1], "styles": IMAGE}, "styles: goes without seeds"),
    (PAINTING, {"label_maps": MAP, "latents": np.eye(4), "styles": IMAGE}, "without latents"),
    (PAINTING, {"label_maps": MAP, "latents": np.eye(4), "seeds": [1]}, "either seeds or latents"),
    (PAINTING, {"label_maps": rows(MAP, 3), "seeds": [1, 2]}, "3 label_maps and 2 seeds"),
    (PAINTING, {"label_maps": rows(MAP, 2), "latents": np.eye(4)}, "2 label_maps and 4 seeds"),
    (PAINTING, {"label_maps": rows(MAP, 3), "styles": rows(IMAGE, 2)}, "3 label_maps and 2 styles"),
    (PAINTING, {"label_maps": MAP, "seeds": []}, "There are no seeds"),
    (DRAWING, {"seeds": []}, "There are no seeds"),
    (PAINTING, {"label_maps": rows(MAP, 2), "seeds": [1, 2], "interpolate": 4}, "has 2 label_maps"),
    (PAINTING, {"label_maps": MAP, "styles": rows(IMAGE, 2), "interpolate": 4}, "between styles"),
    (PAINTING, {"label_maps": MAP, "seeds": [1], "interpolate": 4}, "from one image to another"),
    (PAINTING, {"label_maps": MAP, "seeds": [1], "mix": [2]}, "no styles to mix"),
    (SORTED, {"label_maps": rows(MAP, 3), "seeds": [1], "classes": [0, 1]}, "2 classes do not fit"),
    # what is of another size or type
    (TRANSLATING, {"images": IMAGE[0]}, r"shape \(8, 8, 3\) and type uint8 does not fit"),
    (TRANSLATING, {"images": IMAGE[:, :4]}, r"shape \(1, 4, 8, 3\)"),
    (TRANSLATING, {"images": IMAGE[:0]}, r"shape \(0, 8, 8, 3\)"),
    (TRANSLATING, {"images": IMAGE[..., :1]}, r"shape \(1, 8, 8, 1\)"),
    (TRANSLATING, {"images": IMAGE / 255}, "type float64 does not fit.*uint8"),
    (TRANSLATING, {"images": IMAGE.astype(int)}, "type int64 does not fit"),
    (PAINTING, {"label_maps": MAP, "styles": IMAGE[:, :2]}, r"styles: an array of shape \(1, 2"),
    (FLAT, {"label_maps": MAP[0]}, r"label_maps: an array of shape \(8, 8\)"),
    (FLAT, {"label_maps": MAP[:0]}, r"shape \(0, 8, 8\)"),
    (FLAT, {"label_maps": MAP.astype(float)}, "float64 does not fit.*integers"),
    (FLAT, {"label_maps": MAP > 0}, "type bool does not fit"),
    (FLAT, {"label_maps": IMAGE}, r"shape \(1, 8, 8, 3\)"),
    (FLAT, {"label_maps": np.full((1, SIDE, SIDE), "a")}, "does not fit"),
    # classes of pixels that do not exist
    (FLAT, {"label_maps": np.concatenate([MAP, HIGH])},
     "8 pixels of a class that does not exist; the first is 3 in map 1, row 2, column 0.*"
     "from 0 to 2: sky, hair, skin"),
    (FLAT, {"label_maps": np.full((1, SIDE, SIDE), -1)}, "the first is -1 in map 0, row 0"),
    (FLAT, {"label_maps": np.full((1, SIDE, SIDE), 256)}, "64 pixels of a class.*is 256"),
    (FLAT, {"label_maps": np.full((1, SIDE, SIDE), 255, np.uint8)}, "is 255"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_does_not_fit_is_refused_by_one_sentence(place: int) -> None:
    model, asked, why = REFUSED[place]
    with pytest.raises(RequestError, match=why) as told:
        model.prepare_batch(**asked)
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


def test_batches_of_one_kind_are_joined_and_cut() -> None:
    parts = [PAINTING.prepare_batch([n], label_maps=rows(MAP, n)) for n in (1, 2, 3)]
    joined = InputBatch.join(parts)
    assert len(joined) == 6 and joined.kind == parts[0].kind
    assert np.array_equal(joined[3:].arrays["label_maps"], rows(MAP, 3))
    assert np.array_equal(joined[1:3].arrays["latents"], parts[1].arrays["latents"])


def test_every_model_has_an_example_of_what_it_takes() -> None:
    for model in (DRAWING, TRANSLATING, BOTH_WAYS, PAINTING, WITHOUT_ENCODER, FLAT, SORTED):
        batch = model.example_batch(3)
        asked = {name: array for name, array in batch.arrays.items() if name != "labels"}
        if "labels" in batch.arrays:
            asked["classes"] = batch.arrays["labels"].tolist()
        same = model.prepare_batch(**asked, direction=batch.direction)
        assert shapes(same) == shapes(batch) and same.kind == batch.kind
        for name, array in batch.arrays.items():
            assert np.array_equal(array, same.arrays[name])
            assert name == "labels" or len(np.unique(array, axis=0)) == 3, "rows differ"
