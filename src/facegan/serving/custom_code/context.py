"""The `context` argument of an inference script's functions, as AWS's model server has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ScriptContext:
    """The model and one request; each request has its own context, unlike the toolkit's.

    The names are those of multi-model-server's ``mms.context.Context``, which sagemaker-inference
    passes on. There is one request per context: the index that the methods take is always 0.

    Attributes:
        model_dir: The model's folder.
        headers: The request's; empty while a model is loaded.
        request_id: The id in the reply and in the log.
    """

    model_dir: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""

    @property
    def system_properties(self) -> dict[str, Any]:
        """The model's folder, and no GPU."""
        return {"model_dir": str(self.model_dir), "gpu_id": None}

    def get_request_header(self, index: int, name: str) -> str | None:
        """Return a header of the request; its name may have any case."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())

    def get_all_request_header(self, index: int) -> dict[str, str]:
        """Return the request's headers."""
        return dict(self.headers)

    def get_request_id(self, index: int = 0) -> str:
        """Return the request's id."""
        return self.request_id
