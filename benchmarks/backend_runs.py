"""Measures one backend of the generator in its own process: start, speed and accuracy.

Run by bench_backends.py, in an environment with onnxruntime and openvino. ``export`` writes the
generator as ONNX, its latents, and the pixels that torch draws of them in float32; any other word
is a row of ``BACKENDS``, whose figures are printed as JSON.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

# On a busy machine processor time of one thread still says something, wall time does not.
IS_BUSY = os.environ.get("BUSY") == "1"
THREADS = 1 if IS_BUSY else 2
now = time.process_time if IS_BUSY else time.perf_counter
STARTED = now()  # before anything heavy is imported: the start is what is measured

import numpy as np  # noqa: E402

SIZES = (1, 2, 4, 8, 16, 32)
SECONDS = float(os.environ.get("SECONDS", "1"))
FOLDER = Path(os.environ["FOLDER"])
Images = Any  # float (N, 3, 64, 64), an array
Draw = Callable[[Any], Images]  # of latents, an array (N, 100)


def torch_eager(
    threads: int = THREADS, layout: str = "ours", folded: bool = False, half: bool = False
) -> Draw:
    """torch as it is. Layouts: "ours" keeps maps channels-last, "last" weights too."""
    import torch

    generator = torch_generator(threads, layout, folded)

    @torch.inference_mode()
    def draw(latents: Any) -> Images:
        z = torch.from_numpy(latents)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return generator(z).float().numpy()

    return draw


def torch_generator(threads: int, layout: str, folded: bool) -> Any:
    """Return the network in one layout, with or without batch norm folded."""
    import torch

    sys.path.insert(0, str(Path(__file__).with_name("peers")))
    from generator import BASE, WIDTHS, load_generator

    torch.set_num_threads(threads)
    generator = load_generator()
    if folded:
        fold(generator)
    if layout == "last":
        generator.to(memory_format=torch.channels_last)
    if layout == "contiguous":
        project = generator.project

        def forward(latents: Any) -> Any:
            x = project(latents).view(-1, BASE, BASE, WIDTHS[0]).permute(0, 3, 1, 2).contiguous()
            return torch.tanh(generator.to_rgb(generator.blocks(generator.start(x))))

        return forward
    return generator


def fold(generator: Any) -> None:
    """Fold batch norm into the convolution before it."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    blocks = list(generator.blocks)
    kept: list[Any] = []
    for index in range(0, len(blocks), 3):
        convolution, norm, active = blocks[index : index + 3]
        kept += [fuse_conv_bn_eval(convolution, norm, transpose=True), active]
    generator.blocks = nn.Sequential(*kept)


def onnx_runtime(threads: int = THREADS) -> Draw:
    """ONNX Runtime's own CPU kernels."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    path = str(FOLDER / "generator.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda latents: session.run(None, {"latents": latents})[0]


def openvino(precision: str = "f32") -> Draw:
    """OpenVINO's CPU plugin, with one compiled model per batch size."""
    sys.modules["openvino_telemetry"] = None  # it would report its use
    import openvino as ov

    core, compiled = ov.Core(), {}
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS,
             "INFERENCE_PRECISION_HINT": precision}  # fmt: skip

    def draw(latents: Any) -> Images:
        size = len(latents)
        if size not in compiled:
            model = core.read_model(FOLDER / "generator.onnx")
            model.reshape([size, 100])
            compiled[size] = core.compile_model(model, "CPU", hints).create_infer_request()
        return compiled[size].infer([latents], share_inputs=True)[0]

    return draw


BACKENDS: dict[str, Callable[[], Draw]] = {
    "torch": torch_eager,
    "torch, 1 thread": lambda: torch_eager(threads=1),
    "torch, contiguous": lambda: torch_eager(layout="contiguous"),
    "torch, weights channels-last": lambda: torch_eager(layout="last"),
    "torch, batch norm folded": lambda: torch_eager(folded=True),
    "torch, folded, channels-last": lambda: torch_eager(folded=True, layout="last"),
    "torch, bf16": lambda: torch_eager(half=True),
    "ONNX Runtime": onnx_runtime,
    "ONNX Runtime, 1 thread": lambda: onnx_runtime(1),
    "OpenVINO": openvino,
    "OpenVINO, bf16": lambda: openvino("bf16"),
}


def export() -> None:
    """Write ONNX, latents and expected pixels into FOLDER."""
    import torch

    generator = torch_generator(THREADS, "ours", False)
    latents = np.random.default_rng(0).standard_normal((32, 100)).astype(np.float32)
    np.save(FOLDER / "latents.npy", latents)
    with torch.inference_mode():
        np.save(FOLDER / "pixels.npy", to_levels(generator(torch.from_numpy(latents)).numpy()))
    batch = torch.export.Dim("batch", min=1, max=1024)
    stdout, sys.stdout = sys.stdout, io.StringIO()  # the exporter reports its progress there
    program = torch.onnx.export(
        generator, (torch.from_numpy(latents[:4]),), input_names=["latents"],
        dynamic_shapes=({0: batch},), dynamo=True, external_data=False,
    )  # fmt: skip
    sys.stdout = stdout
    program.save(str(FOLDER / "generator.onnx"))


def to_levels(images: Any) -> Any:
    """Return pixels as integers, signed so that they can be subtracted."""
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.int16)


def figures(name: str) -> dict[str, Any]:
    """Measure start, speed and accuracy of one backend."""
    latents = np.load(FOLDER / "latents.npy")
    draw = BACKENDS[name]()
    draw(latents[:1])
    found: dict[str, Any] = {"start_seconds": now() - STARTED, "memory_mb": pss_mb()}
    for size in SIZES:
        found[str(size)] = size / median(times_of(draw, latents[:size]))
    levels = to_levels(np.concatenate([draw(latents[i : i + 16]) for i in (0, 16)]))
    away = np.abs(levels - np.load(FOLDER / "pixels.npy"))
    return found | {"levels": int(away.max()), "unequal": float((away > 0).mean())}


def times_of(draw: Draw, latents: Any) -> list[float]:
    """Return the seconds of every call for a while."""
    for _ in range(3):
        draw(latents)
    times, ends = [], now() + SECONDS
    while not times or now() < ends:
        started = now()
        draw(latents)
        times.append(now() - started)
    return times


def pss_mb() -> float:
    """Return this process's memory."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export()
    else:
        print(json.dumps(figures(sys.argv[1])))
