"""Headers that proxies, gateways and SDKs add: they change no reply, or are refused by name."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_server import ONE, Reply, Server, read_reply, refused, running

ROUTES = {
    "ping": b"GET /ping",
    "front page": b"GET /",
    "metrics": b"GET /metrics",
    "openapi": b"GET /openapi.json",
    "execution parameters": b"GET /execution-parameters",
    "faces": b"POST /invocations",
    "faces by boto3's path": b"POST /endpoints/a/invocations",
    "a stream": b"POST /endpoints/a/invocations-response-stream",
    "nowhere": b"GET /nowhere",
}
PASSING = [
    b"X-Forwarded-For: 10.0.0.1, 10.0.0.2", b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: on",
    b"X-Forwarded-Protocol: ssl", b"X-Forwarded-Host: evil.example", b"X-Forwarded-Port: 443",
    b"X-Forwarded-Prefix: /prod", b"X-Forwarded-Server: y", b"X-Real-Ip: \xff",
    b"Forwarded: for=10.0.0.1;proto=https;host=evil.example", b"Via: 1.1 y, 2.0 z",
    b"SCRIPT_NAME: /x", b"PATH_INFO: /nowhere", b"Script-Name: /x", b"REMOTE_USER: root",
    b"X-Original-Url: /nowhere", b"X-Rewrite-Url: /nowhere", b"X-Http-Method-Override: DELETE",
    b"Connection: keep-alive", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", b"Connection: upgrade\r\nUpgrade: websocket",
    b"TE: trailers, deflate;q=0.5", b"Trailer: X-Sum", b"Keep-Alive: timeout=5", b"Proxy: http://y",
    b"Proxy-Connection: keep-alive", b"Proxy-Authorization: Basic eA==", b"Max-Forwards: 0",
    b"Range: bytes=0-1", b"If-Range: x", b'If-None-Match: "x"', b"If-None-Match: *", b"If-Match: x",
    b"If-Modified-Since: Wed, 21 Oct 2065 07:28:00 GMT", b"If-Unmodified-Since: nonsense",
    b"Cache-Control: only-if-cached", b"Pragma: no-cache", b"Accept-Encoding: gzip, br;q=1, *;q=0",
    b"Accept-Charset: utf-7", b"Accept-Language: \xe4;q=x", b"Content-Language: de",
    b"Content-Location: /x", b"Content-MD5: x", b"Content-Disposition: attachment; filename=\xff",
    b"Content-Encoding: identity", b"Content-Encoding: IDENTITY", b"Content-Encoding:",
    b"Content-Encoding: identity, identity", b"Digest: x", b"Prefer: respond-async", b"DNT: 1",
    b"Authorization: AWS4-HMAC-SHA256 Credential=x", b"Cookie: \xff=;=;;\x80", b"Origin: null",
    b"Referer: \xff", b"User-Agent: \xf0\x9f\x98\x80", b"From: x@y", b"Expect: 100-continue",
    b"X-Amz-Date: x", b"X-Amz-Security-Token: \xff", b"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD",
    b"X-Amzn-Trace-Id: Root=1-x;\xff", b"Traceparent: 00-x", b"X-Request-Id: \xff\xfe",
    b"X-Amzn-SageMaker-Target-Model: ../x", b"X-Amzn-SageMaker-Target-Variant: \xff",
    b"X-Amzn-SageMaker-Inference-Id: \xff", b"X-Amzn-SageMaker-Enable-Explanations: `[*]`",
    b"X-Amzn-SageMaker-Session-Id: NEW_SESSION", b"X-Amzn-SageMaker-Custom-Attributes:",
    b"X-Amzn-SageMaker-Target-Container-Hostname: x",
    b"X-Amzn-Sagemaker-Inference-Component: x", b"Content_Length: 5", b"Transfer_Encoding: chunked",
    b"X: " + b"a" * 4000, b"X-" + b"y" * 100 + b": a",
    b"\r\n".join(b"X-%d: a" % n for n in range(60)),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(model_dir: Path) -> Iterator[Server]:
    with running(model_dir) as started:
        yield started


def ask(server: Server, route: bytes, *lines: bytes, body: bytes | None = None) -> Reply:
    """Send one request on a new connection; skip 100 Continue."""
    content = ONE if body is None and route.startswith(b"POST") else body or b""
    types = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(content)
    fixed = b"Host: x\r\n" + (types if content else b"")
    head = route + b" HTTP/1.1\r\n" + fixed + b"".join(line + b"\r\n" for line in lines)
    with server.connect() as connection:
        connection.sendall(head + b"\r\n" + content)
        is_head = route.startswith(b"HEAD ")
        reply = read_reply(connection, is_head)
        return read_reply(connection, is_head) if reply.status == 100 else reply


def comparable(reply: Reply) -> tuple[int, str, bytes]:
    """Return what must be equal in two replies; metrics differ, as they count requests."""
    is_metrics = reply.body.startswith(b"# HELP")
    head = "" if is_metrics else re.sub("(X-Request-Id|Date): [^\r]*", "", reply.head)
    return reply.status, head, b"" if is_metrics else reply.body


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_headers_of_intermediaries_change_no_reply(server: Server, route: bytes) -> None:
    plain = comparable(ask(server, route))
    for line in PASSING:
        assert comparable(ask(server, route, line)) == plain, line
    extensions = [b"X-%d: \x80\xff" % n for n in range(90)]
    assert comparable(ask(server, route, *extensions)) == plain


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("coding", [
    b"gzip", b"GZIP", b"x-gzip", b"br", b"deflate", b"zstd", b"compress", b"aws-chunked", b"utf-8",
    b"identity, gzip", b"gzip,identity", b"identity;q=1", b"gzip\r\nContent-Encoding: identity",
    b"\xff", b"*", b"none", b"%67zip",
])  # fmt: skip
def test_unsupported_content_encoding_is_415_and_named(
    server: Server, route: bytes, coding: bytes
) -> None:
    reply = ask(server, route, b"Content-Encoding: " + coding)
    assert "Content-Encoding" in refused(reply, 415)["message"]


@pytest.mark.parametrize("body", [gzip.compress(ONE), zlib.compress(ONE)], ids=["gzip", "deflate"])
@pytest.mark.parametrize("kind", [
    "application/json", "text/csv", "application/x-npy", "application/jsonlines", "text/plain",
])  # fmt: skip
def test_a_compressed_body_is_415_whatever_its_type(server: Server, body: bytes, kind: str) -> None:
    lines = b"Content-Encoding: gzip\r\nContent-Type: " + kind.encode()
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\n" + lines
    reply = server.send(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert "Content-Encoding" in refused(reply, 415)["message"]


def test_lines_with_a_bom_and_cr_lf_are_each_answered(server: Server) -> None:
    """Windows writes them."""
    body = b'\xef\xbb\xbf{"seeds": [1]}\r\n{"seeds": [2]}\r\n'
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/jsonlines\r\n"
    reply = server.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert reply.status == 200
    assert [len(json.loads(x)["images"]) for x in reply.body.splitlines()] == [1, 1]


TARGETS = [
    b"http://x/ping", b"https://evil.example:1/ping", b"http://[::1]/ping", b"http://[/ping", b"//",
    b"///ping", b"/ping/", b"/ping?", b"/ping?" + b"a=%00&" * 500, b"/ping#x", b"/%70ing", b"/%00",
    b"/ping%00", b"/%ff", b"/%zz", b"/%", b"/%2e%2e/%2e%2e/etc/passwd", b"/../../etc/passwd", b"/;",
    b"/" + b"a/" * 1900, b"/endpoints/%00/invocations", b"/endpoints/" + b"%ff" * 1000 + b"/x",
    b"/models/%00/invoke", b"/endpoints//invocations", b"/endpoints/a%2fb/invocations", b"x:80",
    b"/?" + b"%f0%9f" * 600, b"/{a}", b"/<a>", b"/\"'", b"http:///", b"http://x", b"*", b"/\\",
    b"http://\xff/", b"file:///etc/passwd", b"/openapi.json/..", b"/metrics?name[]=%ff",
    b"gopher://x/ping", b"/ping ping",
]  # fmt: skip
HOSTS = [
    b"", b"x:y", b"x:99999999", b"[::1", b"[::1]:80", b"a b", b"\xff", b"xn--\xe4", b"x" * 300,
    b"a..b", b"." * 70, b"http://x", b"x/y", b"x?y", b"x@y", b"%00", b"localhost:", b"\xe2\x80\xae",
    b"xn--" + b"a" * 100, b"-", b"_", b"127.0.0.1:8080:80", b"\\", b"<script>",
]  # fmt: skip
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT",
           b"PROPFIND", b"GETGET", b"A" * 20]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda x: str(x[:30]))
def test_request_target_never_causes_a_5xx(server: Server, target: bytes) -> None:
    for method in METHODS:
        reply = ask(server, method + b" " + target)
        assert 0 < reply.status < 500, (method, reply)
        if reply.status >= 400 and method != b"HEAD":
            refused(reply, reply.status)


@pytest.mark.parametrize("host", HOSTS, ids=str)
def test_host_header_never_causes_a_5xx(server: Server, host: bytes) -> None:
    for route in ROUTES.values():
        with server.connect() as connection:
            body = ONE if route.startswith(b"POST") else b""
            fixed = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
            connection.sendall(
                route + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + fixed + b"\r\n" + body
            )
            reply = read_reply(connection)
        assert 0 < reply.status < 500, (route, reply)
        if reply.status >= 400:
            refused(reply, reply.status)


@pytest.mark.parametrize("route", [b"GET /ping", b"POST /invocations"])
def test_without_a_host_and_in_http_1_0_it_is_answered(server: Server, route: bytes) -> None:
    body = b"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n" + ONE
    for version in (b"1.0", b"1.1"):
        reply = server.send(
            route + b" HTTP/" + version + b"\r\n" + (body if b"POST" in route else b"\r\n")
        )
        assert reply.status == 200


VALUES = st.binary(max_size=60).map(lambda x: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", x))
NAMES = st.sampled_from([
    b"Accept", b"Content-Type", b"Content-Encoding", b"X-Amzn-SageMaker-Custom-Attributes",
    b"X-Amzn-SageMaker-Accept", b"X-Amzn-SageMaker-Inference-Id", b"X-Amzn-Trace-Id", b"Host",
    b"X-Request-Id", b"Cookie", b"Authorization", b"Range", b"If-None-Match", b"Connection", b"Via",
])  # fmt: skip


@given(route=st.sampled_from(list(ROUTES.values())), name=NAMES, value=VALUES)
def test_header_values_never_cause_a_5xx(
    server: Server, route: bytes, name: bytes, value: bytes
) -> None:
    body = ONE if route.startswith(b"POST") else b""
    head = route + b" HTTP/1.1\r\n" + name + b": " + value + b"\r\n"
    reply = server.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert 0 < reply.status < 500, reply
    assert not re.search("[^ -~\r\n]", reply.head), reply.head
