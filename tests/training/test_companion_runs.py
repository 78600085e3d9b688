"""Training on images and their companions: pairs, label maps and a second domain."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from facegan.data import ImageFolderDataset, PackedDataset
from facegan.data.prepare import prepare
from facegan.data.splits import DatasetSlice
from facegan.errors import ConfigError
from facegan.gans import Batch, Gan, Phase, Terms
from facegan.gans.family import Adam, Family
from facegan.hyperparameters.setting import Preset
from facegan.model_inputs import IMAGES, ModelInput
from facegan.training import Trainer, TrainingConfig
from facegan.training.example_inputs import ExampleInputs, Fakes
from facegan.training.sample_images import TickSampler, in_colours
from facegan.training.trainer import sample_images

SHAPE = (3, 8, 8)


@dataclass(frozen=True, kw_only=True)
class TwoWays(Preset):
    latent_dim: int = 0
    recipe: dict[str, Any] = field(
        default_factory=lambda: {"batch_size": 4, "total_kimg": 0.04, "ema_half_life_kimg": 0.01}
    )


class JointCycle(Family):
    """Two generators, trained by one backward pass on two domains (arXiv:1703.10593)."""

    name, paper = "jointcycle", "a test"
    presets = {"tiny": TwoWays()}
    generators = ("AtoB", "BtoA")
    discriminators = ()

    def inputs(self, preset: Preset) -> tuple[ModelInput, ...]:
        return (IMAGES,)

    def companions(self, preset: Preset) -> tuple[str, ...]:
        return ("unpaired",)

    def directions(self, preset: Preset) -> tuple[str, ...]:
        return self.generators

    def served(self, preset: Preset) -> tuple[str, ...]:
        return self.generators

    def target(self, preset: Preset) -> str:
        return "unpaired"

    def build_players(self, preset: Preset, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        return {name: nn.Conv2d(3, 3, 1) for name in self.generators}

    def build_generator(self, preset: Preset, image_shape: tuple[int, ...]) -> nn.Module:
        return nn.Conv2d(3, 3, 1)

    def optimizers(self, preset: Preset, kimg: float = 0.0) -> dict[str, Adam]:
        return {name: Adam(0.1, 0.5, 0.9) for name in self.generators}

    def phases(self, preset: Preset) -> tuple[Phase, ...]:
        return (Phase(self.generators, cycle_loss),)


class Aligned(JointCycle):
    """One generator that learns the paired image."""

    name, generators = "aligned", ("generator",)

    def companions(self, preset: Preset) -> tuple[str, ...]:
        return ("paired",)

    def directions(self, preset: Preset) -> tuple[str, ...]:
        return ()

    def target(self, preset: Preset) -> str:
        return "paired"

    def phases(self, preset: Preset) -> tuple[Phase, ...]:
        def loss(gan: Gan, batch: Batch) -> Terms:
            made = gan.players["generator"](batch["reals"])
            return {"l1": (made - batch["paired"]).abs().mean()}

        return (Phase(("generator",), loss),)


def cycle_loss(gan: Gan, batch: Batch) -> Terms:
    a, b = batch["reals"], batch["unpaired"]
    there, back = gan.players["AtoB"], gan.players["BtoA"]
    return {"cycle": (back(there(a)) - a).abs().mean() + (there(back(b)) - b).abs().mean()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images with pairs (their negatives) and maps, and five of another domain."""
    place = tmp_path_factory.mktemp("companions")
    numbers = np.random.default_rng(0)
    for name in ("images", "negatives", "maps", "others"):
        (place / name).mkdir()
    for k in range(12):
        pixels = numbers.integers(0, 256, SHAPE[1:] + SHAPE[:1], np.uint8)
        Image.fromarray(pixels).save(place / f"images/{k:02}.png")
        Image.fromarray(255 - pixels).save(place / f"negatives/{k:02}.png")
        Image.fromarray(pixels[..., 0] // 64).save(place / f"maps/{k:02}.png")
        if k < 5:
            Image.fromarray(pixels // 2).save(place / f"others/{k:02}.png")
    prepare(
        place / "images", place / "out", 8, workers=1, paired=place / "negatives",
        label_maps=place / "maps", unpaired=place / "others",
    )  # fmt: skip
    return place / "out"


def gan_of(family: Family, seed: int = 0) -> Gan:
    torch.manual_seed(seed)
    players = family.build_players(None, SHAPE)  # type: ignore[arg-type]
    return Gan(family, "tiny", family.presets["tiny"], SHAPE, players)


def as_bytes(images: Tensor) -> Tensor:
    return ((images + 1) * 127.5).round().byte()


def config(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{"tick_kimg": 0.004, "precision": "fp32", **changes})


class All(Aligned):
    def companions(self, preset: Preset) -> tuple[str, ...]:
        return ("paired", "label_maps", "unpaired")


def test_a_batch_has_the_companions_of_its_images_mirrored_with_them(folder: Path) -> None:
    trainer = Trainer(gan_of(All()), PackedDataset(folder), config(mirror=True, batch_size=12))
    mirrored = 0
    for number in range(2):
        batch = trainer.next_batch(number)
        assert "latents" not in batch
        assert torch.equal(as_bytes(batch["paired"]), 255 - as_bytes(batch["reals"]))
        maps = batch["label_maps"]
        assert maps.dtype == torch.int64 and maps.shape == (12, 8, 8)
        assert torch.equal(maps, as_bytes(batch["reals"][:, 0]).long() // 64)
        straight = Trainer(gan_of(All()), PackedDataset(folder), config(batch_size=12))
        mirrored += int(
            (straight.next_batch(number)["reals"] != batch["reals"]).any((1, 2, 3)).sum()
        )
        again = trainer.next_batch(number)
        assert all(torch.equal(again[name], batch[name]) for name in ("reals", "unpaired"))
    assert mirrored == 12  # each once in two epochs


def test_the_second_domain_has_an_order_and_a_length_of_its_own(folder: Path) -> None:
    dataset = PackedDataset(folder)
    trainer = Trainer(gan_of(JointCycle()), dataset, config(batch_size=5))
    others = dataset.companions["unpaired"].read(torch.arange(5))
    orders = []
    for number in range(3):  # each image once in every five
        batch = as_bytes(trainer.next_batch(number)["unpaired"])
        found = (batch[:, None] == others[None]).flatten(2).all(2).nonzero()[:, 1].tolist()
        assert sorted(found) == list(range(5))
        orders.append(found)
    assert orders[0] != orders[1] or orders[1] != orders[2]


def test_one_backward_pass_updates_both_players_as_one_optimiser_would(folder: Path) -> None:
    trainer, other = (
        Trainer(gan_of(JointCycle()), PackedDataset(folder), config()),
        gan_of(JointCycle()),
    )
    passes = []
    original = Tensor.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "backward", lambda self: (passes.append(1), original(self))[1])
        trainer.step()
    assert len(passes) == 1
    joint = torch.optim.Adam(
        [w for player in other.players.values() for w in player.parameters()], 0.1, (0.5, 0.9),
        fused=True,
    )  # fmt: skip
    for player in other.players.values():
        player.to(memory_format=torch.channels_last)
    torch.stack(list(cycle_loss(other, trainer.next_batch(0)).values())).sum().backward()
    joint.step()
    for name in JointCycle.generators:
        for one, two in zip(
            trainer.gan.players[name].parameters(), other.players[name].parameters(), strict=True
        ):
            torch.testing.assert_close(one, two)


def test_data_without_the_companion_is_refused_with_the_command(
    folder: Path, images_dir: Path
) -> None:
    with pytest.raises(ConfigError, match=r"jointcycle needs images of a second domain") as refused:
        Trainer(gan_of(JointCycle()), ImageFolderDataset(images_dir, 8), config())
    assert "--unpaired OTHERS" in str(refused.value) and "only images" in str(refused.value)


def test_samples_have_the_inputs_and_the_truths_of_the_data(folder: Path) -> None:
    dataset, gan = PackedDataset(folder), gan_of(Aligned())
    examples = ExampleInputs(gan, dataset)
    assert examples.is_aligned
    (images,) = examples.inputs(range(10, 14))  # starts again after the twelfth
    expected = dataset.read(torch.tensor([10, 11, 0, 1]))
    assert torch.equal(as_bytes(images), expected)
    perfect = Fakes(examples, 20, lambda n: 255 - as_bytes(*examples.inputs(n)))
    assert sum(len(batch) for batch in perfect) == 20
    assert perfect.differences() == {"l1": 0.0}
    assert not ExampleInputs(gan_of(JointCycle()), dataset).is_aligned


def test_a_ticks_grid_shows_input_output_and_truth_or_the_way_back(folder: Path) -> None:
    dataset = PackedDataset(folder)
    trainer = Trainer(gan_of(Aligned()), dataset, config())
    drawn = TickSampler(trainer).draw(trainer)
    tile = slice(0, 8)
    assert np.array_equal(
        drawn.grid[tile, tile], dataset.read(torch.tensor([0]))[0].permute(1, 2, 0)
    )
    assert np.array_equal(drawn.grid[tile, 10:18], drawn.samples[0].permute(1, 2, 0))
    truth = dataset.companions["paired"].read(torch.tensor([0]))[0].permute(1, 2, 0)
    assert np.array_equal(drawn.grid[tile, 20:28], truth)
    both = Trainer(gan_of(JointCycle()), dataset, config())
    grid = TickSampler(both).draw(both).grid
    returned = both.draw_pixels(*ExampleInputs(both.gan, dataset).inputs([0]), player="AtoB")
    assert np.array_equal(grid[tile, 10:18], returned[0].permute(1, 2, 0))
    assert grid.shape == (8 * 10 - 2, 12 * 10 - 2, 3)


def test_label_maps_are_shown_in_their_colours() -> None:
    maps = torch.tensor([[[[0, 1]]]], dtype=torch.uint8)
    assert in_colours(maps, {"sky": "#0000ff", "sea": "#102030"}).flatten().tolist() == [
        0, 0x10, 0, 0x20, 255, 0x30,
    ]  # fmt: skip


def test_a_split_has_the_companions_of_its_images(folder: Path) -> None:
    dataset = PackedDataset(folder)
    part = DatasetSlice(dataset.companions["paired"], 3, 7)
    assert len(part) == 4
    assert torch.equal(part.read(torch.tensor([0])), 255 - dataset.read(torch.tensor([3])))


def test_an_averaged_generator_of_each_direction_is_kept(folder: Path) -> None:
    trainer = Trainer(gan_of(JointCycle()), PackedDataset(folder), config())
    trainer.run()
    assert list(trainer.gan.served) == ["AtoB", "BtoA"]
    assert set(trainer.gan.served_weights()) == {
        f"{name}.{part}" for name in JointCycle.generators for part in ("weight", "bias")
    }
    images = torch.zeros(1, *SHAPE)
    expected = trainer.averages["BtoA"].module(images)
    assert torch.equal(sample_images(trainer, images, player="BtoA"), expected)
