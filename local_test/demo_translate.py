"""Day to night and back on this machine: data, training CycleGAN, serving, PNG in and out."""

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

ROOT = Path("runs/translate")
FACES = 6


def main() -> None:
    """Run every step, and say where its result is."""
    options = parse_options(__doc__, images=6_000, minutes=4)
    toys, data = ROOT / f"toys-{options.images}", ROOT / f"data-{options.images}"
    new, run = ROOT / "new-faces", ROOT / "run"
    say("1/3", f"Drawing {options.images:,} cartoon faces by day, and as many others at night")
    draw_faces(toys, options.images, 0, "--unpaired")
    facegan("data", "prepare", toys, "--out", data, "--resolution", 32, "--unpaired", toys,
            is_quiet=True)  # fmt: skip
    draw_faces(new, FACES, 1, "--paired")  # the same faces by day and at night: the truth
    say("2/3", f"Training cyclegan's preset toy32, at most {options.minutes:g} minutes")
    train(data, run, "cyclegan", options.minutes)
    say("3/3", f"Serving the model, and sending it {FACES} new faces of each kind")
    with serving(run / "model.tar.gz") as url:
        columns = translate(connect(url), new)
    save_table(ROOT / "translated.png", columns)
    summary = summarise(ROOT, run, options.started_at)
    print(f"""
{describe(summary)}

Look at   {ROOT}/translated.png  faces by day made night, faces at night made day, and the truth
          {run}/samples/         both ways and back again, through time
Then      facegan report {run}
          facegan serve {run}/model.tar.gz   and send it an image: docs/image-to-image.md
""")


def draw_faces(folder: Path, count: int, seed: int, companion: str) -> None:
    """Draw toy faces by day, with others or the same ones at night."""
    facegan("data", "toy", "--out", folder, "--images", count, "--resolution", 32,
            "--seed", seed, companion, "night", is_quiet=True)  # fmt: skip


def translate(runtime: Any, faces: Path) -> dict[str, list[bytes]]:
    """Return faces by day and at night, and what the endpoint makes of each, beside the truth."""
    day, night = (first_files(faces / folder, FACES) for folder in ("images", "paired"))
    return {
        "day": day,
        "made night": [invoke(runtime, it, direction="AtoB") for it in day],
        "true night": night,
        "night": night,
        "made day": [invoke(runtime, it, direction="BtoA") for it in night],
        "true day": day,
    }


if __name__ == "__main__":
    main()
