"""A hostile .npy: nothing is unpickled, and nothing is allocated on a header's word."""

import contextlib
import io
import os
import pickle
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.errors import RequestError
from facegan.wire import NPY, decode_request


class Exploding:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def header_of(shape: str, descr: str = "'<f4'") -> bytes:
    """A version 1 header that claims anything."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (63 - (len(text) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def refused(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode_request(body, NPY)
    return caught.value


def test_an_object_array_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    """The payload would make a folder; it does when unpickled, and does not here."""
    trap = tmp_path / "trap"
    body = npy(np.array([[Exploding(trap)]], dtype=object), allow_pickle=True)
    assert refused(body).hint
    assert not trap.exists()
    np.load(io.BytesIO(body), allow_pickle=True)
    assert trap.exists()


def test_a_bare_pickle_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    """numpy.load would take a pickle without any .npy header too."""
    trap = tmp_path / "trap"
    refused(pickle.dumps(Exploding(trap)))
    assert not trap.exists()


@pytest.mark.parametrize(
    "shape", ["(1000000000, 100)", "(2, 99)", "(-1, 4)", "(10**9,)", "(2, 10, 10**30)", "(-2, -2)"]
)
def test_a_header_that_lies_about_its_size_is_refused_before_allocating(shape: str) -> None:
    """A claim of 400 GB costs no memory."""
    tracemalloc.start()
    refused(header_of(shape) + bytes(16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("shape", [
    "(True, 4)", "(4, True)", "(True, True)", "(False, 4)", "(1.0, 4)", "(None, 4)", "('1', 4)",
    "((1, 4),)", "[1, 4]", "{1, 4}", "4", "None", "(1,) * 70", "(1, 1, 1, 1, 1, 1, 1, 1, 4)",
    "(0, 10**30)", "(10**30, 0)", "(0, 99999999999999999999)", "(0, True)", "(1j, 4)", "(1e400, 4)",
    "(" + "1," * 3000 + ")", "(-0.0, 4)", "(b'1', 4)", "(..., 4)", "()", "(4,",
    "(99999999999999999999,)",
])  # fmt: skip
def test_a_shape_of_anything_but_sizes_is_refused(shape: str) -> None:
    """NumPy takes True for 1 here, and makes a TypeError of it later."""
    for numbers in (0, 4, 16):
        refused(header_of(shape) + bytes(numbers))


HEADER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
    | st.sampled_from(["<f4", "|O", "<f8", "|b1", "<U3", ">i2", "<m8", "V4", "f4,f4", "f16"]),
    lambda x: st.tuples(x, x) | st.lists(x, max_size=3) | st.lists(x, max_size=3).map(tuple),
    max_leaves=4,
)  # fmt: skip


@given(
    descr=HEADER | st.just("<f4"), fortran=HEADER | st.booleans(), body=st.binary(max_size=40),
    shape=HEADER | st.tuples(st.integers(-1, 9), st.integers(0, 9)), extra=st.booleans(),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]), cut=st.integers(0, 200),
)  # fmt: skip
def test_any_header_is_read_or_refused(
    descr: Any,
    fortran: Any,
    shape: Any,
    extra: bool,
    version: tuple[int, int],
    body: bytes,
    cut: int,
) -> None:
    """Nothing but a RequestError leaves the decoder."""
    fields = {"descr": descr, "fortran_order": fortran, "shape": shape} | (
        {"x": 1} if extra else {}
    )
    told = repr(fields).encode() + b"\n"
    size = len(told).to_bytes(2 if version == (1, 0) else 4, "little")
    whole = b"\x93NUMPY" + bytes(version) + size + told + body
    for data in (whole, whole[:cut]):
        with contextlib.suppress(RequestError):
            decode_request(data, NPY)


def test_bytes_after_the_array_are_refused() -> None:
    """A body is one array, no more."""
    assert "follow" in refused(npy(np.ones((1, 2))) + b"x").message


@pytest.mark.parametrize(
    "array",
    [
        np.ones((1, 2), complex),
        np.ones((1, 2), bool),
        np.ones(2, [("a", "f4"), ("b", "f4")]),
        np.array([["a", "b"]]),
        np.array([["2020-01-01"]], "datetime64[D]"),
    ],
)
def test_types_that_are_no_real_numbers_are_refused(array: np.ndarray) -> None:
    """Complex, boolean, structured, text and time arrays are no latents."""
    assert "not plain real numbers" in refused(npy(array)).message


@pytest.mark.parametrize(
    "array",
    [np.float32(1), np.ones((1, 2, 3)), np.ones((0, 4)), np.ones((2, 0)), np.ones(0)],
)
def test_shapes_that_are_no_latents_are_refused(array: np.ndarray) -> None:
    """Latents are (N, width) with both at least 1."""
    refused(npy(array))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    """NaN would draw a black face."""
    assert "NaN" in refused(npy(np.array([[0.0, value]]))).message


@pytest.mark.parametrize("text", ["'<f4' if 1else 2", "'\\d'", "0x1for", "1 is 1", "'<f4'.1L"])
def test_no_header_is_evaluated_or_warned_of(text: str) -> None:
    """What Python's compiler warns of would be lines in the server's log."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for body in (header_of("(1, 2)", text) + bytes(8), header_of(text) + bytes(8)):
            assert "npy" in refused(body).message
        refused(npy(np.full((1, 2), np.finfo(np.longdouble).max)))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 2L), }",  # Python 2
        '{"shape":(1,2),"descr":"<f4","fortran_order":False}',
        "{ 'fortran_order' : True , 'shape' : ( 1 , 2 , ) , 'descr' : 'f4' }   \n",
    ],
)
def test_headers_of_other_writers_are_read(header: str) -> None:
    size = len(header).to_bytes(2, "little")
    body = b"\x93NUMPY\x01\x00" + size + header.encode() + np.float32([1, 2]).tobytes()
    latents = decode_request(body, NPY).latents
    assert latents is not None and latents.tolist() == [[1, 2]]


