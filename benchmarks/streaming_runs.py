"""Streaming libraries side by side, for decision 13: speed alone, and whether they resume exactly.

Run it by a Python that has them, one at a time: ``python benchmarks/streaming_runs.py webdataset``,
``litdata`` or ``mosaicml``. All read the same 64 px PNGs in their own shards, shuffled, in one
process, once as bytes and once decoded into batches; then a loader with its state is stopped after
eight batches and another goes on, with as many workers and with others.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

SIDE, BATCH, SHARD = 64, 128, 512
Samples = Callable[[], Iterator[bytes]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=sorted(LIBRARIES))
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write, samples, loader = LIBRARIES[options.library]
        write(data, [png_of(number) for number in range(options.images)])
        found = {
            "bytes_per_second_images": round(rate(samples(data), options.seconds, len)),
            "images_per_second": round(rate(samples(data), options.seconds, decode)),
        }
        if loader:
            found["one_order_for_0_1_2_workers"] = keeps_order(loader, data)
            for before, after in ((0, 0), (2, 2), (2, 1)):
                found[f"exact_{before}_to_{after}_workers"] = goes_on(loader, data, before, after)
    print(json.dumps({"library": options.library, **found}))


def png_of(number: int) -> bytes:
    """A picture that compresses as a face does, and tells its number in its first pixel."""
    noise = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
    picture = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    picture.putpixel((0, 0), (number // 65536, number // 256 % 256, number % 256))
    stream = io.BytesIO()
    picture.save(stream, "png")
    return stream.getvalue()


def decode(content: bytes) -> Any:
    """One picture's pixels."""
    return np.asarray(Image.open(io.BytesIO(content)))


def rate(samples: Samples, seconds: float, use: Callable[[bytes], Any]) -> float:
    """Images per second; decoded ones are made a batch of."""
    count, batch, started = 0, [], time.perf_counter()
    while time.perf_counter() - started < seconds:
        for content in samples():
            batch.append(use(content))
            if len(batch) == BATCH:
                if use is decode:
                    torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()
                count, batch = count + BATCH, []
                if time.perf_counter() - started > seconds:
                    break
    return count / (time.perf_counter() - started)


def keeps_order(loader: Any, data: Path) -> bool | str:
    """Whether the order is the same for any number of workers."""
    try:
        none, one, two = ([batch.tolist() for batch in loader(data, n)] for n in (0, 1, 2))
    except Exception as cause:
        return f"{type(cause).__name__}: {cause}"[:200]
    return none == one == two


def goes_on(loader: Any, data: Path, before: int, after: int) -> str:
    """Whether the images after a stop are those that would have come."""
    try:
        stream, seen, state = iter(one := loader(data, before)), [], None
        for number, batch in enumerate(stream, 1):
            if number > 8:
                seen.append(batch.tolist())
            if number == 8:
                state = one.state_dict()
        two = loader(data, after)
        two.load_state_dict(state)
        again = [batch.tolist() for batch in two]
    except Exception as cause:
        return f"{type(cause).__name__}: {cause}"[:200]
    if again == seen:
        return "the same order"
    same = sorted(x for b in again for x in b) == sorted(x for b in seen for x in b)
    return "the same images, in another order" if same else "other images"


# --- the libraries --------------------------------------------------------------------------------


def write_tars(data: Path, files: list[bytes]) -> None:
    import webdataset

    data.mkdir()
    with webdataset.ShardWriter(str(data / "%05d.tar"), maxcount=SHARD, verbose=0) as writer:
        for number, content in enumerate(files):
            writer.write({"__key__": f"{number:09d}", "png": content})


def read_tars(data: Path) -> Samples:
    import webdataset

    files = sorted(map(str, data.iterdir()))

    def samples() -> Iterator[bytes]:
        stream: Any = webdataset.WebDataset(files, shardshuffle=len(files), seed=0)
        for sample in stream.shuffle(1000):
            yield sample["png"]

    return samples


def as_sample(numbered: tuple[int, bytes]) -> dict[str, Any]:
    return {"number": numbered[0], "png": numbered[1]}


def write_chunks(data: Path, files: list[bytes]) -> None:
    import litdata

    inputs = list(enumerate(files))
    size = SHARD * len(files[0])
    litdata.optimize(as_sample, inputs, str(data), chunk_bytes=size, num_workers=1)


def read_chunks(data: Path) -> Samples:
    import litdata

    stream = litdata.StreamingDataset(str(data), shuffle=True, seed=0)

    def samples() -> Iterator[bytes]:
        for sample in stream:
            yield sample["png"]

    return samples


def load_chunks(data: Path, workers: int) -> Any:
    import litdata

    stream = litdata.StreamingDataset(str(data), shuffle=True, seed=0)
    return litdata.StreamingDataLoader(
        stream, batch_size=BATCH, num_workers=workers, collate_fn=numbers_of
    )


def numbers_of(samples: list[dict[str, Any]]) -> torch.Tensor:
    return torch.tensor([int(sample["number"]) for sample in samples])


def write_mds(data: Path, files: list[bytes]) -> None:
    from facegan.metrics.fidelity import load_torchvision

    load_torchvision()  # which the library imports, beside whatever torch
    from streaming import MDSWriter

    columns = {"number": "int", "png": "bytes"}
    with MDSWriter(out=str(data), columns=columns, size_limit=SHARD * len(files[0])) as writer:
        for number, content in enumerate(files):
            writer.write({"number": number, "png": content})


def read_mds(data: Path) -> Samples:
    from streaming import StreamingDataset

    stream = StreamingDataset(local=str(data), shuffle=True, shuffle_seed=0, batch_size=BATCH)

    def samples() -> Iterator[bytes]:
        for sample in stream:
            yield sample["png"]

    return samples


def load_mds(data: Path, workers: int) -> Any:
    from streaming import StreamingDataLoader, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    stream = StreamingDataset(local=str(data), shuffle=True, shuffle_seed=0, batch_size=BATCH)
    return StreamingDataLoader(stream, batch_size=BATCH, num_workers=workers, collate_fn=numbers_of)


LIBRARIES: dict[str, tuple[Any, Any, Any]] = {
    "webdataset": (write_tars, read_tars, None),
    "litdata": (write_chunks, read_chunks, load_chunks),
    "mosaicml": (write_mds, read_mds, load_mds),
}


if __name__ == "__main__":
    main()
