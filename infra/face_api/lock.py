"""The API key: kept in Secrets Manager, asked for now and then, compared in constant time."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from face_api.events import Asked, Refusal

KEEP_SECONDS = 300.0  # a key that was changed counts after so long
HINT = "Send the key in the header x-api-key."


class Lock:
    """Lets callers with the key pass.

    Args:
        secret: The secret's ARN; "" for a door without one.
        client: boto3's ``secretsmanager`` client, made when it is first needed.
        clock: Seconds, from anywhere on.
    """

    def __init__(
        self, secret: str, client: Callable[[], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.secret, self.client, self.clock = secret, client, clock
        self.key, self.read_at = "", 0.0

    def check(self, asked: Asked) -> None:
        """Refuse who has no key, or another.

        Raises:
            Refusal: 401; or 503 where the key itself cannot be read: the door stays shut.
        """
        if not self.secret:
            return
        given = asked.headers.get("x-api-key", "")
        if not given or not hmac.compare_digest(given.encode("utf-8", "replace"), self.current()):
            told = "The key is wrong." if given else "No key was sent."
            challenge = {"WWW-Authenticate": 'ApiKey realm="faces"'}
            raise Refusal(401, "Unauthorized", told, HINT, challenge)

    def current(self) -> bytes:
        """The key; the last one known where Secrets Manager does not answer."""
        now = self.clock()
        if not self.key or now - self.read_at >= KEEP_SECONDS:
            try:
                self.key = str(self.client().get_secret_value(SecretId=self.secret)["SecretString"])
                self.read_at = now
            except (BotoCoreError, ClientError) as cause:
                if not self.key:
                    told = "The key cannot be read."
                    again = {"Retry-After": "10"}
                    raise Refusal(503, "Unavailable", told, "Ask again.", again) from cause
        return self.key.encode()