@pytest.mark.parametrize("version", [(3, 0), (9, 9)])
def test_other_versions_are_refused(version: tuple[int, int]) -> None:
    """Version 3 is for names of structured types, which are refused anyhow."""
    body = bytearray(npy(np.ones((1, 2))))
    body[6:8] = bytes(version)
    refused(bytes(body))


@pytest.mark.parametrize(
    "text", ["__import__('os').getcwd()", "'O'", "(" * 200, "'V8'", "[('a', 'O')]", "'<f4', 1: 2"]
)
def test_a_hostile_header_is_refused(text: str) -> None:
    """It is matched as text; nothing in it has an effect."""
    refused(header_of("(1, 2)", text) + bytes(8))


def test_one_latent_may_come_without_a_row() -> None:
    """(width,) is one latent (1, width)."""
    request = decode_request(npy(np.arange(4, dtype=np.float32)), NPY)
    assert request.latents is not None and request.latents.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_real_type_and_order_of_numbers_is_read(dtype: str, order: Any) -> None:
    """Big-endian and Fortran-ordered numbers arrive as native floats."""
    array = np.arange(6).reshape(2, 3).astype(dtype).copy(order=order)
    latents = decode_request(npy(array), NPY).latents
    assert latents is not None and np.array_equal(latents, [[0, 1, 2], [3, 4, 5]])
    assert latents.dtype.isnative and latents.dtype in (np.float32, np.float64)


@pytest.mark.parametrize("dtype", ["i4", "u1", ">i8"])
def test_whole_numbers_are_never_silently_latents(dtype: str) -> None:
    """A label map sent to a model of faces once gave an image of noise for each of its rows."""
    error = refused(npy(np.zeros((32, 32), dtype)))
    assert np.dtype(dtype).name in error.message and "latents are floats" in error.message
    assert "astype('float32')" in error.hint


def test_whole_numbers_in_json_are_latents() -> None:
    """JSON does not tell 1 from 1.0, and the field is named."""
    latents = decode_request(b'{"latents": [[1, 2], [3, 4]]}', "application/json").latents
    assert latents is not None and latents.tolist() == [[1, 2], [3, 4]]
