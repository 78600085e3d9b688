"""AWS's own model of its APIs, as botocore has it."""

from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator


@cache
def service_model(service: str = "sagemaker") -> Any:
    """botocore's model of an API; reading it takes up to a fifth of a second."""
    return botocore.session.get_session().get_service_model(service)


def complaints(action: str, request: dict[str, Any], service: str = "sagemaker") -> str:
    """What botocore says of a request, by its own model of the API."""
    shape = service_model(service).operation_model(action).input_shape
    return str(ParamValidator().validate(request, shape).generate_report())
