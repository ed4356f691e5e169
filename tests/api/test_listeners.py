"""Listening: the unix socket's mode and life, and TCP only where it is allowed."""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import stat
from pathlib import Path

import pytest
from tests.api.fake_engine import FakeEngine

from wherry.errors import Conflict, Forbidden, Invalid
from wherry_api import listeners
from wherry_api.listeners import Listener
from wherry_api.service import ApiService
from wherry_engine.daemon.config import Listening


def listen(url: str, *, insecure: bool = False) -> Listener:
    return next(listeners.listen(Listening(hosts=[url], insecure_tcp=insecure)))


def test_the_socket_is_for_its_group_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def group(name: str) -> grp.struct_group:
        asked.append(name)
        if name == "wherry":
            return grp.struct_group(("wherry", "x", 12345, []))
        raise KeyError(name)

    monkeypatch.setattr(grp, "getgrnam", group)
    monkeypatch.setattr("os.chown", lambda path, user, group: asked.append((user, group)))
    path = tmp_path / "new" / "api.sock"
    listener = listen(f"unix://{path}")
    assert asked == ["docker", "wherry", (-1, 12345)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert [each.name for each in path.parent.iterdir()] == ["api.sock"]
    listener.socket.close()
    listener.remove()
    listener.remove()
    assert not path.exists()


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    first = listen(f"unix://{path}")
    with pytest.raises(Conflict, match="another process is listening there"):
        listen(f"unix://{path}")
    first.socket.close()
    second = listen(f"unix://{path}")
    first.remove()  # not its own any more
    assert path.exists()
    second.socket.close()
    second.remove()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("mine")
    with pytest.raises(Conflict, match="exists and is not a socket"):
        listen(f"unix://{path}")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("url", ["", "unix://", "unix://a/b", "http://x", "fd://", "tcp://127.0.0.1", "tcp://name:1"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="cannot listen on"):
        listen(url, insecure=True)


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="must be shorter"):
        listen(f"unix://{tmp_path}/{'x' * 120}")


def test_tcp_must_be_allowed_and_on_loopback() -> None:
    with pytest.raises(Forbidden, match="allow it explicitly"):
        listen("tcp://127.0.0.1:0")
    with pytest.raises(Forbidden, match="only a loopback address"):
        listen("tcp://0.0.0.0:0", insecure=True)
    listener = listen("tcp://127.0.0.1:0", insecure=True)
    port = listener.socket.getsockname()[1]
    with pytest.raises(Conflict, match="Address already in use"):
        listen(f"tcp://127.0.0.1:{port}", insecure=True)
    listener.socket.close()


def test_a_service_listens_on_all_urls_or_on_none(tmp_path: Path) -> None:
    async def run() -> None:
        service = ApiService(FakeEngine())
        taken = tmp_path / "taken"
        taken.write_text("")
        with pytest.raises(Conflict):
            await service.start(Listening(hosts=[f"unix://{tmp_path}/a.sock", f"unix://{taken}"]))
        assert not (tmp_path / "a.sock").exists()
        hosts = [f"unix://{tmp_path}/a.sock", "tcp://127.0.0.1:0"]
        await service.start(Listening(hosts=hosts, insecure_tcp=True))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/a.sock")
        await service.stop()
        await service.stop()

    asyncio.run(run())


def test_a_group_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="the group nosuch, which is to use the unix sockets, does not exist"):
        next(listeners.listen(Listening(hosts=[f"unix://{tmp_path}/api.sock"], group="nosuch")))
    assert list(tmp_path.iterdir()) == []


def test_sockets_that_systemd_passes_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/passed")
        monkeypatch.setattr(listeners, "_FIRST_PASSED", server.fileno())
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        listener = listen("fd://")
        assert listener.socket.getsockname() == f"{tmp_path}/passed"
        assert not listener.socket.get_inheritable()
        listener.remove()
        listener.socket.detach()
    assert (tmp_path / "passed").exists()  # systemd's, not ours to remove
