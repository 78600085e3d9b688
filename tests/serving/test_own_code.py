"""A model's own code/inference.py: each function that it may replace, and each way to fail."""

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from facegan.artifact import load_artifact
from facegan.errors import OwnCodeError
from facegan.serving import create_app
from facegan.serving.answer import answer
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import ServedModel, ServingSettings, open_model
from facegan.synthesis import Synthesizer
from facegan.wire import JSON, NPY, PNG, decode_images, read_provenance

Write = Callable[..., Path]
Serve = Callable[..., FlaskClient]
ONE = b'{"seeds": [1]}'


@pytest.fixture
def write(model_dir: Path, tmp_path: Path) -> Iterator[Write]:
    """Make copies of the model with a code/inference.py; sys.path is restored."""
    path, modules = [*sys.path], {*sys.modules}

    def put(code: str, name: str = "model", has_weights: bool = True, **others: str) -> Path:
        folder = tmp_path / name
        (folder / "code").mkdir(parents=True)
        if has_weights:
            for file in ("generator.safetensors", "model_card.json"):
                shutil.copy(model_dir / file, folder)
        (folder / "code" / "inference.py").write_text(dedent(code))
        for stem, text in others.items():
            (folder / "code" / f"{stem}.py").write_text(dedent(text))
        return folder

    yield put
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith(("helpers", "facegan_own_code_")):
            del sys.modules[name]


@pytest.fixture
def serve(write: Write) -> Iterator[Serve]:
    """Return a client of a model with such code."""
    opened: list[ServedModel] = []

    def run(code: str, **options: object) -> FlaskClient:
        limits = options.pop("limits", ServingLimits())
        assert isinstance(limits, ServingLimits)
        folder = write(code, **options)
        opened.append(open_model(folder, ServingSettings(limits)))
        return create_app(opened[-1], limits=limits).test_client()

    yield run
    for served in opened:
        served.close(5)


def ask(
    client: FlaskClient, body: bytes = ONE, content_type: str = JSON, accept: str = NPY
) -> TestResponse:
    return client.post(
        "/invocations", data=body, content_type=content_type, headers={"Accept": accept}
    )


def call(served: ServedModel, body: bytes = ONE, accept: str = NPY) -> tuple[bytes, str]:
    """Return a whole reply, without HTTP."""
    reply, content_type = answer(body, JSON, accept, served, ServingLimits())
    assert isinstance(reply, bytes)
    return reply, content_type


def refused(reply: TestResponse, status: int) -> dict[str, str]:
    """Check that a reply is a JSON error, and return its fields."""
    assert reply.status_code == status, reply.data
    error = reply.get_json()
    assert set(error) == {"error", "message", "hint"}
    assert "Traceback" not in reply.text
    return dict(error)


def faces(model_dir: Path, *seeds: int) -> np.ndarray:
    return Synthesizer(load_artifact(model_dir)).generate(seeds=seeds)


# --- each function in its place -----------------------------------------------------------------


def test_code_without_functions_changes_nothing(serve: Serve, model_dir: Path) -> None:
    """All four functions are this package's."""
    reply = ask(serve("x = 1"))
    np.testing.assert_array_equal(decode_images(reply.data, NPY), faces(model_dir, 1))


@pytest.mark.parametrize("expression", [
    "json.loads(body)['numbers']",  # seeds as a list
    "np.array(json.loads(body)['numbers'])",
    "{'seeds': json.loads(body)['numbers']}",
    "GenerateRequest(seeds=json.loads(body)['numbers'])",
])  # fmt: skip
def test_result_of_input_fn_is_generated(serve: Serve, model_dir: Path, expression: str) -> None:
    """Through the batcher: seeds, a dict of fields, a request."""
    client = serve(f"""
        import json
        import numpy as np
        from facegan.wire import GenerateRequest

        def input_fn(body, content_type):
            assert content_type == "application/json" and isinstance(body, str)
            return {expression}
    """)
    reply = ask(client, b'{"numbers": [3, 4]}', "application/json; charset=utf-8")
    assert reply.status_code == 200, reply.data
    np.testing.assert_array_equal(decode_images(reply.data, NPY), faces(model_dir, 3, 4))


