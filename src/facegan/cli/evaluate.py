"""`facegan evaluate`: FID, KID, precision and recall of a model, and how they were measured."""

import json
import os
from collections.abc import Iterator, Sequence
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
    from facegan.training.example_inputs import ExampleInputs

# Imports inside functions: `--help` and refusals answer without importing torch (1.6 s).


@click.command("evaluate")
@click.argument("model", type=MODEL)
@click.option(
    "--data",
    type=DATA,
    required=True,
    metavar="DIR",
    help="Real images: the training images or, better, held-out ones.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Split of the data set; all: every image.  [default: train, if there is one]",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="How many images to generate: seeds 0 to N - 1.",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use at most this many real images, a random choice that is always the same.  "
    "[default: all with Inception and 50000 samples or more, as in papers; else 50000]",
)
@click.option(
    "--extractor",
    type=click.Choice(["lite0", "inception"]),
    help="Network whose features are compared; inception gives the published metrics.  "
    "[default: inception with --inception-weights, else lite0]",
)
@click.option(
    "--inception-weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of the published weights (weights-inception-2015-12-05-6726825d.pth). Without it, "
    "--extractor inception downloads them.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for features of real images.  [default: facegan in your cache folder]",
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
    """Compare images of MODEL, a model.tar.gz or its folder, with real images.

    \b
    Examples:
      facegan evaluate runs/first/model.tar.gz --data runs/toy32
      facegan evaluate runs/first/model.tar.gz --data held-out/ --samples 2000 --json
      facegan evaluate runs/first/model.tar.gz --data faces/ --samples 50000 \\
          --extractor inception                     # FID and KID as in papers

    Without Inception the metrics are called fd_lite0, kid_lite0, precision_lite0 and
    recall_lite0: use them to compare your models with one another, not with anybody's FID. The
    paper's precision and recall use VGG-16, so with Inception they are called
    precision_inception and recall_inception. Never compare numbers of different protocols
    (samples, images, crop, extractor); the protocol is printed with them.
    """
    if inception_weights and extractor == "lite0":
        raise click.UsageError("--inception-weights needs --extractor inception; leave one out.")

    # torch takes seconds to import: after the command line is checked
    from facegan.artifact import load_artifact
    from facegan.errors import MetricError
    from facegan.gans.families import check_companions
    from facegan.metrics import Comparison, FeatureCache, open_extractor
    from facegan.synthesis import Synthesizer
    from facegan.training.data_source import absolute_source, open_source
    from facegan.training.example_inputs import ExampleInputs
    from facegan.training.open_data import open_dataset
    from facegan.training.precision import choose_device

    artifact = load_artifact(model)
    synthesizer = Synthesizer(artifact)
    features = open_extractor(
        extractor or ("inception" if inception_weights else "lite0"),
        inception_weights,
        str(choose_device("auto")),
    )
    with open_source(absolute_source(data)) as source:
        dataset = open_dataset(source, synthesizer.card.resolution, split=split)
        shape = synthesizer.card.image_shape
        if dataset.image_shape != shape:
            raise MetricError(f"The model's images are {shape}, which is not square.")
        features_cache = FeatureCache(cache or default_cache(os.environ))
        check_companions(artifact.family, artifact.preset, getattr(dataset, "companions", {}))
        examples = ExampleInputs(artifact, dataset)
        comparison = Comparison(
            examples.target,
            features,
            samples,
            pictures,
            about=dataset.describe(),
            cache=features_cache,
        )
        measured = measure(comparison, synthesizer, examples)
    click.echo(
        measured.as_json() if as_json else measured.as_table(comparison.small_sample_warning)
    )


@dataclass(frozen=True)
class Measurement:
    """A model's metrics and how they were measured."""

    metrics: dict[str, float]
    protocol: dict[str, Any]
    model: dict[str, Any]

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(asdict(self))

    def as_table(self, warning: str) -> str:
        """Return one line per metric, and the protocol for people."""
        lines = [*self.rows(), "", *self.protocol_lines(), *([warning] if warning else [])]
        return "\n".join(lines)

    def rows(self) -> Iterator[str]:
        """Yield each metric; KID with its standard deviation."""
        deviation = next(value for name, value in self.metrics.items() if name.endswith("_std"))
        for name, value in self.metrics.items():
            if name.startswith("kid") and not name.endswith("_std"):
                yield f"{name:<18}{value:.5g} ± {deviation:.2g}"
            elif not name.endswith("_std"):
                yield f"{name:<18}{value:.5g}"

    def protocol_lines(self) -> Iterator[str]:
        """Yield the protocol for people."""
        protocol = self.protocol
        data, extractor = protocol["data"], protocol["extractor"]
        neighbours = (
            f"k = {protocol['neighbours']} among {protocol['neighbours_among']:,} of either"
        )
        split = f" (split {data['split']})" if "split" in data else ""
        yield f"samples     {protocol['samples']:,}: {protocol['samples_are']}"
        yield (
            f"images      {protocol['pictures']:,} of {data['images']:,} of {data['name']}{split}, "
            f"{data['crop']}, {data['resize_filter']} to {data['resolution']} px "
            f"(SHA-256 {data['digest'][:12]}…)"
        )
        yield (
            f"extractor   {extractor['name']} in {extractor['precision']}, {extractor['resize']} "
            f"(SHA-256 {extractor['weights_sha256'][:12]}…)"
        )
        yield (
            f"computed    {protocol['computed_by']}: KID over {protocol['kid_subsets']} subsets of "
            f"{protocol['kid_subset_size']:,}; precision and recall with {neighbours}"
        )
        yield self.comparability()

    def comparability(self) -> str:
        """Return whether the metrics compare with published ones, and if not, why."""
        protocol = self.protocol
        if protocol["extractor"]["name"] != "inception":
            return "Use these numbers to compare models with one another; they are not FID or KID."
        features = "Precision and recall are over Inception's features; the paper uses VGG-16's."
        if protocol["fid_as_published"]:
            counts = f"{protocol['samples']:,} samples against all {protocol['pictures']:,} images"
            return f"FID as in papers: {counts}. {features}"
        return f"FID differs from papers, which use 50,000 samples and all images. {features}"


def measure(
    comparison: "Comparison", synthesizer: "Synthesizer", examples: "ExampleInputs"
) -> Measurement:
    """Extract features, generate and compare, with progress bars."""
    import torch  # takes seconds, as above
    from tqdm import tqdm  # of the training extra, as torch

    from facegan.training.example_inputs import Fakes

    def draw(samples: Sequence[int]) -> "Tensor":
        batch = synthesizer.prepare_batch(**examples.request(samples))
        pixels = synthesizer.generate_batch(batch)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    with tqdm(total=comparison.count, desc="Real images", unit="img", disable=None) as bar:
        comparison.reals(bar.update)
        bar.update(comparison.count - bar.n)  # the cached ones
    with tqdm(total=comparison.samples, desc="Samples", unit="img", disable=None) as bar:
        fakes = Fakes(examples, comparison.samples, draw)
        metrics = {**comparison.scores(fakes, bar.update), **fakes.differences()}
    card = synthesizer.card
    return Measurement(
        metrics=metrics,
        protocol=comparison.protocol(examples.describe(comparison.samples)).as_dict(),
        model={
            "family": card.family,
            "preset": card.preset,
            "kimg": card.kimg,
            "weights_sha256": card.weights_sha256,
        },
    )
