"""The studio with models of label maps and images: drawings, translations, what the page posts."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_data import MAP_CLASSES
from PIL import Image
from studio_helpers import GreySquares, HalvedMaps

from facegan.client import FaceClient, Reply, WSGITransport
from facegan.errors import InvocationError, RequestError
from facegan.studio import Studio
from facegan.studio.drawings import (
    colour_map,
    data_url,
    mean_difference,
    palette_of,
    parse_data_url,
    parse_drawing,
    snap_to_classes,
)
from facegan.studio.model_info import ModelInfo
from facegan.wire import encode_pixels, read_provenance

CLASSES = tuple(MAP_CLASSES.items())
Make = Callable[..., Studio]


def random_map(side: int = 32) -> Any:
    return np.random.default_rng(0).integers(0, len(CLASSES), (side, side), np.uint8)


def random_image(side: int = 32) -> Any:
    return np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)


def read_pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


# --- what models say ------------------------------------------------------------------------------


def test_a_model_says_what_it_takes(
    make_studio: Make,
    plain: WSGITransport,
    painting: WSGITransport,
    labelling: WSGITransport,
    cycling: WSGITransport,
) -> None:
    """Inputs, directions, and classes with their colours: tabs follow them."""
    info = make_studio(plain).model_info()
    assert info.needs_only_seeds and not info.paints and not info.translates
    info = make_studio(painting).model_info()
    assert info.paints and not info.needs_only_seeds and not info.translates
    assert info.map_classes == CLASSES and "latents" in info.inputs
    assert make_studio(labelling).model_info().inputs == ("label_maps",)
    info = make_studio(cycling).model_info()
    assert info.translates and not info.paints and info.directions == ("AtoB", "BtoA")


# --- drawings -------------------------------------------------------------------------------------


def test_the_colours_of_classes_are_their_numbers() -> None:
    numbers = random_map()
    pixels = np.asarray(Image.open(io.BytesIO(colour_map(numbers, CLASSES))))
    assert (snap_to_classes(pixels, CLASSES) == numbers).all()


def test_colours_between_classes_become_the_nearest() -> None:
    """As the smooth edges of strokes have; compared with every class, pixel by pixel."""
    pixels, palette = random_image(), palette_of(CLASSES).astype(float)
    expected = [
        [int(np.argmin([np.linalg.norm(pixel - colour) for colour in palette])) for pixel in row]
        for row in pixels.astype(float)
    ]
    assert (snap_to_classes(pixels, CLASSES) == expected).all()
    edge = np.array([[[100, 70, 40], [0x98, 0x98, 0x98]]], np.uint8)
    assert snap_to_classes(edge, CLASSES).tolist() == [[1, 2]]


def test_a_posted_image_is_its_bytes() -> None:
    png = encode_pixels(random_image())
    assert parse_data_url(data_url(png)) == png
    assert (parse_drawing(data_url(png), 32) == random_image()).all()


@pytest.mark.parametrize(
    "text", [None, "", "/etc/passwd", "http://192.0.2.1/a.png", "data:image/png;base64,",
             "data:image/png;base64,%%", "data:text/html;base64,aGk=", "file:///etc/passwd"]
)  # fmt: skip
def test_nothing_but_an_image_is_taken(text: str | None) -> None:
    """No file of this machine, and no address."""
    with pytest.raises(RequestError, match="no image"):
        parse_data_url(text)
    with pytest.raises(RequestError, match="no drawing"):
        parse_drawing(text, 32)


def test_a_drawing_has_the_canvas_size() -> None:
    with pytest.raises(RequestError, match="no drawing"):
        parse_drawing(data_url(encode_pixels(random_image(16))), 32)
    with pytest.raises(RequestError, match="no drawing"):
        parse_drawing(data_url(b"GIF89a not a png"), 32)


# --- painting -------------------------------------------------------------------------------------


def test_a_drawing_is_painted_once_per_seed(make_studio: Make, painting: WSGITransport) -> None:
    """The very PNGs that any client gets for this label map."""
    numbers = random_map()
    images = make_studio(painting).paint(palette_of(CLASSES)[numbers], range(3, 9))
    expected = FaceClient(painting).faces(range(3, 9), label_maps=numbers)
    assert [image.path.read_bytes() for image in images] == [its.png for its in expected]
    assert [image.caption for image in images] == [f"seed {seed}" for seed in range(3, 9)]
    assert len({image.path for image in images}) == 6
    assert read_provenance(images[0].path.read_bytes())["facegan:seeds"] == "3"


def test_another_drawing_has_other_files(make_studio: Make, painting: WSGITransport) -> None:
    """A browser shows an address's first image again."""
    studio = make_studio(painting)
    one, other = (
        studio.paint(palette_of(CLASSES)[numbers], [1])[0].path
        for numbers in (random_map(), np.zeros((32, 32), np.uint8))
    )
    assert one != other and one.read_bytes() != other.read_bytes()


