"""Painting label maps on this machine: data, training GauGAN (spade), serving, PNG in and out."""

from pathlib import Path
from typing import Any

from demo_steps import (
    connect,
    describe,
    facegan,
    first_files,
    invoke,
    parse_options,
    save_table,
    say,
    serving,
    summarise,
    train,
)

ROOT = Path("runs/paint")
MAPS, SEEDS = 6, range(4)


def main() -> None:
    """Run every step, and say where its result is."""
    options = parse_options(__doc__, images=6_000, minutes=3)
    toys, data = ROOT / f"toys-{options.images}", ROOT / f"data-{options.images}"
    new, run = ROOT / "new-faces", ROOT / "run"
    say("1/3", f"Drawing {options.images:,} synthetic cartoon faces with their label maps")
    draw_faces(toys, options.images, seed=0)
    facegan("data", "prepare", toys, "--out", data, "--resolution", 32, "--label-maps", toys,
            is_quiet=True)  # fmt: skip
    draw_faces(new, MAPS, seed=1)
    say("2/3", f"Training spade's preset toy32, at most {options.minutes:g} minutes")
    train(data, run, "spade", options.minutes)
    say("3/3", f"Serving the model, and sending it {MAPS} label maps that it has not seen")
    with serving(run / "model.tar.gz") as url:
        columns = paint(connect(url), new)
    save_table(ROOT / "painted.png", columns)
    summary = summarise(ROOT, run, options.started_at)
    print(f"""
{describe(summary)}

Look at   {ROOT}/painted.png     label maps, the faces they are of, and four seeds' images
          {run}/samples/         label map, output and truth through time
Then      facegan report {run}   how well the label maps are obeyed, class by class
          facegan serve {run}/model.tar.gz   and send it a map of your own: docs/image-to-image.md
""")


def draw_faces(folder: Path, count: int, seed: int) -> None:
    """Draw toy faces with their label maps."""
    facegan("data", "toy", "--out", folder, "--images", count, "--resolution", 32,
            "--seed", seed, "--label-maps", is_quiet=True)  # fmt: skip


def paint(runtime: Any, faces: Path) -> dict[str, list[bytes]]:
    """Return label maps, the faces they are of, and what the endpoint makes of each by seed."""
    maps = first_files(faces / "labels", MAPS)
    painted = {f"seed {seed}": [invoke(runtime, it, seed=seed) for it in maps] for seed in SEEDS}
    return {"label map": maps, "truth": first_files(faces / "images", MAPS), **painted}


if __name__ == "__main__":
    main()
