"""AWS's own model of SageMaker's API, as botocore has it."""

from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator


@cache
def service_model() -> Any:
    """botocore's model of the API; reading it takes a fifth of a second."""
    return botocore.session.get_session().get_service_model("sagemaker")


def complaints(action: str, request: dict[str, Any]) -> str:
    """What botocore says of a request, by its own model of the API."""
    shape = service_model().operation_model(action).input_shape
    return str(ParamValidator().validate(request, shape).generate_report())