@pytest.mark.parametrize("expression", [
    "np.frombuffer(body, np.float32)", "np.frombuffer(body, np.float32)[None]",
    "torch.frombuffer(bytearray(body), dtype=torch.float32)",
    "[np.frombuffer(body, np.float32).tolist()]",
])  # fmt: skip
def test_latents_of_input_fn_are_generated(serve: Serve, model_dir: Path, expression: str) -> None:
    """An array, a tensor or lists, sent as a content type that this package does not read."""
    client = serve(f"""
        import numpy as np, torch

        def input_fn(body, content_type):
            assert content_type == "application/x-floats" and isinstance(body, bytes)
            return {expression}
    """)
    latents = np.linspace(-1, 1, 16, dtype=np.float32)
    reply = ask(client, latents.tobytes(), "application/x-floats")
    own = Synthesizer(load_artifact(model_dir)).generate(latents=latents[None])
    np.testing.assert_array_equal(decode_images(reply.data, NPY), own)


def test_requests_with_an_input_fn_share_batches(write: Write) -> None:
    """Their requests go through the batcher."""
    folder = write("import json\ndef input_fn(body, kind): return json.loads(body)['seeds']")
    served = open_model(folder, ServingSettings())
    assert served.batcher is not None
    sizes: list[int] = []
    first_runs, may_go_on = threading.Event(), threading.Event()
    draw = served.batcher.draw_batch

    def watched(batch: object) -> object:
        sizes.append(len(batch))  # type: ignore[arg-type]
        first_runs.set()
        may_go_on.wait(30)
        return draw(batch)  # type: ignore[arg-type]

    served.batcher.draw_batch = watched  # type: ignore[assignment]
    with ThreadPoolExecutor(4) as callers:
        replies = [callers.submit(call, served)]
        assert first_runs.wait(30)
        replies += [callers.submit(call, served) for _ in range(3)]
        while served.batcher.waiting < 3:
            time.sleep(0.001)
        may_go_on.set()
        assert {reply.result()[1] for reply in replies} == {NPY}
    served.close(5)
    assert sizes == [1, 3]


def test_output_fn_encodes_generated_images(serve: Serve) -> None:
    """It gets a Prediction and the preferred type; it may return a tuple with another type."""
    client = serve("""
        def output_fn(prediction, accept):
            body = f"{prediction.images.shape[0]} for {accept}"
            return (body, "text/x-own") if accept == "text/html" else body.encode()
    """)
    plain = ask(client, accept="text/plain;q=0.4, text/other; charset=x;q=0.9")
    assert (plain.data, plain.content_type) == (b"1 for text/other", "text/other")
    own = ask(client, accept="text/html")
    assert (own.text, own.mimetype) == ("1 for text/html", "text/x-own")
    for anything in ("*/*", "image/*", ""):
        assert ask(client, accept=anything).text == "1 for image/png"


def test_predict_fn_generates_through_the_batcher(write: Write, model_dir: Path) -> None:
    """What `model` generates is batched with other requests."""
    folder = write("""
        def predict_fn(request, model):
            return model.generate(seeds=[seed + 1 for seed in request.seeds])
    """)
    served = open_model(folder, ServingSettings())
    assert served.batcher is not None
    threads: set[str] = set()
    draw = served.batcher.draw_batch

    def watched(batch: object) -> object:
        threads.add(threading.current_thread().name)
        return draw(batch)  # type: ignore[arg-type]

    served.batcher.draw_batch = watched  # type: ignore[assignment]
    body, kind = call(served, b'{"seeds": [4, 5]}')
    served.close(5)
    np.testing.assert_array_equal(decode_images(body, kind), faces(model_dir, 5, 6))
    assert threads == {"model-0"}


def test_all_four_functions_may_be_custom(serve: Serve) -> None:
    """Then the folder needs no model of this package, and there is no batcher."""
    client = serve("""
        from pathlib import Path

        def model_fn(model_dir):
            return {"factor": 3, "there": Path(model_dir, "code").is_dir()}

        def input_fn(body, content_type):
            return int(body)

        def predict_fn(number, model):
            return number * model["factor"], model["there"]

        def output_fn(prediction, accept):
            return str(prediction)
    """, has_weights=False)  # fmt: skip
    assert ask(client, b"14", "text/plain", "text/plain").text == "(42, True)"
    assert client.get("/").get_json()["model"] is None
    assert client.get("/ping").status_code == 200


