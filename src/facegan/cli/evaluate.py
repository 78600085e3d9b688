"""`facegan evaluate`: FID, KID, precision and recall of a model, with the protocol beside them."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cache_folder import default_cache
from facegan.cli.inputs import DATA, MODEL

if TYPE_CHECKING:
    from torch import Tensor

    from facegan.metrics import Comparison
    from facegan.synthesis import Synthesizer

# Imports inside functions: `--help` and refusals answer without importing torch (1.6 s).

DRAWN_AT_ONCE = 64


@click.command("evaluate")
@click.argument("model", type=MODEL)
@click.option(
    "--data",
    type=DATA,
    required=True,
    metavar="DIR",
    help="Real pictures: those it was trained on or, better, others of their kind.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Which split of them; all: every picture.  [default: train, if there is one]",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="How many faces to draw: those of seeds 0 to N - 1.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many real pictures at most, chosen at random, the same ones always.  [default: all "
    "with Inception and 50000 samples or more, as papers have it; else 50000]",
)
@click.option(
    "--extractor",
    type=click.Choice(["lite0", "inception"]),
    help="What looks at the images; inception makes the published numbers.  "
    "[default: inception where --inception-weights are given, else lite0]",
)
@click.option(
    "--inception-weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The published weights (weights-inception-2015-12-05-6726825d.pth); without them "
    "--extractor inception downloads them.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where features of real pictures are kept.  [default: facegan in your cache folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    model: Path,
    data: str,
    split: str | None,
    samples: int,
    pictures: int | None,
    extractor: str | None,
    inception_weights: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure MODEL, a model.tar.gz or the folder of one, against real pictures.

    \b
    Examples:
      facegan evaluate runs/first/model.tar.gz --data runs/toy32
      facegan evaluate runs/first/model.tar.gz --data held-out/ --samples 2000 --json
      facegan evaluate runs/first/model.tar.gz --data faces/ --samples 50000 \\
          --extractor inception                     # FID and KID as papers have them

    Without Inception the numbers are called fd_lite0, kid_lite0, precision_lite0, recall_lite0:
    they compare models with one another, and not with anybody's FID. Precision and recall are
    the paper's over VGG-16 only, so with Inception they are called precision_inception and
    recall_inception. Numbers of different protocols (samples, pictures, crop, extractor) cannot
    be compared at all; the protocol is printed beside them.
    """
    if inception_weights and extractor == "lite0":
        raise click.UsageError("--inception-weights are for --extractor inception; leave one out.")

    # torch takes seconds to import: after the mistakes, not before
    from facegan.artifact import load_artifact
    from facegan.errors import MetricError
    from facegan.metrics import Comparison, FeatureCache, open_extractor
    from facegan.synthesis import Synthesizer
    from facegan.training.data_source import absolute_source, open_source
    from facegan.training.open_data import open_dataset
    from facegan.training.precision import choose_device

    synthesizer = Synthesizer(load_artifact(model))
    sees = open_extractor(
        extractor or ("inception" if inception_weights else "lite0"),
        inception_weights,
        str(choose_device("auto")),
    )
    with open_source(absolute_source(data)) as source:
        dataset = open_dataset(source, synthesizer.card.resolution, split=split)
        shape = synthesizer.card.image_shape
        if dataset.image_shape != shape:
            raise MetricError(f"The model draws {shape}, which is not square.")
        kept = FeatureCache(cache or default_cache(os.environ))
        about = dataset.describe()
        comparison = Comparison(dataset, sees, samples, pictures, about=about, cache=kept)
        found = measure(comparison, synthesizer)
    click.echo(found.as_json() if as_json else found.as_table(comparison.caution))


@dataclass(frozen=True)
class Measurement:
    """A model's numbers and how they were made."""

    metrics: dict[str, float]
    protocol: dict[str, Any]
    model: dict[str, Any]

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    def as_table(self, caution: str) -> str:
        """The numbers a line each, and the protocol in a few sentences."""
        lines = [*self.rows(), "", *self.sentences(), *([caution] if caution else [])]
        return "\n".join(lines)

    def rows(self) -> Iterator[str]:
        """Each number; KID with its deviation."""
        deviation = next(value for name, value in self.metrics.items() if name.endswith("_std"))
        for name, value in self.metrics.items():
            if name.startswith("kid") and not name.endswith("_std"):
                yield f"{name:<18}{value:.5g} ± {deviation:.2g}"
            elif not name.endswith("_std"):
                yield f"{name:<18}{value:.5g}"

    def sentences(self) -> Iterator[str]:
        """The protocol for people."""
        said = self.protocol
        data, extractor = said["data"], said["extractor"]
        split = f" (split {data['split']})" if "split" in data else ""
        yield f"samples     {said['samples']:,}: {said['samples_are']}"
        yield (
            f"pictures    {said['pictures']:,} of {data['images']:,} of {data['name']}{split}, "
            f"{data['crop']}, {data['resize_filter']} to {data['resolution']} px "
            f"(SHA-256 {data['digest'][:12]}…)"
        )
        yield (
            f"extractor   {extractor['name']} in {extractor['precision']}, {extractor['resize']} "
            f"(SHA-256 {extractor['weights_sha256'][:12]}…)"
        )
        yield (
            f"computed    {said['computed_by']}: KID over {said['kid_subsets']} subsets of "
            f"{said['kid_subset_size']:,}; precision and recall with k = {said['neighbours']} "
            f"among {said['neighbours_among']:,} of either"
        )
        yield self.standing()

    def standing(self) -> str:
        """Whether the numbers compare with published ones, and if not, why."""
        said = self.protocol
        if said["extractor"]["name"] != "inception":
            return "These numbers compare models with one another; they are not FID or KID."
        ours = "Precision and recall are ours: Inception's features, where the paper has VGG-16's."
        if said["fid_as_published"]:
            counts = f"{said['samples']:,} samples against all {said['pictures']:,} pictures"
            return f"FID as papers have it: {counts}. {ours}"
        return f"FID is not as papers have it: they take 50,000 samples and all pictures. {ours}"


def measure(comparison: "Comparison", synthesizer: "Synthesizer") -> Measurement:
    """Extract, draw and compare, each with a bar."""
    from tqdm import tqdm

    with tqdm(total=comparison.count, desc="Real pictures", unit="img", disable=None) as bar:
        comparison.reals(bar.update)
        bar.update(comparison.count - bar.n)  # the cache had them
    with tqdm(total=comparison.samples, desc="Samples", unit="img", disable=None) as bar:
        metrics = comparison.scores(draw(synthesizer, comparison.samples), bar.update)
    last = comparison.samples - 1
    card = synthesizer.card
    return Measurement(
        metrics=metrics,
        protocol=comparison.protocol(f"seeds 0 to {last}, truncation psi 1").as_dict(),
        model={
            "family": card.family,
            "preset": card.preset,
            "kimg": card.kimg,
            "weights_sha256": card.weights_sha256,
        },
    )


def draw(synthesizer: "Synthesizer", samples: int) -> Iterator["Tensor"]:
    """The faces of seeds 0 … samples - 1 as uint8 batches (n, 3, H, W)."""
    import torch

    for first in range(0, samples, DRAWN_AT_ONCE):
        seeds = range(first, min(first + DRAWN_AT_ONCE, samples))
        yield torch.from_numpy(synthesizer.generate(seeds)).permute(0, 3, 1, 2)
