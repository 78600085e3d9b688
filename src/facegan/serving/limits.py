"""What one request may cost, told before the work is done."""

from dataclasses import dataclass

from facegan.errors import ConfigError, RequestTooLarge
from facegan.wire import least_bytes

SAGEMAKER_BODY_BYTES = 6 * 2**20  # real-time InvokeEndpoint: the body's limit in botocore's model


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """How much one request may ask for, and how many bytes may cross the wire either way.

    Raises:
        ConfigError: a limit below 1.
    """

    max_images: int = 64
    max_body_bytes: int = SAGEMAKER_BODY_BYTES  # of a request, and of a reply
    # Who comes after is told at once to come again. Fewer than the server has threads: those left
    # answer them, and /ping.
    max_waiting_requests: int = 64
    max_waiting_images: int = 512
    deadline_seconds: int = 50  # SageMaker gives up after 60

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} is {value}.", "It must be at least 1.")

    def check_count(self, count: int) -> None:
        """Refuse a request for too many images.

        Raises:
            RequestTooLarge: `count` is over ``max_images``.
        """
        if count > self.max_images:
            raise RequestTooLarge(
                f"The request asks for {count} images; the limit is {self.max_images}.",
                "Split it into several requests.",
            )

    @property
    def max_images_of_lines(self) -> int:
        """How many images the lines of one body may ask for together."""
        return 16 * self.max_images

    def check_lines(self, count: int) -> None:
        """Refuse lines that ask for too many images together.

        Raises:
            RequestTooLarge: `count` is over :attr:`max_images_of_lines`.
        """
        if count > self.max_images_of_lines:
            raise RequestTooLarge(
                f"The lines ask for {count} images; the limit is {self.max_images_of_lines}.",
                "Send fewer lines at a time; of a transform job, lower MaxPayloadInMB or set "
                "BatchStrategy to SingleRecord.",
            )

    def check_before_drawing(
        self, count: int, image_shape: tuple[int, ...], content_type: str
    ) -> None:
        """Refuse a reply that cannot fit whatever it shows, before anything is drawn.

        Of raw pixels the size is known. Of all else the bound is far below what faces take, so
        that nothing is refused which would have fitted: such replies are measured when written.

        Raises:
            RequestTooLarge: `count` images (3, H, W) would not fit into a reply.
        """
        self.check_reply(least_bytes(count, image_shape, content_type), count)

    def check_reply(self, size: int, count: int, what: str = "images") -> None:
        """Refuse a reply of `size` bytes that shows `count` images, or answers as many lines.

        Raises:
            RequestTooLarge: SageMaker would cut it off.
        """
        if size > self.max_body_bytes:
            fitting = count * self.max_body_bytes // size
            raise RequestTooLarge(
                f"The reply would be {size:,} bytes; the limit is {self.max_body_bytes:,}.",
                f"Ask for about {fitting} {what} at a time." if fitting else "",
            )
