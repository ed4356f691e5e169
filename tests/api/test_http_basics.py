"""What every request has in common: versions, headers, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.api.conftest import Served
from tests.api.openapi_checks import undocumented, unrouted

from wherry_api.routes.table import ROUTES

Serve = Callable[..., None]


def test_ping_has_the_headers_from_which_clients_learn(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for method, body in (("GET", b"OK"), ("HEAD", b"")):
            answer = await api.ask(method, "/_ping")
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["api-version"] == "1.50"
            assert answer.headers["docker-experimental"] == "false"
            assert answer.headers["ostype"] == "linux"
            assert answer.headers["builder-version"] == "1"
            assert answer.headers["swarm"] == "inactive"
            assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate"
            assert answer.headers["pragma"] == "no-cache"
            assert answer.headers["server"].startswith("Wherry/")
            assert answer.headers["content-type"].startswith("text/plain")
        assert api.engine.hints == 2

    serve(scenario)


def test_versions_from_the_oldest_to_the_newest_are_served(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for version in ("1.24", "1.44", "1.50"):
            assert (await api.ask("GET", f"/v{version}/version")).value["ApiVersion"] == "1.50"
        new = await api.ask("GET", "/v1.60/version")
        assert new.status == 400
        assert new.message == "client version 1.60 is too new. Maximum supported API version is 1.50"
        old = await api.ask("GET", "/v1.23/version")
        assert old.status == 400
        assert "client version 1.23 is too old. Minimum supported API version is 1.24" in old.message
        assert (await api.ask("GET", "/v1.x/version", check=False)).message == "page not found"

    serve(scenario)


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/containers", "/containers/a/b/c", "/v1.50", "/images/", "/containers/x/nope", "/build"]
)
def test_an_unknown_route_is_not_found(serve: Serve, path: str) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("GET", path, check=False)
        assert (answer.status, answer.message) == (404, "page not found")

    serve(scenario)


def test_a_known_path_with_another_method_is_not_found(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert (await api.ask("PUT", "/version", check=False)).status == 404

    serve(scenario)


def test_routes_and_document_are_one_set() -> None:
    routes = [(route.method, route.path) for route in ROUTES]
    assert undocumented(routes) == []
    assert unrouted(routes) == []


def test_the_document_is_served(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert "/_ping" in (await api.ask("GET", "/openapi.json")).value["paths"]

    serve(scenario)


def test_swarm_operations_say_that_there_is_no_swarm(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for path in ("/swarm", "/nodes", "/services/x", "/tasks", "/secrets/x", "/configs"):
            answer = await api.ask("GET", path)
            assert answer.status == 503
            assert answer.message.startswith("This node is not a swarm manager.")
        for path in ("/swarm/init", "/services/create", "/secrets/x/update"):
            assert (await api.ask("POST", path, {}, check=False)).status == 503
        assert (await api.ask("POST", "/swarm/leave", check=False)).message == "This node is not part of a swarm"

    serve(scenario)


def test_what_is_not_there_yet_says_so(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for method, path, text in (
            ("GET", "/images/search?term=x", "cannot search: this engine does not talk to image registries yet"),
            ("POST", "/images/a/b/push", "cannot push a/b: this engine does not talk to image registries yet"),
            ("GET", "/distribution/a/b/json", "cannot look a/b up: this engine does not talk to image registries yet"),
            ("POST", "/build?t=x", "cannot build: this engine does not build images yet; `load`, `import`"),
        ):
            answer = await api.ask(method, path, check=False)
            assert answer.status == 501
            assert answer.message.startswith(text)
        assert (await api.ask("GET", "/builds", check=False)).status == 404

    serve(scenario)


def test_there_are_no_managed_plugins(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert (await api.ask("GET", "/plugins")).value == []
        answer = await api.ask("GET", "/plugins/vieux/sshfs:latest/json")
        assert answer.status == 404
        assert answer.message == 'plugin "vieux/sshfs:latest" not found'

    serve(scenario)


def test_bytes_that_are_no_http_get_an_error_in_json(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for garbage in (b"\x16\x03\x01 garbage\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n", b"x" * 70_000):
            stream = await api.open()
            stream.writer.write(garbage)
            status, headers = await stream.head()
            assert status == 400
            assert headers["content-type"] == "application/json"
            assert b'"message"' in await stream.body(headers)
            stream.close()

    serve(scenario)


def test_nul_characters_are_refused_everywhere(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for path in ("/containers/a%00b/json", "/containers/json?filters=%00"):
            assert (await api.ask("GET", path)).status == 400
        answer = await api.ask("POST", "/volumes/create", b'{"Name": "a\\u0000b"}')
        assert answer.status == 400
        assert "NUL" in answer.message

    serve(scenario)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "got EOF"),
        (b"{", "invalid JSON"),
        (b"{} {}", "invalid JSON"),
        (b"[1]", "must be an object, not a list"),
        (b"7", "must be an object, not a whole number"),
        (b"\xff\xfe", "invalid JSON"),
        (b"[" * 5000, "invalid JSON"),
        (b'{"Name": "' + b"x" * (5 << 20) + b'"}', "larger than"),
        (b'{"Name": 7, "Labels": [], "DriverOpts": {"a": 1}}', "DriverOpts.a must be a text, not a whole number"),
    ],
)
def test_a_bad_body_is_the_clients_fault(serve: Serve, body: bytes, text: str) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/volumes/create", body)
        assert answer.status == 400
        assert text in answer.message

    serve(scenario)


def test_all_faults_of_a_body_come_at_once(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        body = {
            "Image": "busybox",
            "Cmd": {"a": 1},
            "Tty": "yes",
            "ExposedPorts": {"99999/tcp": {}},
            "Env": ["=x"],
            "HostConfig": {"Memory": "1g", "PortBindings": {"80/tcp": [{"HostPort": "x"}]}, "NanoCpus": 1 << 70},
            "NetworkingConfig": {"EndpointsConfig": {"a": 3}},
        }
        answer = await api.ask("POST", "/containers/create", body)
        assert answer.status == 400
        for place in ("Cmd", "Tty", "ExposedPorts", "Env[0]", "HostConfig.Memory", "HostConfig.NanoCpus"):
            assert place in answer.message
        assert "HostConfig.PortBindings.80/tcp[0].HostPort" in answer.message
        assert "NetworkingConfig.EndpointsConfig.a" in answer.message

    serve(scenario)


def test_a_body_of_another_type_is_refused(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/volumes/create", b"{}", {"Content-Type": "text/plain"})
        assert answer.message == "unsupported Content-Type header (text/plain): must be 'application/json'"

    serve(scenario)


def test_names_in_bodies_may_have_any_case(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert (await api.ask("POST", "/volumes/create", {"name": "Data"})).value["Name"] == "Data"

    serve(scenario)


def test_a_bug_of_the_engine_is_an_error_in_json(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.failure = ZeroDivisionError("oops")
        answer = await api.ask("POST", "/containers/create", {"Image": "busybox"})
        assert (answer.status, answer.message) == (500, "internal error: ZeroDivisionError: oops")

    serve(scenario)
    assert "oops" in caplog.text


def test_one_connection_serves_many_requests(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream = await api.open()
        for _ in range(3):
            stream.writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n")
            await stream.writer.drain()
            stream.writer.write(b"\r\n")  # a head may come in pieces
            status, headers = await stream.head()
            assert (status, await stream.body(headers)) == (200, b"OK")
        stream.writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" * 2)
        for _ in range(2):
            status, headers = await stream.head()
            assert (status, await stream.body(headers)) == (200, b"OK")
        stream.close()

    serve(scenario)


def test_auth_says_that_there_is_no_registry_client(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/auth", {"username": "u", "serveraddress": "r.example"}, check=False)
        assert answer.status == 501
        assert "cannot log in to r.example" in answer.message

    serve(scenario)
