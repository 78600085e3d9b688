"""BentoML with adaptive batching: one service asks another, whose method gathers callers' rows.

That is the arrangement of its documentation (docs.bentoml.com, "Adaptive batching", several
Services): a batched method of the outer service itself could answer in JSON only.
"""

import os

import bentoml
import numpy as np
import torch
from generator import TYPES, draw, encode, latents_of, load_generator
from starlette.responses import Response

MAX_BATCH = int(os.environ["MAX_BATCH"])
MAX_LATENCY_MS = int(os.environ["MAX_LATENCY_MS"])
QUIET = {"access": {"enabled": False}}  # no other server here writes a line a request


@bentoml.service(workers=1, traffic={"timeout": 60}, logging=QUIET)
class Model:
    """Generates batches of images from any number of callers."""

    def __init__(self) -> None:
        self.generator = load_generator()

    @bentoml.api(
        batchable=True, batch_dim=0, max_batch_size=MAX_BATCH, max_latency_ms=MAX_LATENCY_MS
    )
    def draw(self, latents: np.ndarray) -> np.ndarray:
        return draw(self.generator, torch.from_numpy(np.array(latents, np.float32)))


@bentoml.service(workers=1, traffic={"timeout": 60}, logging=QUIET)
class Dcgan:
    """Reads requests and writes replies."""

    model = bentoml.depends(Model)

    @bentoml.api(route="/invocations")
    async def invocations(self, seeds: list[int], reply: str) -> bytes:
        images = await self.model.to_async.draw(latents_of(seeds).numpy())
        return Response(encode(images, reply), media_type=TYPES[reply])  # sent as it is
