"""Our server as SageMaker shows it, and the settings of a door before it; finds infra/ too."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.config import Config
from werkzeug.serving import WSGIRequestHandler

INFRA = Path(__file__).parents[2] / "infra"
if str(INFRA) not in sys.path:
    sys.path.insert(0, str(INFRA))

KEY = "k" * 40
VARIABLES = {
    "ENDPOINT_NAME": "faces",
    "MODEL_ID": "m1",
    "CACHING": "public",
    "MAX_BODY_BYTES": "4096",
    "ALLOWED_ORIGINS": "",
    "KEY_SECRET": "",
}
IDENTITY = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key": "secret",
    "config": Config(retries={"total_max_attempts": 1}, proxies={}),
}


class AsAws:
    """A WSGI app behind SageMaker: a refusal of its is wrapped in a ModelError.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app, self.asked = app, 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.asked += 1
        told: dict[str, Any] = {}

        def note(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            told.update(status=int(status[:3]), line=status, headers=headers)

        body = b"".join(self.app(environ, note))
        if told["status"] < 300:
            start_response(told["line"], told["headers"])
            return [body]
        error = json.dumps(
            {
                "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
                "OriginalStatusCode": told["status"],
                "OriginalMessage": body.decode(),
                "Message": "Received client error from primary",
            }
        ).encode()
        headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", "ModelError")]
        start_response("424 Failed Dependency", [*headers, ("Content-Length", str(len(error)))])
        return [error]


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Tests are quiet."""