def test_without_latents_a_drawing_has_one_image(
    make_studio: Make, labelling: WSGITransport
) -> None:
    numbers = random_map()
    (image,) = make_studio(labelling).paint(palette_of(CLASSES)[numbers], range(6))
    assert (read_pixels(image.path) == FaceClient(labelling).paint(numbers)[0]).all()
    assert image.seed is None


def test_painting_starts_from_a_map_of_the_data(make_studio: Make, painting: WSGITransport) -> None:
    """Or from one of class 0, without a data set and of one without label maps."""

    def start(**others: Any) -> Any:
        png = make_studio(painting, **others).start_map()
        return snap_to_classes(np.asarray(Image.open(io.BytesIO(png))), CLASSES)

    assert np.unique(start(open_real_images=HalvedMaps)).tolist() == [1, 3]
    assert (start(open_real_images=HalvedMaps) == HalvedMaps(32).label_map(0)).all()
    for others in ({}, {"open_real_images": GreySquares}):
        assert start(**others).shape == (32, 32) and not start(**others).any()


def test_label_maps_come_with_a_prepared_data_set(images_dir: Path, tmp_path: Path) -> None:
    """At the model's resolution, each of its own image; a plain folder has none."""
    from facegan.cli.studio_dataset import DatasetImages
    from facegan.data.prepare import prepare

    for folder in ("images", "maps"):
        (tmp_path / folder).mkdir()
    maps = np.random.default_rng(3).integers(0, 4, (2, 8, 8), np.uint8)
    for index, label_map in enumerate(maps):
        Image.fromarray(random_image(8) // (index + 1)).save(tmp_path / f"images/{index}.png")
        Image.fromarray(label_map).save(tmp_path / f"maps/{index}.png")
    prepare(tmp_path / "images", tmp_path / "out", 8, workers=1, label_maps=tmp_path / "maps")
    reals = DatasetImages(tmp_path / "out", 8)
    assert len(reals) == 2
    for index, label_map in enumerate(maps):
        assert (np.asarray(reals.label_map(index)) == label_map).all()
    assert DatasetImages(images_dir, 32).label_map(0) is None


def test_maps_with_more_classes_than_the_model_are_refused() -> None:
    with pytest.raises(RequestError, match="class 4; the model's last is 3"):
        colour_map(np.full((2, 2), 4, np.uint8), CLASSES)


# --- translating ----------------------------------------------------------------------------------


def test_an_image_is_translated(make_studio: Make, translating: WSGITransport) -> None:
    """By its own bytes: the digest in the result is the file's."""
    source = encode_pixels(random_image())
    found = make_studio(translating).translate(source, None)
    expected = FaceClient(translating).translate(random_image())[0]
    assert (read_pixels(found.there) == expected).all()
    assert found.back is None and found.difference is None


@pytest.mark.parametrize("direction", ["AtoB", "BtoA", None])
def test_two_directions_go_there_and_back(
    make_studio: Make, cycling: WSGITransport, direction: str | None
) -> None:
    """The difference is that of the whole way, from the square that the model saw."""
    wide = np.random.default_rng(2).integers(0, 256, (32, 48, 3), np.uint8)
    found = make_studio(cycling).translate(encode_pixels(wide), direction)
    client = FaceClient(cycling)
    there = client.translate(wide, direction)[0]
    back = client.translate(there, "AtoB" if direction == "BtoA" else "BtoA")[0]
    assert found.back is not None
    assert (read_pixels(found.there) == there).all() and (read_pixels(found.back) == back).all()
    centre = wide[:, 8:40].astype(float)
    assert found.difference == pytest.approx(np.abs(centre - back).mean())
    assert found.difference > 1


def test_the_difference_of_images_has_no_overflow() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert mean_difference(black, white) == mean_difference(white, black) == 255
    assert mean_difference(black, black) == 0


def test_a_file_that_is_not_an_image_is_told(make_studio: Make, cycling: WSGITransport) -> None:
    """In the endpoint's words."""
    with pytest.raises(InvocationError, match="not a readable PNG, JPEG or WebP"):
        make_studio(cycling).translate(b"not an image", "AtoB")


def test_images_go_to_the_endpoint_only(make_studio: Make, cycling: WSGITransport) -> None:
    """The studio's folder holds what the endpoint made, and nothing of the source."""
    sent: list[bytes] = []

    class Noting:
        def send(self, body: bytes, content_type: str, accept: str) -> Reply:
            sent.append(body)
            return cycling.send(body, content_type, accept)

    studio, source = make_studio(Noting()), encode_pixels(random_image())
    found = studio.translate(source, "AtoB")
    assert sorted(studio.folder.rglob("*.*")) == sorted([found.there, found.back])
    assert source not in [path.read_bytes() for path in (found.there, found.back) if path]
    assert len(sent) == 3  # what it takes, there, back


def test_an_answer_without_inputs_is_refused(make_studio: Make) -> None:
    class Partial:
        def send(self, *_: Any) -> Reply:
            return Reply(200, "application/json", b'{"model": {"family": "dcgan"}}')

    with pytest.raises(InvocationError, match="not of a facegan model"):
        make_studio(Partial()).model_info()
    assert ModelInfo("dcgan", "tiny", 32, "0").needs_only_seeds
