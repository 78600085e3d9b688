"""Gradio components that all tabs share, and event handlers whose errors appear in the page."""

import html
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.errors import FaceGANError
from facegan.studio.saved_image import GenerationOptions
from facegan.studio.studio import Studio

log = logging.getLogger(__name__)

BY_SEED = "chosen by seed"
NO_ALERT = gr.update(value="", visible=False)
Values = Sequence[Any]  # one per output component
Handler = Callable[..., Values]


@dataclass(frozen=True)
class Components:
    """The components that every tab reads or writes.

    Attributes:
        studio: Reaches the endpoint.
        banner: Shows errors.
        status: Shows how long replies take.
        psi: The truncation of all images.
        class_name: The class of all images.
        current: The selected SavedImage, or None.
        kept: The favourites, a list of SavedImage.
    """

    studio: Studio
    banner: gr.HTML
    status: gr.HTML
    psi: gr.Slider
    class_name: gr.Dropdown
    current: gr.State
    kept: gr.State

    @property
    def options(self) -> list[gr.components.Component]:
        """The inputs that :func:`options_of` reads."""
        return [self.psi, self.class_name]

    def on(
        self,
        triggers: Sequence[Any],
        handler: Handler,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        **options: Any,
    ) -> Any:
        """Call a handler on any of the triggers."""
        return gr.on(
            list(triggers),
            self.guarded(handler, len(outputs)),
            list(inputs),
            [self.banner, self.status, *outputs],
            show_progress="minimal",
            **options,
        )

    def on_select(
        self, gallery: gr.Gallery, handler: Handler, inputs: Values, outputs: Values
    ) -> Any:
        """Call a handler with the index of the image that is selected in a gallery."""
        guarded = self.guarded(handler, len(outputs))

        def select(event: gr.SelectData, *values: Any) -> Values:
            return guarded(event.index, *values)

        outputs = [self.banner, self.status, *outputs]
        return gallery.select(select, list(inputs), outputs, show_progress="hidden")

    def guarded(self, handler: Handler, count: int, on_error: Values = ()) -> Handler:
        """Wrap a handler: errors go to the banner, and the outputs stay as they were.

        Args:
            handler: Returns one value per output.
            count: How many outputs it has.
            on_error: Values for the outputs after an error, if they are to change.
        """
        unchanged = on_error or [gr.skip() for _ in range(count)]

        def run(*values: Any) -> Values:
            try:
                return [NO_ALERT, self.studio.latency.summary, *handler(*values)]
            except FaceGANError as error:
                banner = alert(error.message, error.hint)
            except Exception:
                log.exception("The studio failed")
                banner = alert("The studio failed.", "See its terminal for the reason.")
            return [banner, self.studio.latency.summary, *unchanged]

        return run


def options_of(psi: float, class_name: str | None) -> GenerationOptions:
    """Return the options that the controls show."""
    return GenerationOptions(float(psi), None if class_name in (None, BY_SEED) else str(class_name))


def alert(message: str, hint: str) -> Any:
    """Return an error as a banner that screen readers speak."""
    text = f"<strong>{html.escape(message)}</strong> {html.escape(hint)}".rstrip()
    return gr.update(value=f'<div class="studio-alert" role="alert">{text}</div>', visible=True)
