"""wherry_client against real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.fake_daemon import FakeDaemon, Reply, Request, Session

from wherry_client.errors import ApiError, CannotConnect, HostInvalid
from wherry_client.hosts import find_host, parse_host
from wherry_client.http import Client
from wherry_client.query import encode_query


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    made = Client(parse_host(daemon.url))
    yield made
    made.close()


def test_hosts_are_unix_paths_and_tcp_addresses() -> None:
    assert parse_host("unix:///run/x.sock").target == "/run/x.sock"
    assert parse_host("tcp://example:2376").target == ("example", 2376)
    assert parse_host("tcp://example").target == ("example", 2375)
    assert parse_host("tcp://[::1]:99/path").target == ("::1", 99)


@pytest.mark.parametrize("url", ["x", "unix://", "tcp://h:port", "tcp://h:70000", "ssh://host", "foo://x"])
def test_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(HostInvalid):
        parse_host(url)


def test_hosts_are_asked_for_in_order() -> None:
    both = {"WHERRY_HOST": "unix:///w", "DOCKER_HOST": "unix:///d"}
    assert find_host("unix:///h", both).url == "unix:///h"
    assert find_host(None, both).url == "unix:///w"
    assert find_host(None, {"DOCKER_HOST": "unix:///d"}).url == "unix:///d"
    assert find_host(None, {}).family == "unix"


def test_queries_leave_out_what_is_empty() -> None:
    assert (
        encode_query({"b": True, "a": "x y/&", "n": None, "f": False, "l": ["1", "2"], "z": 0})
        == "?a=x%20y%2F%26&b=1&l=1&l=2&z=0"
    )
    assert encode_query(None) == ""


def test_requests_share_one_connection(daemon: FakeDaemon, client: Client) -> None:
    for _ in range(3):
        client.call("GET", "/info")
    assert len(daemon.connections()) == 1


def test_a_connection_that_the_engine_closed_is_replaced(daemon: FakeDaemon, client: Client) -> None:
    client.call("GET", "/info")
    daemon.hang_up()
    assert client.call("GET", "/info")["Name"] == "host1"


def test_an_engine_of_an_older_version_is_spoken_to_in_its_own(daemon: FakeDaemon, client: Client) -> None:
    refusal = Reply(400, {"message": "client version 1.50 is too new. Maximum supported API version is 1.41"})
    daemon.on("GET", "/info", lambda r: Reply(200, {"v": r.version}) if r.version == "1.41" else refusal)
    assert client.call("GET", "/info") == {"v": "1.41"}
    assert client.begin("GET", "/info").finish() == {"v": "1.41"}


def test_a_version_that_was_asked_for_is_not_changed(daemon: FakeDaemon) -> None:
    daemon.on(
        "GET", "/info", Reply(400, {"message": "client version 1.99 is too new. Maximum supported API version is 1.41"})
    )
    client = Client(parse_host(daemon.url), "1.99")
    with pytest.raises(ApiError, match="too new"):
        client.call("GET", "/info")
    client.close()


def test_errors_carry_status_and_message(client: Client) -> None:
    with pytest.raises(ApiError, match=r"Error response from daemon: No such container: x") as caught:
        client.call("GET", "/containers/x/json")
    assert caught.value.status == 404


def test_chunks_of_any_cut_come_out_whole(daemon: FakeDaemon, client: Client) -> None:
    pieces = [bytes([65 + number % 26]) * (1 + number * 37 % 5000) for number in range(200)]
    daemon.on("GET", "/stream", lambda r: iter(pieces))
    assert client.request("GET", "/stream").read() == b"".join(pieces)
    assert client.call("GET", "/info")["Name"] == "host1"  # the connection is still in step


def test_joined_and_torn_json_objects_are_told_apart(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("GET", "/events", lambda r: iter([b'{"a":1}{"b"', b':"}\xc3', b'\xa4"}\n{"c":{}}']))
    assert list(client.request("GET", "/events").objects()) == [{"a": 1}, {"b": "}ä"}, {"c": {}}]


def test_a_body_of_unknown_length_is_uploaded_in_chunks(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("POST", "/images/load", lambda r: Reply(200, {"size": len(r.body)}))
    assert client.upload(
        "/images/load", {"quiet": True}, iter([b"abc", b"", b"d" * 100_000]), "application/x-tar"
    ).json() == {"size": 100_003}


def test_an_answer_that_comes_before_the_upload_ends_is_heard(
    daemon: FakeDaemon, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "refuses.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def refuse() -> None:
        for answer in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
            b'HTTP/1.1 507 Full\r\nContent-Length: 26\r\n\r\n{"message":"disk is full"}',
        ):
            peer = listener.accept()[0]
            peer.recv(4096)
            peer.sendall(answer)
            peer.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    refused = Client(parse_host(f"unix://{path}"))
    with pytest.raises(ApiError, match="disk is full"):
        refused.upload("/images/load", None, iter([b"x" * 65536] * 1000), "application/x-tar")
    refused.close()
    thread.join()
    listener.close()


def test_a_hijacked_connection_is_a_stream_both_ways(daemon: FakeDaemon, client: Client) -> None:
    def attach(request: Request) -> Session:
        return lambda peer: peer.sendall(b"<" + peer.recv(100) + b">")

    daemon.on("POST", "/containers/x/attach", attach)
    connection = client.hijack("/containers/x/attach", {"stream": True})
    connection.sock.sendall(b"hello")
    assert connection.receive() == b"<hello>"
    connection.close()


def test_a_refused_hijack_tells_why(client: Client) -> None:
    with pytest.raises(ApiError, match="page not found"):
        client.hijack("/containers/x/attach")


def test_nobody_listening_is_told_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(
        CannotConnect, match=r"Cannot connect to the Wherry engine at unix:///.*nobody\.sock\. Is wherryd running\?"
    ):
        Client(parse_host(f"unix://{tmp_path}/nobody.sock")).call("GET", "/info")


def test_tcp_works_as_unix_does() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer = listener.accept()[0]
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")
        peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client(parse_host(f"tcp://127.0.0.1:{listener.getsockname()[1]}"))
    assert client.call("GET", "/x") == [1]
    client.close()
    thread.join()
    listener.close()


def test_an_engine_that_hangs_up_in_an_answer_is_told(daemon: FakeDaemon, client: Client) -> None:
    def half(request: Request) -> Session:
        return lambda peer: None

    daemon.on("GET", "/half", half)
    response = client.request("GET", "/half")
    assert response.read() == b""  # a body without length ends with the connection

    def torn() -> Iterator[bytes]:
        yield b"{"
        raise OSError("gone")

    daemon.on("GET", "/torn", lambda r: torn())
    with pytest.raises(CannotConnect):
        client.call("GET", "/torn")
