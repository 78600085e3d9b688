"""The gallery of a range of seeds, and one of its faces large."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.studio.desk import Desk, Values, look_of
from facegan.studio.session import Studio
from facegan.studio.wishes import MAX_SEED, Look, Portrait, whole

MAX_SHOWN = 64
Shown = Sequence[Portrait]


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


def captioned(shown: Shown) -> list[tuple[str, str]]:
    """Portraits as a gallery shows them."""
    return [(str(face.path), face.caption) for face in shown]


def enlarged(face: Portrait) -> Values:
    """One face as the large picture, its words, its seed and its file."""
    path = str(face.path)
    picture = gr.update(value=path, alt_text=face.caption)
    return [face, picture, f"### {face.caption}", face.seed, gr.update(value=path)]


def open_seed(studio: Studio, seed: Any, look: Look) -> Values:
    """Any seed as the large picture."""
    return enlarged(*studio.faces([whole(seed, "Seed")], look))


def small_button(words: str, name: str, variant: str = "secondary") -> gr.Button:
    """One of several in a row."""
    return gr.Button(words, elem_id=name, variant=variant, size="md", min_width=85)


def add_faces_tab(desk: Desk) -> FacesTab:
    """Lay the part out, and say what its controls do."""
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            with gr.Row():
                first = gr.Number(0, label="First seed", precision=0, elem_id="first-seed")
                count = gr.Slider(1, MAX_SHOWN, 16, step=1, label="How many", elem_id="how-many")
            with gr.Row():
                earlier = small_button("← Earlier", "earlier")
                start = small_button("Draw", "draw", "primary")
                later = small_button("Later →", "later")
                surprise = small_button("Surprise me", "surprise")
            gallery = gr.Gallery(
                label="Faces",
                show_label=False,
                columns=4,
                height="auto",
                allow_preview=False,
                object_fit="contain",
                buttons=[],
                interactive=False,
                elem_id="gallery",
            )
        with gr.Column(scale=2, min_width=300):
            large = gr.Image(
                type="filepath",
                label="Face",
                show_label=False,
                interactive=False,
                buttons=[],
                elem_id="large",
            )
            words = gr.Markdown(elem_id="large-words")
            with gr.Row():
                before = small_button("◀ Before", "before-face")
                seed = gr.Number(
                    label="Seed", precision=0, elem_id="large-seed", min_width=90, container=False
                )
                after = small_button("Next ▶", "after-face")
            with gr.Row():
                keep = small_button("Keep", "keep", "primary")
                download = gr.DownloadButton(
                    "Download PNG", elem_id="download", min_width=80, size="md"
                )
            with gr.Row():
                morph_from = small_button("Morph from here", "morph-from")
                morph_to = small_button("Morph to here", "morph-to")
    shown = gr.State([])
    one = [desk.current, large, words, seed, download]
    inputs = [first, count, *desk.look, desk.current]
    outputs = [shown, gallery, first, *one]
    studio = desk.studio

    def draw_from(shift: int) -> Any:
        def work(first: Any, count: Any, psi: float, kind: str, current: Any) -> Values:
            wished = whole(first, "First seed") + shift * whole(count, "How many", 1, MAX_SHOWN)
            return draw(studio, max(0, wished), count, look_of(psi, kind), current)

        return work

    def somewhere(_: Any, count: Any, psi: float, kind: str, current: Any) -> Values:
        return draw(studio, studio.random_seeds(1)[0], count, look_of(psi, kind), current)

    def step(shift: int) -> Any:
        def work(seed: Any, psi: float, kind: str) -> Values:
            wished = min(max(0, whole(seed, "Seed") + shift), MAX_SEED)
            return open_seed(studio, wished, look_of(psi, kind))

        return work

    # Sliders tell every step of theirs, and keys have no release: the last one is drawn.
    redraws = [start.click, first.submit, count.input, desk.psi.input, desk.kind.input]
    desk.on(redraws, draw_from(0), inputs, outputs, trigger_mode="always_last")
    desk.on([earlier.click], draw_from(-1), inputs, outputs)
    desk.on([later.click], draw_from(1), inputs, outputs)
    desk.on([surprise.click], somewhere, inputs, outputs)
    desk.on_choice(gallery, lambda place, shown: enlarged(shown[place]), [shown], one)
    for trigger, shift in ((seed.submit, 0), (before.click, -1), (after.click, 1)):
        desk.on([trigger], step(shift), [seed, *desk.look], one)
    return FacesTab(inputs, outputs, keep, morph_from, morph_to)
