"""SageMaker's multi-model contract, point by point, through the real app."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from facegan.artifact import load_artifact, save_artifact
from facegan.errors import ConfigError
from facegan.gans import build_gan
from facegan.serving.answer import answer
from facegan.serving.http.model_routes import create_models_app
from facegan.serving.limits import ServingLimits
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.served_model import (
    ServedModel,
    ServingSettings,
    open_model,
    settings_of_many,
)
from facegan.synthesis import InputBatch, MemoryEstimate, Synthesizer
from facegan.wire import JSON, JSON_LINES, NPY, decode_images

SHAPE = (3, 32, 32)
PLENTY = 1 << 34
NAMES = st.text(min_size=1, max_size=40)


@dataclass
class Endpoint:
    """A server of many models, with the requests that SageMaker sends."""

    folder: Path
    registry: ModelRegistry
    app: Flask

    def post(self, path: str, body: object, **headers: str) -> TestResponse:
        return self.app.test_client().post(path, json=body, headers=headers)

    def load(self, name: str, url: Path | str | None = None) -> TestResponse:
        place = str(self.folder / "a" / "model") if url is None else str(url)
        return self.post("/models", {"model_name": name, "url": place})

    def get(self, path: str) -> TestResponse:
        return self.app.test_client().get(path)

    def unload(self, name: str) -> TestResponse:
        return self.app.test_client().delete(f"/models/{quote(name, safe='')}")

    def invoke(self, name: str, seed: int = 1) -> TestResponse:
        path = f"/models/{quote(name, safe='')}/invoke"
        return self.post(path, {"seeds": [seed]}, Accept=NPY)

    @property
    def names(self) -> list[str]:
        return [model["modelName"] for model in self.get("/models").get_json()["models"]]


Start = Callable[..., Endpoint]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Path:
    """/opt/ml/models with two models, as SageMaker unpacks them."""
    folder = tmp_path_factory.mktemp("ml") / "models"
    shutil.copytree(model_dir, folder / "a" / "model")
    save_artifact(build_gan("dcgan", "tiny", SHAPE, seed=1), folder / "b" / "model")
    return folder


@pytest.fixture
def start(models_dir: Path) -> Iterator[Start]:
    """Start a server; all are closed at the end."""
    started: list[ModelRegistry] = []

    def run(
        budget: int = PLENTY,
        open_one: Callable[[Path], ServedModel] | None = None,
        **options: object,
    ) -> Endpoint:
        limits = ServingLimits()
        many = settings_of_many(ServingSettings(limits))
        registry = ModelRegistry(
            models_dir,
            open_one or (lambda folder: open_model(folder, many)),
            budget=budget,
            **options,  # type: ignore[arg-type]
        )
        started.append(registry)
        return Endpoint(models_dir, registry, create_models_app(registry, limits=limits))

    yield run
    for registry in started:
        registry.close(5)


@pytest.fixture
def endpoint(start: Start) -> Endpoint:
    return start()


def refused(reply: TestResponse, status: int) -> dict[str, str]:
    """Check that a reply is a JSON error, and return its fields."""
    assert reply.status_code == status, reply.data
    error = reply.get_json()
    assert set(error) == {"error", "message", "hint"}
    assert error["message"] and "Traceback" not in reply.text
    return dict(error)


def test_server_without_a_model_is_healthy(endpoint: Endpoint) -> None:
    """SageMaker pings before it loads the first."""
    assert endpoint.get("/ping").status_code == 200
    assert endpoint.get("/models").get_json() == {"models": []}


def test_loaded_model_returns_what_it_returns_alone(endpoint: Endpoint) -> None:
    """The same bodies and replies as /invocations, model by model."""
    for name in "ab":
        url = endpoint.folder / name / "model"
        reply = endpoint.load(name, url)
        assert reply.status_code == 200
        assert reply.get_json() == {"modelName": name, "modelUrl": str(url)}
        assert endpoint.get(f"/models/{name}").get_json() == reply.get_json()
    for name in "ab":
        own = Synthesizer(load_artifact(endpoint.folder / name / "model")).generate(seeds=[5])
        answered = decode_images(endpoint.invoke(name, 5).data, NPY)
        np.testing.assert_array_equal(answered, own)


def test_name_is_loaded_once(endpoint: Endpoint) -> None:
    """The contract says 409, also for another folder."""
    assert endpoint.load("a").status_code == 200
    assert refused(endpoint.load("a", endpoint.folder / "b/model"), 409)["error"] == "ModelLoaded"


def test_two_loads_of_one_name_make_one_model(start: Start) -> None:
    """In a race one load gets 200, the other 409; there are never two models."""
    both_came = threading.Event()
    opened: list[Path] = []

    def open_slowly(folder: Path) -> ServedModel:
        opened.append(folder)
        both_came.wait(30)
        return open_model(folder, ServingSettings())

    endpoint = start(open_one=open_slowly)
    with ThreadPoolExecutor(2) as callers:
        replies = [callers.submit(endpoint.load, "a") for _ in range(2)]
        while not any(reply.done() for reply in replies):
            time.sleep(0.01)
        both_came.set()
    assert sorted(reply.result().status_code for reply in replies) == [200, 409]
    assert len(opened) == 1 and endpoint.names == ["a"]


def test_others_answer_while_one_is_loaded(start: Start) -> None:
    """Other models, the list and /ping answer."""
    began, may_go_on = threading.Event(), threading.Event()

    def open_slowly(folder: Path) -> ServedModel:
        if folder.parent.name == "b":
            began.set()
            may_go_on.wait(30)
        return open_model(folder, ServingSettings())

    endpoint = start(open_one=open_slowly)
    endpoint.load("a")
    with ThreadPoolExecutor(1) as callers:
        loading = callers.submit(endpoint.load, "b", endpoint.folder / "b/model")
        assert began.wait(30)
        assert endpoint.get("/ping").status_code == 200
        assert endpoint.invoke("a").status_code == 200
        assert endpoint.names == ["a"]
        refused(endpoint.invoke("b"), 404)
        refused(endpoint.unload("b"), 404)
        may_go_on.set()
    assert loading.result().status_code == 200 and endpoint.names == ["a", "b"]


def test_an_unknown_name_is_404_everywhere(endpoint: Endpoint) -> None:
    """Get, unload, invoke."""
    endpoint.load("a")
    for reply in (endpoint.get("/models/x"), endpoint.unload("x"), endpoint.invoke("x")):
        assert refused(reply, 404)["error"] == "UnknownModel"


def test_unloaded_model_is_gone_and_can_be_loaded_again(endpoint: Endpoint) -> None:
    """Its thread ends with it."""
    endpoint.load("a")
    batcher = endpoint.registry.get("a").served.batcher
    assert batcher is not None
    assert endpoint.unload("a").status_code == 200
    assert not batcher.is_alive
    refused(endpoint.invoke("a"), 404)
    refused(endpoint.unload("a"), 404)
    assert endpoint.load("a").status_code == 200 and endpoint.invoke("a").status_code == 200


def test_running_requests_finish_when_a_model_is_unloaded(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DELETE waits for running requests, accepts no new ones, and does not abort any."""
    began, may_go_on = threading.Event(), threading.Event()
    draw = Synthesizer.generate_batch

    def draw_slowly(self: Synthesizer, batch: object) -> object:
        began.set()
        may_go_on.wait(30)
        return draw(self, batch)  # type: ignore[arg-type]

    endpoint = start()
    monkeypatch.setattr(Synthesizer, "generate_batch", draw_slowly)
    may_go_on.set()
    endpoint.load("a")
    began.clear()
    may_go_on.clear()
    with ThreadPoolExecutor(2) as callers:
        drawing = callers.submit(endpoint.invoke, "a")
        assert began.wait(30)
        unloading = callers.submit(endpoint.unload, "a")
        while endpoint.names:
            time.sleep(0.01)
        refused(endpoint.invoke("a"), 404)
        assert not unloading.done()
        may_go_on.set()
        assert drawing.result().status_code == 200
        assert unloading.result().status_code == 200
    assert endpoint.registry.leaving == []


