"""The gallery of a range of seeds, and one of its faces large."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.pieces import captioned, picture_frame, picture_gallery, small_button
from facegan.studio.session import Studio
from facegan.studio.wishes import MAX_SEED, Look, Portrait, whole

MAX_SHOWN = 64


@dataclass(frozen=True)
class FacesTab:
    """What others need of this part: its inputs, its outputs, and the buttons beside the face."""

    inputs: list[Any]
    outputs: list[Any]
    keep: gr.Button
    morph_from: gr.Button
    morph_to: gr.Button


def draw(studio: Studio, first: Any, count: Any, look: Look, current: Portrait | None) -> Values:
    """A gallery of a range of seeds; what stood large stays, if it is drawn again."""
    count = whole(count, "How many", 1, MAX_SHOWN)
    first = whole(first, "First seed", 0, MAX_SEED + 1 - count)
    shown = studio.faces(range(first, first + count), look)
    same = [face for face in shown if current is not None and face.seed == current.seed]
    return [shown, captioned(shown), first, *enlarged((same or shown)[0])]


def enlarged(face: Portrait) -> Values:
    """One face as the large picture, its words, its seed and its file."""
    path = str(face.path)
    picture = gr.update(value=path, alt_text=face.caption)
    return [face, picture, f"### {face.caption}", face.seed, gr.update(value=path)]


def open_seed(studio: Studio, seed: Any, look: Look) -> Values:
    """Any seed as the large picture."""
    return enlarged(*studio.faces([whole(seed, "Seed")], look))


@dataclass(frozen=True)
class Range:
    """The gallery and what chooses its seeds."""

    first: gr.Number
    count: gr.Slider
    earlier: gr.Button
    start: gr.Button
    later: gr.Button
    surprise: gr.Button
    gallery: gr.Gallery


@dataclass(frozen=True)
class Large:
    """One face large, and what can be done with it."""

    picture: gr.Image
    words: gr.Markdown
    before: gr.Button
    seed: gr.Number
    after: gr.Button
    keep: gr.Button
    download: gr.DownloadButton
    morph_from: gr.Button
    morph_to: gr.Button

    def outputs(self, current: gr.State) -> list[Any]:
        """What :func:`enlarged` writes."""
        return [current, self.picture, self.words, self.seed, self.download]


def add_range() -> Range:
    """Lay out the gallery."""
    with gr.Row():
        first = gr.Number(0, label="First seed", precision=0, elem_id="first-seed")
        count = gr.Slider(1, MAX_SHOWN, 16, step=1, label="How many", elem_id="how-many")
    with gr.Row():
        earlier = small_button("← Earlier", "earlier")
        start = small_button("Draw", "draw", "primary")
        later = small_button("Later →", "later")
        surprise = small_button("Surprise me", "surprise")
    return Range(first, count, earlier, start, later, surprise, picture_gallery("gallery"))


def add_large() -> Large:
    """Lay out the large face."""
    picture = picture_frame("large")
    words = gr.Markdown(elem_id="large-words")
    with gr.Row():
        before = small_button("◀ Before", "before-face")
        seed = gr.Number(
            label="Seed", precision=0, elem_id="large-seed", min_width=90, container=False
        )
        after = small_button("Next ▶", "after-face")
    with gr.Row():
        keep = small_button("Keep", "keep", "primary")
        download = gr.DownloadButton("Download PNG", elem_id="download", min_width=80, size="md")
    with gr.Row():
        morph_from = small_button("Morph from here", "morph-from")
        morph_to = small_button("Morph to here", "morph-to")
    return Large(picture, words, before, seed, after, keep, download, morph_from, morph_to)


def add_faces_tab(desk: Desk) -> FacesTab:
    """Lay the part out, and say what its controls do."""
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            seeds = add_range()
        with gr.Column(scale=2, min_width=300):
            large = add_large()
    shown = gr.State([])
    one = large.outputs(desk.current)
    inputs = [seeds.first, seeds.count, *desk.look, desk.current]
    outputs = [shown, seeds.gallery, seeds.first, *one]
    wire_range(desk, seeds, inputs, outputs)
    desk.on_choice(seeds.gallery, lambda place, shown: enlarged(shown[place]), [shown], one)
    wire_large(desk, large, one)
    return FacesTab(inputs, outputs, large.keep, large.morph_from, large.morph_to)


def wire_range(desk: Desk, seeds: Range, inputs: list[Any], outputs: list[Any]) -> None:
    """What draws the gallery anew."""
    studio = desk.studio

    def draw_from(shift: int) -> Any:
        def work(first: Any, count: Any, psi: float, kind: str, current: Any) -> Values:
            wished = whole(first, "First seed") + shift * whole(count, "How many", 1, MAX_SHOWN)
            return draw(studio, max(0, wished), count, look_of(psi, kind), current)

        return work

    def somewhere(_: Any, count: Any, psi: float, kind: str, current: Any) -> Values:
        return draw(studio, studio.random_seeds(1)[0], count, look_of(psi, kind), current)

    # Sliders tell every step of theirs, and keys have no release: the last one is drawn.
    looks = [seeds.count.input, desk.psi.input, desk.kind.input]
    redraws = [seeds.start.click, seeds.first.submit, *looks]
    desk.on(redraws, draw_from(0), inputs, outputs, trigger_mode="always_last")
    desk.on([seeds.earlier.click], draw_from(-1), inputs, outputs)
    desk.on([seeds.later.click], draw_from(1), inputs, outputs)
    desk.on([seeds.surprise.click], somewhere, inputs, outputs)


def wire_large(desk: Desk, large: Large, one: list[Any]) -> None:
    """What puts another seed in the large picture."""

    def step(shift: int) -> Any:
        def work(seed: Any, psi: float, kind: str) -> Values:
            wished = min(max(0, whole(seed, "Seed") + shift), MAX_SEED)
            return open_seed(desk.studio, wished, look_of(psi, kind))

        return work

    steps = ((large.seed.submit, 0), (large.before.click, -1), (large.after.click, 1))
    for trigger, shift in steps:
        desk.on([trigger], step(shift), [large.seed, *desk.look], one)
