"""The tab of the gallery: images of a range of seeds, and one of them enlarged."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.studio.components import Components, Values, options_of
from facegan.studio.saved_image import MAX_SEED, GenerationOptions, SavedImage, parse_int
from facegan.studio.studio import Studio
from facegan.studio.widgets import captioned, image_frame, image_gallery, small_button

MAX_SHOWN = 64


@dataclass(frozen=True)
class FacesTab:
    """What other tabs need: inputs and outputs of :func:`generate_gallery`, and buttons."""

    inputs: list[Any]
    outputs: list[Any]
    keep: gr.Button
    morph_from: gr.Button
    morph_to: gr.Button


def generate_gallery(
    studio: Studio, first: Any, count: Any, options: GenerationOptions, current: SavedImage | None
) -> Values:
    """Generate a range of seeds; the enlarged image stays if it is among them."""
    count = parse_int(count, "How many", 1, MAX_SHOWN)
    first = parse_int(first, "First seed", 0, MAX_SEED + 1 - count)
    shown = studio.generate(range(first, first + count), options)
    same = [image for image in shown if current is not None and image.seed == current.seed]
    return [shown, captioned(shown), first, *enlarge((same or shown)[0])]


def enlarge(image: SavedImage) -> Values:
    """Return an image as the enlarged one, its caption, its seed and its file."""
    path = str(image.path)
    picture = gr.update(value=path, alt_text=image.caption)
    return [image, picture, f"### {image.caption}", image.seed, gr.update(value=path)]


@dataclass(frozen=True)
class SeedRange:
    """The gallery and the controls that choose its seeds."""

    first: gr.Number
    count: gr.Slider
    earlier: gr.Button
    start: gr.Button
    later: gr.Button
    surprise: gr.Button
    gallery: gr.Gallery


@dataclass(frozen=True)
class Enlarged:
    """The enlarged image and its controls."""

    image: gr.Image
    caption: gr.Markdown
    before: gr.Button
    seed: gr.Number
    after: gr.Button
    keep: gr.Button
    download: gr.DownloadButton
    morph_from: gr.Button
    morph_to: gr.Button


def add_seed_range() -> SeedRange:
    """Add the gallery's widgets."""
    with gr.Row():
        first = gr.Number(0, label="First seed", precision=0, elem_id="first-seed")
        count = gr.Slider(1, MAX_SHOWN, 16, step=1, label="How many", elem_id="how-many")
    with gr.Row():
        earlier = small_button("← Earlier", "earlier")
        start = small_button("Generate", "draw", "primary")
        later = small_button("Later →", "later")
        surprise = small_button("Surprise me", "surprise")
    return SeedRange(first, count, earlier, start, later, surprise, image_gallery("gallery"))


def add_enlarged() -> Enlarged:
    """Add the enlarged image's widgets."""
    image = image_frame("large")
    caption = gr.Markdown(elem_id="large-words")
    with gr.Row():
        before = small_button("◀ Previous", "before-face")
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
    return Enlarged(image, caption, before, seed, after, keep, download, morph_from, morph_to)


def add_faces_tab(components: Components) -> FacesTab:
    """Add the tab's widgets and handlers."""
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            seeds = add_seed_range()
        with gr.Column(scale=2, min_width=300):
            large = add_enlarged()
    shown = gr.State([])
    enlarged = [components.current, large.image, large.caption, large.seed, large.download]
    inputs = [seeds.first, seeds.count, *components.options, components.current]
    outputs = [shown, seeds.gallery, seeds.first, *enlarged]
    add_gallery_handlers(components, seeds, inputs, outputs)
    components.on_select(
        seeds.gallery, lambda index, shown: enlarge(shown[index]), [shown], enlarged
    )
    add_seed_handlers(components, large, enlarged)
    return FacesTab(inputs, outputs, large.keep, large.morph_from, large.morph_to)


def add_gallery_handlers(
    components: Components, seeds: SeedRange, inputs: list[Any], outputs: list[Any]
) -> None:
    """Add the handlers that generate the gallery anew."""
    studio = components.studio

    def generate_at(pages: int) -> Any:
        def work(first: Any, count: Any, psi: float, class_name: str, current: Any) -> Values:
            shift = pages * parse_int(count, "How many", 1, MAX_SHOWN)
            start = max(0, parse_int(first, "First seed") + shift)
            return generate_gallery(studio, start, count, options_of(psi, class_name), current)

        return work

    def anywhere(_: Any, count: Any, psi: float, class_name: str, current: Any) -> Values:
        (first,) = studio.random_seeds(1)
        return generate_gallery(studio, first, count, options_of(psi, class_name), current)

    # Sliders report every step, and keys have no release event: only the last value is generated.
    changed = [seeds.count.input, components.psi.input, components.class_name.input]
    triggers = [seeds.start.click, seeds.first.submit, *changed]
    components.on(triggers, generate_at(0), inputs, outputs, trigger_mode="always_last")
    components.on([seeds.earlier.click], generate_at(-1), inputs, outputs)
    components.on([seeds.later.click], generate_at(1), inputs, outputs)
    components.on([seeds.surprise.click], anywhere, inputs, outputs)


def add_seed_handlers(components: Components, large: Enlarged, enlarged: list[Any]) -> None:
    """Add the handlers that enlarge another seed."""

    def step(shift: int) -> Any:
        def work(seed: Any, psi: float, class_name: str) -> Values:
            wanted = min(max(0, parse_int(seed, "Seed") + shift), MAX_SEED)
            return enlarge(*components.studio.generate([wanted], options_of(psi, class_name)))

        return work

    steps = ((large.seed.submit, 0), (large.before.click, -1), (large.after.click, 1))
    for trigger, shift in steps:
        components.on([trigger], step(shift), [large.seed, *components.options], enlarged)