def test_request_that_outlasts_an_unload_closes_the_model(endpoint: Endpoint) -> None:
    """Unloading stops waiting after its timeout; the last request then closes the model."""
    endpoint.load("a")
    with endpoint.registry.acquire("a") as served:
        assert endpoint.registry.unload("a", seconds=0.01) is False
        assert served.is_healthy and len(endpoint.registry.leaving) == 1
    assert served.is_closing and endpoint.registry.leaving == []


def test_models_past_the_budget_are_507(start: Start) -> None:
    """SageMaker then unloads other models and retries."""
    size = MemoryEstimate(100, 10)
    endpoint = start(budget=219, size_of=lambda _: size)
    assert [endpoint.load(name).status_code for name in "xy"] == [200, 507]
    refused(endpoint.load("y"), 507)
    assert endpoint.names == ["x"], "nothing is evicted by default"
    endpoint.unload("x")
    assert endpoint.load("y").status_code == 200


def test_activation_memory_is_counted_once(start: Start) -> None:
    """Two models: 100 + 100 for weights, 50 for the one that runs, 50 to warm up the newer one."""
    endpoint = start(budget=300, size_of=lambda _: MemoryEstimate(100, 50))
    assert [endpoint.load(name).status_code for name in "xy"] == [200, 200]


def test_least_recently_used_model_is_evicted_if_enabled(start: Start) -> None:
    """FACEGAN_EVICT: the second model is evicted, as the first has just been used."""
    endpoint = start(budget=250, is_evicting=True, size_of=lambda _: MemoryEstimate(100, 1))
    for name in ("first", "second"):
        endpoint.load(name)
    endpoint.invoke("first")
    assert endpoint.load("third").status_code == 200
    assert endpoint.names == ["first", "third"]


