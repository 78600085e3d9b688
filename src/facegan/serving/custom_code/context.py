"""The `context` that an owner's functions may ask for, by the names of AWS's model server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ScriptContext:
    """What is known of the model and of one request; its own for each, unlike the toolkit's.

    Names: multi-model-server's ``mms.context.Context``, of which sagemaker-inference hands on what
    it got. Of one request each: the index that its methods take is always 0.

    Attributes:
        model_dir: The model's folder.
        headers: The request's, by any case; none while a model is loaded.
        request_id: The one in the reply and in the log.
    """

    model_dir: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""

    @property
    def system_properties(self) -> dict[str, Any]:
        """Where the model lies, and on which GPU: none."""
        return {"model_dir": str(self.model_dir), "gpu_id": None}

    def get_request_header(self, index: int, name: str) -> str | None:
        """One of the request's headers."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())

    def get_all_request_header(self, index: int) -> dict[str, str]:
        """All of the request's headers."""
        return dict(self.headers)

    def get_request_id(self, index: int = 0) -> str:
        """The request's id."""
        return self.request_id
