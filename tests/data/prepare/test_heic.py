"""Phones' HEIC is read where pi-heif is installed; elsewhere it is counted, with how to read it."""

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
from tiny_images import picture, write_files

from facegan.data import ImageFolderDataset
from facegan.data.prepare import pixels
from facegan.data.prepare.pixels import (
    UnusableError,
    open_source_image,
    supported_formats,
    upright_rgb,
)

# 24 x 16 pixels, red at the left and blue at the right, to be turned by a quarter; made by libheif.
PHOTO = zlib.decompress(base64.b85decode(
    r"c-muNV30{GsVvAy%}izhg51nBLl8SRGck>UfpK$gYDppk1Sn>t<P<^K3<a6VB@Af5Br_);Y>0~k0}}%yh{bpvLIZ"
    r"&xPz(r|RN*3KKx~njnU@CUfn-I2oK&zfpqh-bWJ3ldK}L`g*NRNAa=wDhl3WI;N`_CF1w{ow`ch^=az2nQ1?qKXW"
    r"CjUM04tLF!0_kqj~@&S{LBeJ9TE<VJdFSUgA_1>R4{{(+%6`EM4+Um6C)#<%mRf*)@iTS&3g7galwHG1_qu6kZ?;"
    r"9P&Jzi<H6#Coj^N8GK&jRp<Z)<VvXdSM35^apbixP(f|MdzX9?vkiG!*xIjT>MJ7liGY1C;kmAfN$}eFCY0NChg+"
    r"%}(10!oA6H9X|kS&#2l$r(==Sxm0P6mfK$cmoaltfU}cxf=M=RA>hTuyn$wEyk@|FL|MFtq*i(@W-R-q9(1!tQev"
    r"8qVo0^)5df{+8{z`MTEEOFn<u`#Ch@{{6XGM%ChT|K9n)`{B9Pfn3=+K-1VD0q^U}patY{FfcLlgB{KW#A=K}pl|"
    r"{O2E;+RiP@<|3;=*Wfhz"
))  # fmt: skip
needs_plugin = pytest.mark.skipif("HEIF" not in supported_formats(), reason="needs pi-heif")


@needs_plugin
def test_it_is_read_and_upright(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {"IMG_0001.HEIC": PHOTO, "no_suffix": PHOTO})
    data = ImageFolderDataset(folder, 8)
    assert len(data) == 2
    top, bottom = data.images[0][0].mean(0), data.images[0][-1].mean(0)
    assert top[0] > 200 > 60 > top[2] and bottom[2] > 200 > 60 > bottom[0]


@needs_plugin
@pytest.mark.parametrize("noise", [b"\xff" * 40, bytes(40)])
def test_its_exif_costs_nothing(noise: bytes) -> None:
    start = PHOTO.index(b"MM\0*")
    content = PHOTO[: start + 4] + noise + PHOTO[start + 4 + len(noise) :]
    with open_source_image(content) as opened:
        assert np.asarray(upright_rgb(opened)).shape == (24, 16, 3)


@needs_plugin
def test_a_cut_one_is_named() -> None:
    for length in range(20, len(PHOTO) - 1, 50):
        with pytest.raises((UnusableError, ValueError)):
            open_source_image(PHOTO[:length]).load()


def test_without_the_plugin_it_is_counted_and_the_fix_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tuple(name for name in supported_formats() if name != "HEIF")
    monkeypatch.setattr(pixels, "supported_formats", lambda: without)
    folder = write_files(tmp_path, {"a.heic": PHOTO, "b.HEIF": PHOTO, "c.png": picture(1)})
    data = ImageFolderDataset(folder, 8)
    assert len(data) == 1 and len(data.skipped) == 2
    assert all("pip install 'facegan[heic]'" in reason for reason in data.skipped.values())
