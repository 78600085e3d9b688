"""Gradient accumulation: computes a batch's gradients in several passes that need less memory.

Every loss term is a mean over a batch's rows, and no row depends on another micro-batch. So the
mean of the micro-batches' gradients is the batch's gradient, to rounding. Each of them draws the
random numbers of the whole batch and takes its own rows of them (``gans/data_parallel.py``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from facegan.errors import ConfigError
from facegan.gans import Batch, Gan, Phase, Terms
from facegan.gans.data_parallel import BatchSlice, RunningMeans, use_slice


def check_no_batch_norm(gan: Gan) -> None:
    """Raise ConfigError if a player has batch norm, which depends on all images of a pass."""
    for name, player in gan.players.items():
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in player.modules()):
            raise ConfigError(
                f"micro_batch would change what is learned: the {name} has batch norm, whose mean "
                "and variance are those of all images of a pass.",
                "Leave micro_batch out.",
            )


class MicroBatches:
    """A phase's batch, cut into micro-batches.

    Args:
        gan: The players.
        batch: This process's rows.
        batch_slice: Which rows of the whole batch these are.
        count: The number of micro-batches.
        device: The networks' device.
    """

    def __init__(
        self, gan: Gan, batch: Batch, batch_slice: BatchSlice, count: int, device: torch.device
    ) -> None:
        self.batch, self.batch_slice, self.count, self.device = batch, batch_slice, count, device
        self.means = RunningMeans()
        self.outputs: dict[str, list[Tensor]] = {}  # what losses add to the batch, by name
        self.random_states = random_states(batch, device)
        buffers = [buffer for player in gan.players.values() for buffer in player.buffers()]
        self.buffers = [(buffer, buffer._version, buffer.clone()) for buffer in buffers]

    def backward(self, phase: Phase, compute: Callable[[Phase, Batch], Terms]) -> Terms:
        """Add a phase's gradients to those of its player; return its terms, detached."""
        if phase.needs_batch_means:
            for index in range(self.count):
                with self.micro_batch(index) as part:
                    compute(phase, part)
            self.means.measure()
        totals: Terms = {}
        for index in range(self.count):
            with self.micro_batch(index) as part:
                inputs = dict(part)
                terms = {name: term / self.count for name, term in compute(phase, part).items()}
                torch.stack(list(terms.values())).sum().backward()
                for name, value in part.items():
                    if value is not inputs.get(name):  # one row per image
                        self.outputs.setdefault(name, []).append(value)
            for name, term in terms.items():
                own = term.detach().float()
                totals[name] = totals[name] + own if name in totals else own
        self.means.apply()
        self.batch.update({name: torch.cat(parts) for name, parts in self.outputs.items()})
        return totals

    @contextmanager
    def micro_batch(self, index: int) -> Iterator[Batch]:
        """Yield the rows of one micro-batch; within, networks draw random numbers for them."""
        self.rewind()
        with use_slice(self.batch_slice.micro_batch(index, self.count)), self.means.micro_batch():
            yield rows_of(self.batch, index, self.count)

    def rewind(self) -> None:
        """Restore random numbers and buffers to their state before the phase.

        Buffers that a forward pass changes (the vectors of spectral norm) depend on the weights
        alone: after every micro-batch they are what they would be after the whole batch.
        """
        set_random_states(self.batch, self.device, self.random_states)
        for buffer, version, before in self.buffers:
            if buffer._version != version:
                buffer.copy_(before)


def rows_of(batch: Batch, index: int, count: int) -> Batch:
    """Return one of `count` parts of a batch; values that are not per row are in every part."""
    rows = len(batch["reals"])
    part = slice(index * rows // count, (index + 1) * rows // count)
    return {
        name: value[part] if isinstance(value, Tensor) and len(value) == rows else value
        for name, value in batch.items()
    }


def random_states(batch: Batch, device: torch.device) -> list[Tensor]:
    """Return the states of all random generators that a loss uses."""
    states = [batch["generator"].get_state(), torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_states(batch: Batch, device: torch.device, states: Sequence[Tensor]) -> None:
    """Restore what :func:`random_states` returned."""
    batch["generator"].set_state(states[0])
    torch.set_rng_state(states[1])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[2], device)