def test_a_model_in_use_is_not_evicted(start: Start) -> None:
    """Nor is any other model, if that would not free enough memory."""
    endpoint = start(budget=250, is_evicting=True, size_of=lambda _: MemoryEstimate(100, 1))
    for name in ("busy", "idle"):
        endpoint.load(name)
    endpoint.registry.size_of = lambda _: MemoryEstimate(200, 1)
    with endpoint.registry.acquire("busy"):
        refused(endpoint.load("large"), 507)
    assert endpoint.names == ["busy", "idle"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_runs_out_is_507(start: Start, error: Exception) -> None:
    """While a model is loaded, and while it generates; afterwards the name is free."""

    def fail(*_: object) -> ServedModel:
        raise error

    endpoint = start(open_one=fail)
    refused(endpoint.load("a"), 507)
    assert endpoint.registry.entries == {}
    fine = start()
    fine.load("a")
    batcher = fine.registry.get("a").served.batcher
    assert batcher is not None
    batcher.draw_batch = fail  # type: ignore[assignment]
    refused(fine.invoke("a"), 507)
    assert fine.get("/ping").status_code == 200


def test_pages_of_models_follow_one_another(endpoint: Endpoint) -> None:
    """Unloading a model between two pages shifts nothing."""
    for name in "pqrst":
        endpoint.load(name)
    seen, token = [], ""
    for _ in range(9):
        page = endpoint.get(f"/models?limit=2&next_page_token={token}").get_json()
        seen += [model["modelName"] for model in page["models"]]
        if seen == ["p", "q"]:
            endpoint.unload("p")
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert seen == list("pqrst")
    assert "nextPageToken" not in endpoint.get("/models").get_json()


@pytest.mark.parametrize("query", ["next_page_token=x", "next_page_token=-1", "limit=0",
                                   "limit=x", "limit=1001", "limit=" + "9" * 30,
                                   "limit=0000000100000", "limit=" + "1" * 3900])  # fmt: skip
def test_invalid_page_is_400(endpoint: Endpoint, query: str) -> None:
    """It is not a 500, and not a list of all models."""
    refused(endpoint.get(f"/models?{query}"), 400)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(name=NAMES)
def test_any_name_is_a_name(endpoint: Endpoint, name: str) -> None:
    """Names are opaque: slashes, dots and NUL come back unchanged."""
    if name.encode(errors="replace").decode() != name:
        refused(endpoint.load(name), 400)
        return
    assert endpoint.load(name).status_code == 200
    address = f"/models/{quote(name, safe='')}"
    assert endpoint.get(address).get_json()["modelName"] == name
    assert endpoint.invoke(name).status_code == 200
    assert endpoint.unload(name).status_code == 200
    assert endpoint.names == []


@pytest.mark.parametrize("body", [
    {}, {"model_name": "x"}, {"model_name": "", "url": "u"}, {"model_name": 1, "url": "u"},
    {"model_name": "x", "url": None}, {"model_name": "x" * 2049, "url": "u"}, [], "x", 3,
])  # fmt: skip
def test_a_load_without_a_name_or_a_folder_is_400(endpoint: Endpoint, body: object) -> None:
    """It is the client's error."""
    refused(endpoint.post("/models", body), 400)


def test_load_request_that_is_not_json_is_refused(endpoint: Endpoint) -> None:
    """By its content type, or by its text."""
    client = endpoint.app.test_client()
    refused(client.post("/models", data=b"{", content_type=JSON), 400)
    refused(client.post("/models", data=b"[" * 100_000, content_type=JSON), 400)
    refused(client.post("/models", data=b"{}", content_type="text/csv"), 415)


def test_a_damaged_model_is_400_and_leaves_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    """Its weights are truncated, then do not match the card, then are missing."""
    broken = endpoint.folder / "broken" / "model"
    shutil.copytree(endpoint.folder / "a/model", broken)
    weights = broken / "generator.safetensors"
    (broken / "model.tar.gz").unlink()
    whole = weights.read_bytes()
    for content in (whole[:-4], whole[:-1] + b"\x7f", b"", b"\xff" * 64):
        weights.write_bytes(content)
        refused(endpoint.load("x", broken), 400)
    weights.unlink()
    refused(endpoint.load("x", broken), 400)
    shutil.rmtree(broken)
    refused(endpoint.load("x", broken), 404)
    assert endpoint.names == [] and endpoint.registry.entries == {}


def test_a_graph_that_names_a_file_is_400(
    endpoint: Endpoint, graphs_dir: Path, tmp_path: Path
) -> None:
    """It is refused before the file is read, although the digest in the card matches."""
    import onnx

    folder = endpoint.folder / "hostile" / "model"
    shutil.copytree(graphs_dir, folder)
    graph = onnx.load(folder / "generator.onnx")
    tensor = graph.graph.initializer[0]
    (tmp_path / "secret").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(tmp_path / "secret"))
    (folder / "generator.onnx").write_bytes(graph.SerializeToString())
    card = json.loads((folder / "model_card.json").read_text())
    digest = hashlib.sha256((folder / "generator.onnx").read_bytes()).hexdigest()
    card["graph"]["sha256"]["generator.onnx"] = digest
    (folder / "model_card.json").write_text(json.dumps(card))
    endpoint.load("a")
    assert "external data" in refused(endpoint.load("x", folder), 400)["message"]
    assert endpoint.names == ["a"] and endpoint.invoke("a").status_code == 200
    shutil.rmtree(folder.parent)


