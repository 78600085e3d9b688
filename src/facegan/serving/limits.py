"""Limits of one request, checked before the work is done."""

from dataclasses import dataclass

from facegan.errors import ConfigError, RequestTooLarge
from facegan.wire import CSV, JSON, JSON_LINES, NPY, bare_type
from facegan.wire.source_images import MAX_PIXELS

SAGEMAKER_BODY_BYTES = 6 * 2**20  # real-time InvokeEndpoint: the body's limit in botocore's model
# A generous bound of valid requests, in bytes; a larger body is refused before it is parsed.
PLAIN_BYTES = 128 * 1024  # allowed in any request; parsed within a millisecond or two
IMAGE_BYTES = 256  # of an image's seeds, in JSON
NUMBER_BYTES = {JSON: 32, JSON_LINES: 32, CSV: 32, NPY: 16}  # of a latent, with its separator
NAME_BYTES = 12  # of a character of a class name, escaped
MAX_LATENT_DIM = 4096  # where the model is unknown
LINES_HINT = (
    "Send fewer lines at a time; of a transform job, lower MaxPayloadInMB or set "
    "BatchStrategy to SingleRecord."
)


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """How many images one request may have, and how many bytes it and its reply."""

    max_images: int = 64
    max_body_bytes: int = SAGEMAKER_BODY_BYTES  # of a request, and of a reply
    # Further requests get 429 at once. Fewer than the server has threads: the others send the 429s
    # and answer /ping.
    max_waiting_requests: int = 64
    max_waiting_images: int = 512
    max_waiting_bytes: int = 64 * 2**20  # of their decoded source images and label maps
    max_pixels: int = MAX_PIXELS  # of a request's source images and label maps together, as sent
    deadline_seconds: int = 50  # SageMaker gives up after 60

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} is {value}.", "It must be at least 1.")

    def check_count(self, count: int) -> None:
        """Refuse a request for too many images."""
        if count > self.max_images:
            raise RequestTooLarge(
                f"The request asks for {count} images; the limit is {self.max_images}.",
                "Split it into several requests.",
            )

    def check_pixels(self, pixels: int) -> None:
        """Refuse lines whose source images have too many pixels together."""
        if pixels > 16 * self.max_pixels:
            raise RequestTooLarge(
                f"The images of the lines have {pixels:,} pixels together; the limit is "
                f"{16 * self.max_pixels:,}.",
                LINES_HINT,
            )

    @property
    def max_images_of_lines(self) -> int:
        """How many images the lines of one body may ask for together."""
        return 16 * self.max_images

    def check_lines(self, count: int) -> None:
        """Refuse lines that ask for too many images together."""
        if count > self.max_images_of_lines:
            raise RequestTooLarge(
                f"The lines ask for {count} images; the limit is {self.max_images_of_lines}.",
                LINES_HINT,
            )

    def check_body(
        self, body: bytes, content_type: str, latent_dim: int, longest_name: int
    ) -> None:
        """Refuse, before it is parsed, a body larger than seeds or latents of its type can need.

        The bound grows with the width of the latents and the characters of the longest class name;
        content types that are not read here have none.
        """
        name = bare_type(content_type)
        if name not in NUMBER_BYTES or len(body) <= PLAIN_BYTES:
            return
        has_numbers = name in (CSV, NPY) or b'"latents"' in body
        most = self.max_request_bytes(name, latent_dim if has_numbers else 0, longest_name)
        if len(body) > most:
            raise RequestTooLarge(
                f"The body is {len(body):,} bytes; what this model can be asked for in one body "
                f"takes at most {most:,} bytes as {name}.",
                LINES_HINT if name == JSON_LINES else "Split it into several requests.",
            )

    def max_request_bytes(self, name: str, latent_dim: int, longest_name: int) -> int:
        """Return the bytes that a valid body of a type may have; see :meth:`check_body`."""
        count = self.max_images_of_lines if name == JSON_LINES else self.max_images
        words = 0 if name in (CSV, NPY) else IMAGE_BYTES + NAME_BYTES * longest_name
        return PLAIN_BYTES + count * (NUMBER_BYTES[name] * latent_dim + words)

    def check_reply(self, size: int, count: int, what: str = "images") -> None:
        """Refuse a reply of `size` bytes with `count` images or lines."""
        if size > self.max_body_bytes:
            fitting = count * self.max_body_bytes // size
            raise RequestTooLarge(
                f"The reply would be {size:,} bytes; the limit is {self.max_body_bytes:,}.",
                f"Ask for about {fitting} {what} at a time." if fitting else "",
            )
