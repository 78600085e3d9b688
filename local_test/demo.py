"""The whole line on this machine, as a user would type it: data, training, serving, faces."""

import shutil
from pathlib import Path

from demo_steps import describe, facegan, parse_options, say, serving, summarise, train

ROOT = Path("runs/demo")


def main() -> None:
    """Run every step, and say where its result is."""
    options = parse_options(__doc__, images=20_000, minutes=3.8)
    data, run = ROOT / f"data-{options.images}", ROOT / "run"
    say("1/3", f"Drawing {options.images:,} synthetic cartoon faces (none is a person)")
    facegan("data", "toy", "--out", data, "--images", options.images, "--resolution", 32)
    say("2/3", f"Training the preset toy32, at most {options.minutes:g} minutes")
    train(data, run, "dcgan", options.minutes)
    shutil.copyfile(run / "model.tar.gz", ROOT / "model.tar.gz")
    say("3/3", "Serving the model, and asking it for faces through boto3")
    with serving(ROOT / "model.tar.gz") as url:
        facegan(
            "invoke",
            "--endpoint-url",
            url,
            "--seeds",
            "0-63",
            "--out",
            ROOT / "faces.png",
            "--scale",
            3,
        )
    summary = summarise(ROOT, run, options.started_at)
    print(f"""
{describe(summary)}

Look at   {ROOT}/faces.png       64 faces, drawn by a GAN and fetched from a server
          {run}/samples/         the same 64 latents through time
          {ROOT}/summary.json    the figures
Then      make serve RUN={run}   and, in another terminal: make faces SEEDS=100-163
          facegan train --data your/photos --out runs/mine --resolution 32
""")


if __name__ == "__main__":
    main()
