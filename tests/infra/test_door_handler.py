"""The public door's function: real events of API Gateway, through boto3, to our real server."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from api_events import EVENTS, ask, event_v2, log_of
from botocore.stub import Stubber
from door_server import KEY, VARIABLES, AsAws
from face_api import handler
from face_api.handler import Door
from PIL import Image

from facegan.client import FaceClient
from facegan.cloud.invoke_endpoint import SageMakerTransport

ROOM = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client(server_url: str) -> FaceClient:
    return FaceClient(SageMakerTransport("faces", server_url))


@pytest.mark.parametrize("make", EVENTS)
def test_a_seed_gives_the_same_png_as_the_client_gets(
    door: Door, client: FaceClient, make: Any
) -> None:
    got = ask(door, "GET", "/faces/7.png", make=make)
    assert (got.status, got.headers["Content-Type"]) == (200, "image/png")
    assert got.body == client.grid(seeds=[7])
    assert Image.open(BytesIO(got.body)).size == (32, 32)


@pytest.mark.parametrize(
    ("path", "accept", "format_"),
    [
        ("/faces/7.jpg", None, "JPEG"),
        ("/faces/7.jpeg?quality=50", None, "JPEG"),
        ("/faces/7.webp", "application/json", "WEBP"),
        ("/faces/7", None, "PNG"),
        ("/faces/7", "image/webp, image/png;q=0.5", "WEBP"),
        ("/faces/7", "image/jpg", "JPEG"),
        ("/faces/7", "text/html, image/*;q=0.8, */*;q=0.1", "PNG"),
        ("/faces/7", "image/png;q=0, image/*", "JPEG"),
    ],
)
def test_the_suffix_says_the_format_or_else_accept(
    door: Door, path: str, accept: str | None, format_: str
) -> None:
    got = ask(door, "GET", path, {"accept": accept} if accept else {})
    assert got.status == 200
    assert Image.open(BytesIO(got.body)).format == format_
    assert (got.headers.get("Vary") == "Accept") == ("." not in path)


def test_a_face_may_be_kept_for_a_year(door: Door) -> None:
    got = ask(door, "GET", "/faces/7.png")
    assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert got.headers["X-Face-Model"] == "m1"


def test_a_door_may_keep_its_faces_from_shared_caches(make_door: Callable[..., Door]) -> None:
    got = ask(make_door(CACHING="private"), "GET", "/faces/7.png")
    assert got.headers["Cache-Control"].startswith("private, ")


@pytest.mark.parametrize("make", EVENTS)
def test_a_face_that_the_caller_has_is_not_drawn(door: Door, sagemaker: AsAws, make: Any) -> None:
    etag = ask(door, "GET", "/faces/7.png", make=make).headers["ETag"]
    before = sagemaker.asked
    for tag in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        got = ask(door, "GET", "/faces/7.png", {"if-none-match": tag}, make=make)
        assert (got.status, got.body, got.headers["ETag"]) == (304, b"", etag)
    assert sagemaker.asked == before
    assert ask(door, "GET", "/faces/7.png", {"if-none-match": '"other"'}).status == 200


def test_an_etag_is_of_one_face_of_one_model(make_door: Callable[..., Door]) -> None:
    paths = [
        "7.png",
        "8.png",
        "7.jpg",
        "7.jpg?quality=50",
        "7.png?truncation=1",
        "7.png?truncation=1",
    ]
    tags = [
        ask(make_door(MODEL_ID=model), "GET", f"/faces/{path}").headers["ETag"]
        for model in ("m1", "m2")
        for path in paths
    ]
    assert len(set(tags)) == 2 * (len(paths) - 1)


def test_who_names_a_model_gets_that_one_or_none(door: Door) -> None:
    assert ask(door, "GET", "/faces/7.png?model=m1").status == 200
    got = ask(door, "GET", "/faces/7.png?model=m0")
    assert (got.status, got.headers["Cache-Control"]) == (404, "no-store")
    assert "'m0' is not served" in got.told["message"]


def test_head_is_get_without_a_body(door: Door) -> None:
    drawn, head = ask(door, "GET", "/faces/7.png"), ask(door, "HEAD", "/faces/7.png")
    assert (head.status, head.body, head.headers) == (200, b"", drawn.headers)


@pytest.mark.parametrize("make", EVENTS)
def test_a_request_in_json_is_handed_on(door: Door, client: FaceClient, make: Any) -> None:
    body = b'{"seeds": [1, 2, 3, 4], "columns": 4}'
    got = ask(door, "POST", "/faces", ROOM | {"accept": "image/png"}, body, make)
    assert (got.status, got.headers["Cache-Control"]) == (200, "no-store")
    assert got.body == client.grid(seeds=[1, 2, 3, 4], columns=4)


@pytest.mark.parametrize("make", EVENTS)
def test_every_reply_of_the_wire_comes_through(door: Door, client: FaceClient, make: Any) -> None:
    def post(accept: str) -> Any:
        return ask(door, "POST", "/faces", ROOM | {"accept": accept}, b'{"seeds": [1]}', make)

    assert post("application/json").told["images"][0]["seed"] == 1
    assert post("application/zip").body[:2] == b"PK"
    assert json.loads(post("application/jsonlines").body)["count"] == 1
    pixels = np.load(BytesIO(post("application/x-npy").body))
    assert np.array_equal(pixels, client.generate(seeds=[1]))


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/faces/x.png", 400, "'x' is no seed"),
        ("/faces/-1.png", 400, "'-1' is no seed"),
        ("/faces/4294967296.png", 400, "'4294967296' is no seed.*4294967295"),
        ("/faces/007.png", 400, "'007' is no seed"),
        ("/faces/7.gif", 404, "as .gif.*\\.png, \\.jpg"),
        ("/faces/7.png.png", 404, "as .png.png"),
        ("/faces/7.png?truncation=x", 400, "truncation is 'x'"),
        ("/faces/7.png?truncation=2.5", 400, "truncation is '2.5'.*from 0 to 2"),
        ("/faces/7.png?truncation=nan", 400, "truncation is 'nan'"),
        ("/faces/7.png?truncation=1&truncation=1", 400, "truncation is in the query twice"),
        ("/faces/7.png?trunc=1", 400, "'trunc' is no field.*truncation"),
        ("/faces/7.png?class=", 400, "class has 0 characters"),
        ("/faces/7.png?quality=50", 400, "a PNG has none"),
        ("/faces/7.jpg?quality=0", 400, "quality is '0'"),
        ("/faces/7.png?" + "&".join(f"a{n}=1" for n in range(21)), 400, "more than 20"),
        ("/faces/7.png?truncation=0.5", 400, "'dcgan' has no truncation.*Leave"),  # the container's
        ("/faces/7.png?class=long", 400, "class"),
        ("/faces/", 404, "nothing at '/faces/'"),
        ("/other", 404, "nothing at '/other'.*GET /faces/SEED.png"),
    ],
)
@pytest.mark.parametrize("make", EVENTS)
def test_a_mistake_is_named_with_its_mend(
    door: Door, path: str, status: int, told: str, make: Any
) -> None:
    got = ask(door, "GET", path, make=make)
    assert got.status == status, got.body
    assert got.headers["Cache-Control"] == "no-store"
    assert set(got.told) == {"error", "message", "hint"}
    whole = f"{got.told['message']} {got.told['hint']}".replace("/gallery", "")
    assert re.search(told, whole), whole


@pytest.mark.parametrize(
    ("headers", "body", "status", "told"),
    [
        (ROOM, b"", 400, "no JSON"),
        (ROOM, b"[1]", 400, "no JSON object"),
        (ROOM, b'{"seeds": [NaN]}', 400, "no JSON"),
        (ROOM, b"[" * 4000, 400, "no JSON"),
        (ROOM, b"\xff", 400, "no JSON"),
        (ROOM, b'{"seeds": ["x"]}', 400, "seeds[0]"),
        (ROOM, b'{"seed": [1]}', 400, "'seed'"),
        (ROOM, b'{"seeds": [%s]}' % b", ".join([b"1"] * 65), 413, "asks for 65 images"),
        (ROOM, b'{"seeds": [1], "x": "%s"}' % (b"a" * 5000), 413, "the limit is 4096"),
        ({"content-type": "text/csv"}, b"1,2", 415, "'text/csv'"),
        ({}, b"{}", 415, "No content type"),
        (ROOM | {"accept": "text/html"}, b'{"seeds": [1]}', 406, "'text/html'"),
    ],
)
def test_a_wrong_body_is_named(
    door: Door, headers: dict[str, str], body: bytes, status: int, told: str
) -> None:
    got = ask(door, "POST", "/faces", headers, body)
    assert (got.status, told in got.told["message"]) == (status, True), got.body


def test_a_body_over_the_limit_is_not_sent_on(door: Door, sagemaker: AsAws) -> None:
    before = sagemaker.asked
    assert ask(door, "POST", "/faces", ROOM, b"{" + b" " * 5000 + b"}").status == 413
    assert sagemaker.asked == before


def test_a_body_that_is_no_base64_is_said(door: Door) -> None:
    event = event_v2("POST", "/faces", ROOM, b"{}") | {"body": "§"}
    assert json.loads(door.respond(event)["body"])["message"] == "The body is no base64."


def test_a_reply_that_lambda_could_not_send_is_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "MAX_ANSWER_BYTES", 400)
    got = ask(door, "GET", "/faces/7.png")
    assert (got.status, got.told["error"]) == (413, "RequestTooLarge")
    assert "300 can be sent" in got.told["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "x\ny"])
def test_another_method_is_refused_with_those_there_are(door: Door, method: str) -> None:
    got = ask(door, method, "/faces/7.png")
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("before", ["/prod", "/gallery", "/faces", "/a/b"])
def test_a_stage_or_base_path_before_the_route_is_passed_over(door: Door, before: str) -> None:
    assert ask(door, "HEAD", before + "/faces/7.png").status == 200


@pytest.mark.parametrize("event", [None, {}, {"version": "2.0"}, {"Records": []}, [], "x"])
def test_what_is_no_event_of_api_gateways_is_said(door: Door, event: Any) -> None:
    assert "no event" in json.loads(door.respond(event)["body"])["message"]


# Other sites' pages


def test_without_origins_no_page_of_another_site_may_ask(door: Door) -> None:
    got = ask(door, "OPTIONS", "/faces", {"origin": "https://a.example"})
    assert (got.status, got.headers["Allow"]) == (204, "POST, OPTIONS")
    assert not any(name.startswith("Access-Control") for name in got.headers)


def test_an_allowed_origin_is_told_so_and_others_are_not(make_door: Callable[..., Door]) -> None:
    door = make_door(ALLOWED_ORIGINS="https://a.example,https://b.example")
    got = ask(door, "OPTIONS", "/faces/7.png", {"origin": "https://b.example"})
    assert got.headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert got.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    drawn = ask(door, "GET", "/faces/7", {"origin": "https://c.example"})
    assert "Access-Control-Allow-Origin" not in drawn.headers
    assert drawn.headers["Vary"] == "Accept, Origin"


def test_a_refusal_may_be_read_by_pages_too(make_door: Callable[..., Door]) -> None:
    got = ask(make_door(ALLOWED_ORIGINS="*"), "GET", "/faces/x", {"origin": "https://a.example"})
    assert (got.status, got.headers["Access-Control-Allow-Origin"]) == (400, "*")


# The key

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Key-abcdef"


def test_the_key_opens_and_is_read_once(make_door: Callable[..., Door], secrets: Any) -> None:
    door = make_door(KEY_SECRET=SECRET)
    with Stubber(secrets) as stub:
        stub.add_response("get_secret_value", {"SecretString": KEY}, {"SecretId": SECRET})
        assert ask(door, "GET", "/faces/7.png", {"x-api-key": KEY}).status == 200
        wrong = ask(door, "GET", "/faces/7.png", {"x-api-key": "k"})
        assert (wrong.status, wrong.told["message"]) == (401, "The key is wrong.")
        missing = ask(door, "GET", "/faces/7.png")
        assert "x-api-key" in missing.told["hint"]
        assert missing.headers["WWW-Authenticate"]
        assert ask(door, "OPTIONS", "/faces/7.png").status == 204
        assert KEY not in door.log.getvalue()  # type: ignore[attr-defined]


def test_a_changed_key_counts_after_five_minutes(
    make_door: Callable[..., Door], secrets: Any
) -> None:
    door, now = make_door(KEY_SECRET=SECRET), [0.0]
    door.lock.clock = lambda: now[0]
    with Stubber(secrets) as stub:
        for key in ("old", "new"):
            stub.add_response("get_secret_value", {"SecretString": key}, {"SecretId": SECRET})
        tag = {"x-api-key": "old", "if-none-match": "*"}
        assert ask(door, "GET", "/faces/7.png", tag).status == 304
        now[0] = 299.0
        assert ask(door, "GET", "/faces/7.png", tag).status == 304
        now[0] = 301.0
        assert ask(door, "GET", "/faces/7.png", tag).status == 401
        now[0] = 1000.0  # Secrets Manager is away: the last key that is known counts
        stub.add_client_error("get_secret_value", "InternalServiceError")
        assert ask(door, "GET", "/faces/7.png", tag | {"x-api-key": "new"}).status == 304


def test_a_key_that_cannot_be_read_opens_nothing(
    make_door: Callable[..., Door], secrets: Any
) -> None:
    with Stubber(secrets) as stub:
        stub.add_client_error("get_secret_value", "AccessDeniedException")
        got = ask(make_door(KEY_SECRET=SECRET), "GET", "/faces/7.png", {"x-api-key": "k"})
    assert (got.status, got.headers["Retry-After"]) == (503, "10")


# The function itself


def test_the_log_has_a_line_a_request_with_both_ids_and_no_seed(door: Door) -> None:
    ask(door, "GET", "/faces/123456.png")
    ask(door, "GET", "/faces/x")
    drawn, refused = log_of(door)
    assert drawn["request_id"] == "JKJaXmPLvHcESHA=" and drawn["lambda_id"] == "lambda-1"
    assert (drawn["status"], drawn["route"], drawn["method"]) == (200, "/faces/{face}", "GET")
    assert drawn["bytes_out"] > 100 and drawn["ms"] > 0
    assert (refused["status"], refused["error"]) == (400, "RequestError")
    assert "123456" not in door.log.getvalue()  # type: ignore[attr-defined]


def test_a_fault_of_ours_is_in_the_log_and_not_in_the_answer(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "one", lambda asked: 1 / 0)
    got = ask(door, "GET", "/faces/7.png")
    assert got.status == 500 and b"ZeroDivision" not in got.body and b"line" not in got.body
    assert "JKJaXmPLvHcESHA=" in got.told["message"]
    assert "ZeroDivisionError" in log_of(door)[0]["trace"]


def test_the_function_takes_all_from_its_variables(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server_url)
    handler.door.cache_clear()
    try:
        assert handler.handle(event_v2("GET", "/faces/7.png"), None)["statusCode"] == 200
    finally:
        handler.door.cache_clear()
    assert json.loads(capsys.readouterr().out)["status"] == 200


@pytest.mark.parametrize("name", ["KEY_SECRET", "ENDPOINT_NAME"])
def test_a_door_without_a_variable_does_not_open(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        handler.Settings.of({it: value for it, value in VARIABLES.items() if it != name})