def test_every_function_may_ask_for_a_context(serve: Serve) -> None:
    """As in the toolkit, one more argument; unlike there, it belongs to this request."""
    client = serve("""
        def model_fn(model_dir, context):
            assert context.system_properties["model_dir"] == model_dir
            return model_dir

        def input_fn(body, content_type, context):
            return context.get_request_header(0, "x-own")

        def predict_fn(data, model, context):
            return data, context.get_request_id(0)

        def output_fn(prediction, accept, context):
            return "|".join(prediction)
    """)
    for word in ("first", "second"):
        reply = client.post("/invocations", data=b"", headers={"X-Own": word, "Accept": "a/b"})
        assert reply.text == f"{word}|{reply.headers['X-Request-Id']}"


# --- models of theirs that ours draws with --------------------------------------------------------

NETWORK = """
    import torch

    class Net(torch.nn.Module):
        latent_dim = 5

        def forward(self, z):
            return z[:, :3, None, None].tanh().expand(-1, -1, 8, 8)

    def model_fn(model_dir):
        return Net()
"""


def test_custom_module_is_served(serve: Serve) -> None:
    """Seeds, latents, batches and images work as with any model."""
    client = serve(NETWORK, has_weights=False)
    body = json.dumps({"latents": [[0, 9, -9, 0, 0]]}).encode()
    image = decode_images(ask(client, body).data, NPY)
    assert image.shape == (1, 8, 8, 3)
    np.testing.assert_array_equal(image[0, 0, 0], [128, 255, 0])
    provenance = read_provenance(ask(client, accept=PNG).data)
    assert len(provenance["facegan:model_sha256"]) == 64
    assert client.get("/").get_json()["model"]["latent_dim"] == 5


def test_latent_width_comes_from_the_card_if_the_module_has_none(serve: Serve) -> None:
    """The tiny model's latents are 16 wide."""
    client = serve("""
        def model_fn(model_dir):
            return lambda z: z[:, :3, None, None].expand(-1, -1, 8, 8)
    """)
    assert client.get("/").get_json()["model"]["latent_dim"] == 16


def test_custom_artifact_is_served(serve: Serve, model_dir: Path) -> None:
    """The generator is wrapped to draw negatives."""
    client = serve("""
        import dataclasses, torch
        from facegan.artifact import load_artifact

        class Negative(torch.nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner = inner

            def forward(self, z):
                return -self.inner(z)

        def model_fn(model_dir):
            own = load_artifact(model_dir)
            return dataclasses.replace(own, generator=Negative(own.generator))
    """)
    drawn = decode_images(ask(client).data, NPY).astype(int)
    assert np.abs(drawn - (255 - faces(model_dir, 1).astype(int))).max() <= 1


@pytest.mark.parametrize(("value", "message"), [
    ("None", "returned None"),
    ("{'a': 1}", "dict, not a model"),
    ("lambda z: z", r"\(2, 16\) the model makes \(2, 16\)"),
    ("lambda z: 1 / 0", "line 2.*ZeroDivisionError"),
])  # fmt: skip
def test_unusable_model_is_refused_when_it_is_loaded(
    write: Write, value: str, message: str
) -> None:
    """It does not only fail the first request."""
    folder = write(f"def model_fn(model_dir):\n    return {value}\n")
    with pytest.raises(OwnCodeError, match=message):
        open_model(folder, ServingSettings())


def test_module_without_a_latent_width_is_refused(write: Write) -> None:
    folder = write("def model_fn(model_dir):\n    return lambda z: z\n", has_weights=False)
    with pytest.raises(OwnCodeError, match="how wide") as refusal:
        open_model(folder, ServingSettings())
    assert "latent_dim" in refusal.value.hint


# --- what goes wrong when it is loaded ------------------------------------------------------------

