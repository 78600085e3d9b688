"""What a model takes: latents, classes, source images or label maps, in the order of its network.

A family of GANs declares it, the model card repeats it, and server, client, command line and studio
read it there. A model that declares nothing takes latents, and labels if it is conditional.
"""

from collections.abc import Iterable
from dataclasses import dataclass

LATENT, CLASS, IMAGE, LABEL_MAP = "latent", "class", "image", "label_map"
KINDS = (LATENT, CLASS, IMAGE, LABEL_MAP)
# Names of inputs and their kinds; the names are fields of a request, too.
NAMES = {
    "latents": LATENT,  # float32 (N, latent_dim)
    "labels": CLASS,  # int64 (N,)
    "images": IMAGE,  # uint8 (N, H, W, 3)
    "label_maps": LABEL_MAP,  # uint8 (N, H, W): the class of every pixel
    "styles": IMAGE,  # uint8 (N, H, W, 3): an encoder makes the latents of them
}
# A is the data set's own domain, B that of its companion.
DIRECTIONS = ("AtoB", "BtoA")


@dataclass(frozen=True)
class ModelInput:
    """An input of a generator.

    Attributes:
        name: One of ``NAMES``.
        optional: Whether a request may leave it out.
    """

    name: str
    optional: bool = False

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return NAMES[self.name]


LATENTS, LABELS = ModelInput("latents"), ModelInput("labels")
IMAGES, LABEL_MAPS = ModelInput("images"), ModelInput("label_maps")
STYLES = ModelInput("styles", optional=True)


def default_inputs(is_conditional: bool) -> tuple[ModelInput, ...]:
    """Return the inputs of a model that declares none: latents, and labels if conditional."""
    return (LATENTS, LABELS) if is_conditional else (LATENTS,)


def input_names(inputs: Iterable[ModelInput]) -> tuple[str, ...]:
    """Return the names of inputs, in order."""
    return tuple(given.name for given in inputs)


def example_options(inputs: Iterable[ModelInput]) -> str:
    """Return the options of `facegan generate` and `facegan invoke` for a model, as an example."""
    names = input_names(inputs)
    source = {"images": "--image photo.png", "label_maps": "--label-map map.png"}
    given = [option for name, option in source.items() if name in names]
    if "latents" in names:
        given.append("--seeds 0-7" if given else "--seeds 0-15")
    return " ".join(given)
