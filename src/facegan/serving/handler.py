"""model_fn, input_fn, predict_fn and output_fn: the interface of sagemaker-inference.

``Transformer(FaceHandler())`` runs them. The toolkit's base class is not used: its module imports
scipy (0.1 s) for a decoder that unpickles .npy bodies. The server itself makes one plan per request
instead (``plan.py``): ``Transformer.transform`` (1.10.1) answers every client error with 500 and a
traceback, decodes bodies before they can be checked, compares content types with their parameters,
loads the model in the first request without a lock, and passes its context to all others.
"""

from pathlib import Path

from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import ServedModel, ServingSettings, serve
from facegan.serving.plan import NEVER, Plan, encode, generate
from facegan.synthesis import open_synthesizer
from facegan.wire import PNG, GenerateRequest, Images, decode_request
from facegan.wire.signature import LATENTS_ONLY


class FaceHandler:
    """Adapters from the toolkit's four functions to plans."""

    def __init__(self, limits: ServingLimits | None = None, default_accept: str = PNG) -> None:
        self.settings = ServingSettings(limits or ServingLimits(), default_accept)
        self.signature = LATENTS_ONLY  # until a model is loaded

    def default_model_fn(self, model_dir: str) -> ServedModel:
        """Load the model of a folder."""
        model = serve(open_synthesizer(Path(model_dir)), self.settings)
        self.signature = model.signature
        return model

    def default_input_fn(self, input_data: bytes | str, content_type: str) -> GenerateRequest:
        """Decode a request; the toolkit passes JSON and CSV as text."""
        body = input_data.encode() if isinstance(input_data, str) else input_data
        return decode_request(body, content_type, self.signature)

    def default_predict_fn(self, data: GenerateRequest, model: ServedModel) -> tuple[Plan, Images]:
        """Generate the images of a request."""
        plan = Plan(model, self.settings.limits, NEVER, "", data).for_request(data)
        return plan, generate(plan)

    def default_output_fn(self, prediction: tuple[Plan, Images], accept: str) -> tuple[bytes, str]:
        """Encode images as the content type that Accept prefers."""
        plan, images = prediction
        return encode(plan.with_accept(accept), images)  # type: ignore[return-value]