def test_others_draw_while_a_model_draws_for_the_first_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs are compiled then, which may take seconds, but does not use the shared thread."""
    began, may_go_on = threading.Event(), threading.Event()
    endpoint = start()
    endpoint.load("a")
    draw, own = Synthesizer.generate_batch, endpoint.registry.get("a").served.synthesizer
    assert own is not None

    def draw_slowly(self: Synthesizer, batch: InputBatch) -> object:
        if self.card.weights_sha256 != own.card.weights_sha256 and not began.is_set():
            began.set()
            may_go_on.wait(30)
        return draw(self, batch)

    monkeypatch.setattr(Synthesizer, "generate_batch", draw_slowly)
    with ThreadPoolExecutor(1) as callers:
        loading = callers.submit(endpoint.load, "b", endpoint.folder / "b/model")
        assert began.wait(30)
        assert endpoint.invoke("a").status_code == 200 and not loading.done()
        may_go_on.set()
    assert loading.result().status_code == 200


def test_load_that_takes_too_long_is_abandoned(start: Start) -> None:
    """503 in time; others answer meanwhile; its memory counts until its thread ends."""
    may_end, closed = threading.Event(), threading.Event()

    def open_late(folder: Path) -> ServedModel:
        served = open_model(folder, ServingSettings())
        if folder.parent.name == "b":
            may_end.wait(30)
            object.__setattr__(served, "script", SimpleNamespace(forget=closed.set))
        return served

    endpoint = start(
        open_one=open_late,
        budget=219,
        size_of=lambda _: MemoryEstimate(100, 5),
        seconds_of=lambda folder: 0.2 if folder.parent.name == "b" else None,
    )
    slow = endpoint.folder / "b" / "model"
    endpoint.load("a")
    began = time.monotonic()
    error = refused(endpoint.load("b", slow), 503)
    assert time.monotonic() - began < 5
    assert error["error"] == "LoadTimeout" and "FACEGAN_LOAD_SECONDS" in error["hint"]
    assert endpoint.names == ["a"] and endpoint.invoke("a").status_code == 200
    assert endpoint.get("/ping").status_code == 200
    refused(endpoint.invoke("b"), 404)
    refused(endpoint.load("b", slow), 507)  # the late one still holds its part of the budget
    may_end.set()
    assert closed.wait(10), "what came late is closed"
    while endpoint.registry.leaving:
        time.sleep(0.01)
    endpoint.registry.seconds_of = lambda folder: 30.0
    assert endpoint.load("b", slow).status_code == 200 and endpoint.names == ["a", "b"]


def test_a_load_that_fails_late_leaves_nothing(start: Start) -> None:
    """Nothing waits for its error any more."""
    may_end = threading.Event()

    def fail_late(folder: Path) -> ServedModel:
        may_end.wait(30)
        raise RuntimeError("much too late")

    endpoint = start(open_one=fail_late, seconds_of=lambda _: 0.05)
    refused(endpoint.load("a"), 503)
    assert len(endpoint.registry.leaving) == 1
    may_end.set()
    while endpoint.registry.leaving:
        time.sleep(0.01)
    assert endpoint.registry.entries == {}


def test_stopping_server_is_not_healthy_and_loads_nothing(endpoint: Endpoint) -> None:
    """Accepted requests are answered; then all models are closed."""
    endpoint.load("a")
    assert endpoint.registry.close(5)
    assert endpoint.get("/ping").status_code == 503
    refused(endpoint.load("b"), 503)
    refused(endpoint.invoke("a"), 503)


def test_loaded_models_answer_until_they_are_released(endpoint: Endpoint) -> None:
    """After SIGTERM accepted requests are still answered; /ping returns 503 already."""
    endpoint.load("a")
    endpoint.app.extensions["facegan.shutdown"].begin()
    assert endpoint.get("/ping").status_code == 503
    refused(endpoint.load("b"), 503)
    assert endpoint.invoke("a").status_code == 200
    assert "facegan_ready 0.0" in endpoint.get("/metrics").text


def test_broken_model_makes_the_server_unhealthy(endpoint: Endpoint) -> None:
    """SageMaker replaces the instance; a thread that died does not come back."""
    endpoint.load("a")
    batcher = endpoint.registry.get("a").served.batcher
    assert batcher is not None
    batcher.close(5)
    assert endpoint.get("/ping").status_code == 503


def test_models_take_turns(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two busy models never compute at once, and neither starves."""
    order: list[Synthesizer] = []
    inside = threading.Lock()
    draw = Synthesizer.generate_batch

    def watched(self: Synthesizer, batch: InputBatch) -> object:
        assert inside.acquire(blocking=False), "two models compute at once"
        order.append(self)
        time.sleep(0.005)
        inside.release()
        return draw(self, batch)

    monkeypatch.setattr(Synthesizer, "generate_batch", watched)
    many = settings_of_many(ServingSettings())
    served = [open_model(models_dir / name / "model", many) for name in "ab"]
    for one in served:
        assert one.batcher is not None
        one.batcher.max_batch_size = 1
    order.clear()
    body = json.dumps({"seeds": [0] * 12}).encode()
    with ThreadPoolExecutor(2) as callers:
        list(callers.map(lambda one: answer(body, JSON, NPY, one, ServingLimits()), served))
    for one in served:
        one.close(5)
    numbers = [order.index(model) for model in order]
    changes = sum(before != after for before, after in pairwise(numbers))
    assert len(order) == 24 and changes > 8, numbers


