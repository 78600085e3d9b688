"""What all parts of the page share: the look of faces, the favourites, and how errors are told."""

import html
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegan.errors import FaceGANError
from facegan.studio.session import Studio
from facegan.studio.wishes import Look

log = logging.getLogger(__name__)

EACH_ITS_OWN = "each seed its own"
NO_ALERT = gr.update(value="", visible=False)
Values = Sequence[Any]


@dataclass(frozen=True)
class Desk:
    """The components that every part of the page reads or writes.

    Attributes:
        studio: What is asked.
        banner: Says what went wrong.
        status: Says how long answers take.
        psi: The truncation of all faces.
        kind: The class of all faces.
        current: The portrait that stands large, or None.
        kept: The favourites, a list of portraits.
    """

    studio: Studio
    banner: gr.HTML
    status: gr.HTML
    psi: gr.Slider
    kind: gr.Dropdown
    current: gr.State
    kept: gr.State

    @property
    def look(self) -> list[gr.components.Component]:
        """The inputs that :func:`look_of` reads."""
        return [self.psi, self.kind]

    def on(
        self,
        triggers: Sequence[Any],
        work: Callable[..., Values],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        **options: Any,
    ) -> Any:
        """Run `work` on any of the triggers; it returns a value an output. Its errors are told."""
        guarded = self.guarded(work, len(outputs))
        places = [self.banner, self.status, *outputs]
        return gr.on(
            list(triggers), guarded, list(inputs), places, show_progress="minimal", **options
        )

    def after(
        self,
        event: Any,
        work: Callable[..., Values],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
    ) -> Any:
        """The same once another event's work is done."""
        guarded = self.guarded(work, len(outputs))
        places = [self.banner, self.status, *outputs]
        return event.then(guarded, list(inputs), places, show_progress="minimal")

    def on_choice(
        self, gallery: gr.Gallery, work: Callable[..., Values], inputs: Values, outputs: Values
    ) -> Any:
        """The same when a picture of a gallery is chosen, whose place `work` gets first."""
        guarded = self.guarded(work, len(outputs))

        def chosen(event: gr.SelectData, *values: Any) -> Values:
            return guarded(event.index, *values)

        places = [self.banner, self.status, *outputs]
        return gallery.select(chosen, list(inputs), places, show_progress="hidden")

    def guarded(
        self, work: Callable[..., Values], count: int, otherwise: Values = ()
    ) -> Callable[..., Values]:
        """`work`, with its errors in the banner, and the outputs then as they were.

        Args:
            work: Returns a value an output.
            count: How many outputs it has.
            otherwise: Their values after an error, if they are to change.
        """
        kept = otherwise or [gr.skip() for _ in range(count)]

        def run(*values: Any) -> Values:
            try:
                return [NO_ALERT, self.studio.latency.told, *work(*values)]
            except FaceGANError as error:
                told = alert(error.message, error.hint)
            except Exception:
                log.exception("The studio failed")
                told = alert("The studio failed.", "Its terminal tells why; the page goes on.")
            return [told, self.studio.latency.told, *kept]

        return run


def look_of(psi: float, kind: str | None) -> Look:
    """The look that the controls show."""
    return Look(float(psi), None if kind in (None, EACH_ITS_OWN) else str(kind))


def alert(message: str, hint: str) -> Any:
    """A mistake as a banner that screen readers speak."""
    said = f"<strong>{html.escape(message)}</strong> {html.escape(hint)}".rstrip()
    told = f'<div class="studio-alert" role="alert">{said}</div>'
    return gr.update(value=told, visible=True)
