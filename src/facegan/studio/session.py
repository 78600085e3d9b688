"""What the page asks of an endpoint: faces, ways, tables and films, each as files of a folder."""

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

from facegan.client import FaceClient, Transport
from facegan.errors import ConfigError
from facegan.studio.facts import ModelFacts, learn
from facegan.studio.latency import Latency
from facegan.studio.patience import PatientTransport
from facegan.studio.quiz import OpenReals, Reals, Round, lay_out
from facegan.studio.wishes import Look, Portrait, save_faces
from facegan.wire import GeneratedImage

REPLY_BYTES = 6 * 2**20  # what SageMaker's InvokeEndpoint carries


class Studio:
    """One endpoint, one folder of files, any number of pages.

    All methods but the constructor raise RequestError and InvocationError, as the client does.

    Args:
        transport: How the endpoint is reached.
        folder: Where files are put; whoever made it removes it.
        seconds: How long one answer may take.
        open_reals: Opens the data set of the quiz at a resolution; None: no quiz.
        chance: For seeds that the page chooses.
    """

    def __init__(
        self,
        transport: Transport,
        folder: Path,
        seconds: float = 30.0,
        open_reals: OpenReals | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.folder = folder
        self.latency = Latency()
        self.client = FaceClient(PatientTransport(transport, seconds, self.latency.add))
        self.open_reals = open_reals
        self.chance = chance or random.Random()
        self.known: ModelFacts | None = None
        self.opened: Reals | None = None

    def facts(self) -> ModelFacts:
        """What is known of the model; asked until it answers, then remembered."""
        self.known = self.known or learn(self.client)
        return self.known

    def faces(self, seeds: Sequence[int], look: Look) -> list[Portrait]:
        """One face a seed, in as few requests as the endpoint's limits allow."""
        faces: list[GeneratedImage] = []
        for some in self.batches(seeds):
            faces += self.client.faces(some, **look.wish)
        return save_faces(faces, look, self.folder)

    def batches(self, seeds: Sequence[int]) -> list[Sequence[int]]:
        """Seeds parted so that even faces that do not compress fit into a reply."""
        facts = self.facts()
        bytes_of_face = facts.resolution**2 * 3 * 4 // 3 + 500  # base64, and what JSON adds
        most = max(1, min(facts.max_images, REPLY_BYTES // bytes_of_face))
        return [seeds[start : start + most] for start in range(0, len(seeds), most)]

    def way(self, first: int, last: int, frames: int, look: Look) -> list[Portrait]:
        """The faces from one seed to another, both included: `frames` + 1 of them."""
        look = self.of_one_class(first, look)
        faces = self.client.faces([first, last], interpolate=frames, **look.wish)
        folder = self.folder / f"way-{first}-{last}-{frames}{look.mark}"
        return save_faces(faces, look, folder)

    def film(self, first: int, last: int, frames: int, frame_ms: int, look: Look) -> Path:
        """The way from one seed to another and back, as an animated WebP."""
        look = self.of_one_class(first, look)
        there_and_back = [first, last, first]
        body = self.client.animation(
            there_and_back, frame_ms=frame_ms, interpolate=frames, **look.wish
        )
        return self.write(f"morph-{first}-{last}-{frames}-{frame_ms}ms{look.mark}.webp", body)

    def strip(self, stations: Sequence[int], frames: int, look: Look) -> Path:
        """A walk through seeds, its faces side by side in one PNG."""
        look = self.of_one_class(stations[0], look)
        columns = (len(stations) - 1) * frames + 1
        body = self.client.grid(stations, columns, interpolate=frames, **look.wish)
        named = "-".join(map(str, stations))
        return self.write(f"walk-{named}-{frames}{look.mark}.png", body)

    def mixed(
        self, rows: Sequence[int], columns: Sequence[int], layers: Sequence[int], look: Look
    ) -> list[list[Portrait]]:
        """Each face of the rows with some layers' styles of each of the columns."""
        faces = self.client.faces(rows, mix=columns, mix_layers=layers, **look.wish)
        folder = self.folder / f"mix-{layers[0]}-{layers[-1]}"
        portraits = save_faces(faces, look, folder)
        width = len(columns)
        return [portraits[start : start + width] for start in range(0, len(portraits), width)]

    def of_one_class(self, seed: int, look: Look) -> Look:
        """A look whose faces are of one class, as a way must be: where none is chosen, a seed's."""
        if look.class_name is not None or not self.facts().classes:
            return look
        (face,) = self.client.faces([seed], **look.wish)
        return Look(look.truncation_psi, face.class_name)

    def random_seeds(self, count: int) -> list[int]:
        """Seeds of chance, small enough to be remembered."""
        return [self.chance.randrange(100_000) for _ in range(count)]

    def round(self, look: Look) -> Round:
        """A question of the quiz: a real picture and a face.

        Raises:
            DatasetError: the data set cannot be opened at the model's resolution.
        """
        if self.open_reals is None:
            raise ConfigError("There is no data set for the quiz.", "Start with --data FOLDER.")
        if self.opened is None:
            self.opened = self.open_reals(self.facts().resolution)
        real = self.opened.png(self.chance.randrange(len(self.opened)))
        (seed,) = self.random_seeds(1)
        (face,) = self.client.faces([seed], **look.wish)
        return lay_out(real, face.png, seed, self.folder / "quiz", self.chance)

    def write(self, name: str, body: bytes) -> Path:
        """A file of the folder: an answer's bytes as they came."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_bytes(body)
        return path


def pack(pictures: Sequence[Path], file: Path) -> Path:
    """Pictures in a zip, each the server's bytes, untouched."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            archive.write(picture, picture.name)
    return file


def with_face(kept: Sequence[Portrait], portrait: Portrait) -> list[Portrait]:
    """Favourites with one more, if it is not among them."""
    return [*kept, portrait] if portrait not in kept else list(kept)


def layer_groups(style_layers: int) -> dict[str, list[int]]:
    """Names for thirds of a generator's layers (arXiv:1812.04948, figure 3), coarse to fine."""
    first, second = style_layers // 3, 2 * style_layers // 3
    parts = {
        "coarse: pose and shape": range(0, first),
        "middle: features": range(first, second),
        "fine: colours": range(second, style_layers),
        "the finer half": range(style_layers // 2, style_layers),
    }
    return {name: list(layers) for name, layers in parts.items() if layers}