def test_unsupported_default_type_stops_the_start() -> None:
    """It does not only fail the first load."""
    with pytest.raises(ConfigError, match="image/gif"):
        settings_of_many(ServingSettings(default_accept="image/gif"))


def test_a_streamed_reply_keeps_its_model_to_the_end(endpoint: Endpoint) -> None:
    """Lines are generated as they are sent, after the route has returned."""
    endpoint.load("a")
    reply = endpoint.app.test_client().post(
        "/models/a/invoke",
        json={"seeds": list(range(40))},
        headers={"Accept": JSON_LINES},
        buffered=False,
    )
    lines = iter(reply.iter_encoded())
    first = next(lines)
    assert endpoint.registry.unload("a", seconds=0.01) is False
    rest = b"".join(lines)
    reply.close()
    assert (first + rest).count(b"\n") == 40 and b"error" not in rest
    assert endpoint.registry.leaving == [] and endpoint.registry.users == 0


def test_requests_of_all_models_are_limited_together(start: Start) -> None:
    """Without a common limit, ten models with a limit each could take every thread."""
    endpoint = start(max_users=1)
    for name in "ab":
        endpoint.load(name)
    with endpoint.registry.acquire("a"):
        reply = endpoint.invoke("b")
        assert refused(reply, 429)["error"] == "Overloaded" and reply.headers["Retry-After"]
    assert endpoint.invoke("b").status_code == 200
    assert 'facegan_rejections_total{reason="overload"} 1.0' in endpoint.get("/metrics").text
