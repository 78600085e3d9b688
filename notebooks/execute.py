"""Runs the notebook from top to bottom in a folder of its own: for CI, and to keep its outputs."""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parent / "face_generation.ipynb"
OUT = Path("runs/notebook")
CELL_SECONDS = 1800  # a cell that takes longer hangs
MINUTES = re.compile(r"^MINUTES = \S+", re.M)


def main() -> None:
    """Execute, keep the result, and hold it to its time."""
    options = parse_options()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    started = time.monotonic()
    error = execute(notebook, options.minutes)
    took = (time.monotonic() - started) / 60
    OUT.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, OUT / NOTEBOOK.name)
    if error:
        sys.exit(f"Error: {error}\nHow far it came: {OUT / NOTEBOOK.name}")
    print(f"{NOTEBOOK.name} ran from top to bottom in {took:.1f} minutes: {OUT / NOTEBOOK.name}")
    if options.save:
        nbformat.write(notebook, NOTEBOOK)
        print(f"Its outputs are in {NOTEBOOK.name}: look at them before you commit them.")
    if options.within is not None and took > options.within:
        sys.exit(f"Error: it took {took:.1f} minutes, not {options.within:g}.")


def parse_options() -> argparse.Namespace:
    """What the notebook is run with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="of training, in place of the notebook's own")
    parser.add_argument("--within", type=float, metavar="MINUTES", help="fail if it takes longer")
    parser.add_argument("--save", action="store_true", help="keep the outputs in the repository")
    options = parser.parse_args()
    if options.save and options.minutes is not None:
        parser.error("--save keeps what the notebook says: leave --minutes out.")
    return options


def execute(notebook: NotebookNode, minutes: float | None = None) -> str:
    """Run all cells, in place; why it stopped, or "".

    Args:
        notebook: Gets its outputs, as far as it came.
        minutes: Of training; the notebook's own where None.
    """
    originals = [cell.source for cell in notebook.cells]
    if minutes is not None:
        set_minutes(notebook, minutes)
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            startup_timeout=300,  # a busy machine
            record_timing=False,  # a commit shall not differ by the hour
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
            error = ""
        except CellExecutionError as cause:
            error = f"a cell failed: {cause}"
        except (CellTimeoutError, DeadKernelError) as cause:
            error = f"the notebook came to no end: {cause}"
    for cell, source in zip(notebook.cells, originals, strict=True):
        cell.source = source
    notebook.metadata["language_info"] = {"name": "python"}  # without the version that ran it
    return error


def set_minutes(notebook: NotebookNode, minutes: float) -> None:
    """Replace the minutes of training.

    Raises:
        SystemExit: the notebook does not set them, or does it twice.
    """
    places = [cell for cell in notebook.cells if MINUTES.search(cell.source)]
    if len(places) != 1:
        sys.exit(f"Error: {NOTEBOOK.name} sets MINUTES in {len(places)} cells, not in one.")
    places[0].source = MINUTES.sub(f"MINUTES = {minutes:g}", places[0].source)


if __name__ == "__main__":
    main()