BROKEN = {
    "syntax": ("x = 1\ndef f(:\n", "code/inference.py, line 2: its import failed: SyntaxError"),
    "import": ("\n\nimport nothing_of_that_name", "line 3.*ModuleNotFoundError: No module"),
    "error": ("x = 1\n1 / 0", "line 2.*ZeroDivisionError"),
    "exit": ("import sys\nsys.exit(3)", "line 2.*SystemExit"),
    "model_fn": ("def model_fn(d):\n  x = 1\n  raise OSError('full')", "line 3.*model_fn.*full"),
    "few arguments": ("def input_fn(body): return body", "input_fn takes 1 arguments"),
    "many arguments": ("def predict_fn(a, b, c, d): return a", "predict_fn takes 4 arguments"),
    "not a function": ("output_fn = 3", "output_fn is not a function"),
    "transform_fn": ("def transform_fn(m, d, c, a): return d", "transform_fn is not called"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "message"), BROKEN.values(), ids=BROKEN)
def test_code_that_does_not_load_is_named_by_its_line(
    write: Write, code: str, message: str
) -> None:
    """The model is not served."""
    with pytest.raises(OwnCodeError, match=message):
        open_model(write(code), ServingSettings())


def test_code_that_needs_torch_gets_a_hint_which_image_has_it(write: Write) -> None:
    with pytest.raises(OwnCodeError, match="use the image that has it"):
        open_model(write("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"),
                   ServingSettings())  # fmt: skip


def test_an_error_in_a_helper_is_named_there(write: Write) -> None:
    folder = write("import helpers_broken", helpers_broken="\n\n1 / 0")
    with pytest.raises(OwnCodeError, match=r"code/helpers_broken.py, line 3"):
        open_model(folder, ServingSettings())


def test_code_can_be_forbidden(write: Write, tmp_path: Path) -> None:
    """Then it is not imported, and the model is refused rather than served without its code."""
    trap = tmp_path / "sprung"
    folder = write(f"open({str(trap)!r}, 'w')")
    with pytest.raises(OwnCodeError, match="forbidden"):
        open_model(folder, ServingSettings(own_code=False))
    assert not trap.exists()


