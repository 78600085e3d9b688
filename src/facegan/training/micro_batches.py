"""Gradients of one batch from several smaller passes, for devices that do not hold it at once.

Every loss term is a mean over a batch's rows, and no row sees those of another micro-batch. So the
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
    """Refuse networks whose results depend on all images of a pass.

    Raises:
        ConfigError: there is batch norm in a player.
    """
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
        share: Which rows of the whole batch these are.
        count: How many micro-batches there are.
        device: Whose random numbers the networks draw.
    """

    def __init__(
        self, gan: Gan, batch: Batch, share: BatchSlice, count: int, device: torch.device
    ) -> None:
        self.batch, self.batch_slice, self.count, self.device = batch, share, count, device
        self.means = RunningMeans()
        self.left: dict[str, list[Tensor]] = {}  # by losses, for other phases
        self.numbers = random_states(batch, device)
        buffers = [buffer for player in gan.players.values() for buffer in player.buffers()]
        self.buffers = [(buffer, buffer._version, buffer.clone()) for buffer in buffers]

    def derive(self, phase: Phase, compute: Callable[[Phase, Batch], Terms]) -> Terms:
        """Add a phase's gradients to those of its player; return its terms' means, detached."""
        if phase.needs_batch_means:
            for index in range(self.count):
                with self.seeing(index) as part:
                    compute(phase, part)
            self.means.measure()
        totals: Terms = {}
        for index in range(self.count):
            with self.seeing(index) as part:
                given = dict(part)
                terms = {name: term / self.count for name, term in compute(phase, part).items()}
                torch.stack(list(terms.values())).sum().backward()
                self.note_left(part, given)
            for name, term in terms.items():
                own = term.detach().float()
                totals[name] = totals[name] + own if name in totals else own
        self.means.apply()
        self.batch.update({name: torch.cat(parts) for name, parts in self.left.items()})
        return totals

    @contextmanager
    def seeing(self, index: int) -> Iterator[Batch]:
        """Within, the rows of one micro-batch are seen, by networks and losses alike."""
        self.rewind()
        with use_slice(self.batch_slice.micro_batch(index, self.count)), self.means.micro_batch():
            yield rows_of(self.batch, index, self.count)

    def rewind(self) -> None:
        """Make random numbers and buffers what they were before the phase.

        A buffer that a forward pass changes by itself (the vectors of spectral norm) follows from
        the weights alone: every micro-batch leaves in it what the whole batch would have.
        """
        set_random_states(self.batch, self.device, self.numbers)
        for buffer, version, before in self.buffers:
            if buffer._version != version:
                buffer.copy_(before)

    def note_left(self, part: Batch, given: Batch) -> None:
        """Keep what a loss has left in a micro-batch: tensors, one row per image."""
        for name, value in part.items():
            if value is not given.get(name):
                self.left.setdefault(name, []).append(value)


def rows_of(batch: Batch, index: int, count: int) -> Batch:
    """One of `count` parts of a batch; what is no tensor of its rows is the same in all of them."""
    rows = len(batch["reals"])
    part = slice(index * rows // count, (index + 1) * rows // count)
    return {
        name: value[part] if isinstance(value, Tensor) and len(value) == rows else value
        for name, value in batch.items()
    }


def random_states(batch: Batch, device: torch.device) -> list[Tensor]:
    """The states of all generators that a loss draws from."""
    states = [batch["generator"].get_state(), torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_states(batch: Batch, device: torch.device, states: Sequence[Tensor]) -> None:
    """Make all generators go on from where :func:`random_states` was called."""
    batch["generator"].set_state(states[0])
    torch.set_rng_state(states[1])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[2], device)
