"""LitServe with its batching on (lightning.ai/docs/litserve/features/batching)."""

import os
from typing import Any

import litserve as ls
import torch
from fastapi import Response
from generator import TYPES, draw, encode, latents_of, load_generator


class Dcgan(ls.LitAPI):
    """Decode, gather, predict, part, encode: in a worker process, as LitServe does it."""

    def setup(self, device: str) -> None:
        self.generator = load_generator()

    def decode_request(self, request: dict[str, Any]) -> tuple[torch.Tensor, str]:
        return latents_of(request["seeds"]), request["reply"]

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, wishes: list[Any]) -> list[Any]:
        images = draw(self.generator, torch.cat([latents for latents, _ in wishes]))
        answers, first = [], 0
        for latents, kind in wishes:
            answers.append((images[first : first + len(latents)], kind))
            first += len(latents)
        return answers

    def unbatch(self, answers: list[Any]) -> list[Any]:
        return answers

    def encode_response(self, answer: Any) -> Response:
        images, kind = answer
        return Response(encode(images, kind), media_type=TYPES[kind])


if __name__ == "__main__":
    api = Dcgan(
        api_path="/invocations",
        max_batch_size=int(os.environ["MAX_BATCH"]),
        batch_timeout=float(os.environ["BATCH_SECONDS"]),
    )
    server = ls.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=1,
        healthcheck_path="/ping",
        fast_queue=os.environ["FAST_QUEUE"] == "1",
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