def test_requirements_are_not_installed_and_the_log_says_so(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write("x = 1")
    (folder / "code" / "requirements.txt").write_text("nothing-of-that-name\n")
    open_model(folder, ServingSettings()).close(5)
    (line,) = [r.getMessage() for r in caplog.records if "requirements" in r.getMessage()]
    assert "not installed" in line


def test_nothing_is_written_into_the_folders_of_many_models(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders are SageMaker's, so there is no __pycache__."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = write("import helpers", helpers="x = 1")
    before = sorted(folder.rglob("*"))
    open_model(folder, ServingSettings(private_imports=True)).close(5)
    assert sorted(folder.rglob("*")) == before


# --- what goes wrong in a request -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["input_fn", "predict_fn", "output_fn"])
def test_error_in_a_request_is_500_with_its_traceback_only_in_the_log(
    serve: Serve, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply is a JSON error; the log names the line."""
    client = serve(f"def {name}(a, b):\n    raise KeyError('secret')\n")
    reply = ask(client)
    error = refused(reply, 500)
    assert error["error"] == "OwnCodeError" and name in error["message"]
    assert "secret" not in reply.text
    assert "KeyError: 'secret'" in caplog.text
    assert f"{name} failed at code/inference.py, line 2" in caplog.text
    assert client.get("/ping").status_code == 200


@pytest.mark.parametrize("name", ["input_fn", "predict_fn", "output_fn"])
def test_status_of_a_toolkit_error_is_kept(serve: Serve, name: str) -> None:
    """As in sagemaker-inference, but without the traceback in the body."""
    client = serve(f"""
        from sagemaker_inference.errors import GenericInferenceToolkitError

        def {name}(a, b):
            raise GenericInferenceToolkitError(422, "Too dark.")
    """)
    reply = refused(ask(client), 422)
    assert (reply["error"], reply["message"]) == ("OwnRefusal", "Too dark.")


@pytest.mark.parametrize("status", ["200", "'422'", "None", "999"])
def test_status_that_is_not_an_error_is_500(serve: Serve, status: str) -> None:
    client = serve(f"""
        from sagemaker_inference.errors import GenericInferenceToolkitError

        def input_fn(a, b):
            raise GenericInferenceToolkitError({status}, "x")
    """)
    refused(ask(client), 500)


def test_value_error_of_input_fn_is_400(serve: Serve) -> None:
    """json.loads, float() and AWS's examples raise it for bad bodies; elsewhere it is 500."""
    client = serve("""
        import json

        def input_fn(body, content_type):
            if content_type != "application/json":
                raise ValueError("Unsupported content type: " + content_type)
            return json.loads(body)["seeds"]
    """)
    assert "Expecting value" in refused(ask(client, b"x"), 400)["message"]
    assert "text/plain" in refused(ask(client, content_type="text/plain"), 400)["message"]
    refused(ask(client, b"\xff"), 400)
    refused(ask(client, b'{"seeds": ["one"]}'), 500)
    refused(ask(client, b'{"seeds": [-1]}'), 400)
    refused(ask(client, b"{}"), 500)  # a KeyError


@pytest.mark.parametrize(("name", "status"), [("input_fn", 415), ("output_fn", 406)])
def test_format_that_the_toolkit_does_not_know_is_415_or_406(
    serve: Serve, name: str, status: int
) -> None:
    """The toolkit itself would answer 500."""
    client = serve(f"""
        from sagemaker_inference import decoder, encoder

        def {name}(data, content_type):
            tool = decoder.decode if {name!r} == "input_fn" else encoder.encode
            return tool(data, "text/nothing")
    """)
    refused(ask(client), status)


@pytest.mark.parametrize("value", ["{'a': 1}", "None", "3", "('x', 'text/plain\\r\\nX-Evil: 1')",
                                   "('x', 3)", "(1, 2, 3)"])  # fmt: skip
def test_invalid_result_of_output_fn_is_500(serve: Serve, value: str) -> None:
    """Also a content type that would inject headers."""
    refused(ask(serve(f"def output_fn(p, accept): return {value}")), 500)


@pytest.mark.parametrize("value", ["object()", "'text'", "[[1], [2, 3]]", "3.5", "None"])
def test_invalid_result_of_input_fn_is_refused(serve: Serve, value: str) -> None:
    """Ragged latents are the client's error, the rest the code's."""
    reply = ask(serve(f"def input_fn(body, kind): return {value}"))
    refused(reply, 400 if value.startswith("[[") else 500)


@pytest.mark.parametrize("value", ["{}", "[1, 2]", "model.generate(seeds=[1]) * 1.0"])
def test_invalid_result_of_predict_fn_is_500(serve: Serve, value: str) -> None:
    """It takes uint8 images (N, H, W, 3)."""
    refused(ask(serve(f"def predict_fn(data, model): return {value}")), 500)


def test_too_large_request_is_413_with_custom_code_too(serve: Serve) -> None:
    """This package's limits also hold for custom code."""
    client = serve("def input_fn(body, kind): return list(range(65))")
    refused(ask(client), 413)
    client = serve("def output_fn(p, accept): return b'x' * 5000", name="other",
                   limits=ServingLimits(max_body_bytes=4000))  # fmt: skip
    refused(ask(client), 413)


# --- callers at once ------------------------------------------------------------------------------

SLOW = """
    import threading, time
    PREDICT_IN_PARALLEL = {parallel}
    inside, most = 0, 0

    def predict_fn(data, model):
        global inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1
        return most

    def output_fn(prediction, accept):
        return str(prediction)
"""


@pytest.mark.parametrize("parallel", [False, True])
def test_predict_fn_runs_for_one_request_at_a_time_by_default(serve: Serve, parallel: bool) -> None:
    """The toolkit never calls it twice at once, so scripts are not written for that."""
    client = serve(SLOW.format(parallel=parallel))
    app = client.application
    with ThreadPoolExecutor(6) as callers:
        replies = [callers.submit(ask, app.test_client()) for _ in range(6)]
        most = max(int(reply.result().text) for reply in replies)
    assert (most > 1) == parallel


def test_a_full_queue_before_predict_fn_is_429(serve: Serve) -> None:
    """Immediately, so that threads are left for /ping."""
    client = serve(SLOW.format(parallel=False), limits=ServingLimits(max_waiting_requests=2))
    app = client.application
    with ThreadPoolExecutor(8) as callers:
        replies = [callers.submit(ask, app.test_client()) for _ in range(8)]
        statuses = {reply.result().status_code for reply in replies}
    assert statuses == {200, 429}


def test_stuck_predict_fn_makes_the_server_unhealthy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a new process can end it."""
    monkeypatch.setattr("facegan.serving.batching.exclusive_queue.STUCK_SECONDS", 0.02)
    client = serve(SLOW.format(parallel=False).replace("0.05", "0.5"))
    with ThreadPoolExecutor(1) as callers:
        reply = callers.submit(ask, client.application.test_client())
        time.sleep(0.2)
        assert client.get("/ping").status_code == 503
        assert reply.result().status_code == 200
    assert client.get("/ping").status_code == 200


# --- imports of its own ---------------------------------------------------------------------------


def own_modules() -> set[str]:
    """Return the names of the loaded modules of custom code."""
    return {name for name in sys.modules if name.startswith("facegan_own_code_")}


def test_helpers_with_the_same_name_are_kept_apart(write: Write) -> None:
    """Also a package, what it imports itself, and what is imported within a function."""
    before = own_modules()
    served = []
    for name in ("one", "two"):
        folder = write(
            """
            import helpers
            import parcel.inner
            from parcel import other
            from helpers import NAME

            def model_fn(model_dir):
                return "m"

            def predict_fn(data, model):
                from later import LATER
                import parcel.inner as inner
                return [NAME, helpers.NAME, parcel.inner.NAME, other.NAME, inner.NAME, LATER]

            def output_fn(prediction, accept):
                return " ".join(prediction)
            """,
            name=name,
            has_weights=False,
            helpers=f"NAME = {name!r}",
            later="import helpers\nLATER = helpers.NAME + '!'",
        )
        parcel = folder / "code" / "parcel"
        parcel.mkdir()
        (parcel / "__init__.py").touch()
        (parcel / "inner.py").write_text("from helpers import NAME\n")
        (parcel / "other.py").write_text("from .inner import NAME\n")
        served.append(open_model(folder, ServingSettings(private_imports=True)))
    answers = [call(one, accept="text/plain")[0].decode() for one in served]
    assert answers == ["one one one one one one!", "two two two two two two!"]
    assert not {"helpers", "parcel", "later"} & set(sys.modules)
    assert not any("/code" in entry for entry in sys.path if str(served[0].script) in entry)
    for one in served:
        one.close(5)
    assert own_modules() == before


def test_installed_packages_come_after_a_models_own_files(write: Write) -> None:
    """As on sys.path; a folder without Python files hides none of them."""
    folder = write(
        "import colorsys, wave\ndef model_fn(d): return [colorsys.OWN, wave.__file__]\n"
        "def predict_fn(data, model): return model\ndef output_fn(p, accept): return str(p)",
        has_weights=False,
        colorsys="OWN = 'own'",
    )
    (folder / "code" / "wave").mkdir()
    served = open_model(folder, ServingSettings(private_imports=True))
    assert served.functions is not None
    own, wave = served.functions.model
    assert own == "own" and str(folder) not in wave
    import colorsys

    assert hasattr(colorsys, "rgb_to_hsv"), "others still find the installed one"
    served.close(5)


def test_one_models_folder_is_on_the_path_as_in_sagemaker(write: Write) -> None:
    """importlib, pickles and subprocesses look there."""
    folder = write(
        "import importlib\nhelpers = importlib.import_module('helpers_on_path')\n"
        "def model_fn(d): return helpers.X\ndef predict_fn(d, m): return m",
        has_weights=False,
        helpers_on_path="X = 7",
    )
    functions = open_model(folder, ServingSettings()).functions
    assert functions is not None and functions.model == 7
    assert sys.path[0] == str((folder / "code").resolve())
    sys.modules.pop("helpers_on_path")


def test_code_that_does_not_load_leaves_no_modules(write: Write) -> None:
    before = own_modules()
    folder = write("import helpers\n1 / 0", helpers="x = 1")
    with pytest.raises(OwnCodeError):
        open_model(folder, ServingSettings(private_imports=True))
    assert own_modules() == before
