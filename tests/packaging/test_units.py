"""The service manager's units say what the daemon understands, and readiness is told."""

from __future__ import annotations

import configparser
import shlex
import socket
from pathlib import Path

import pytest

from wherry_engine.daemon.config_load import load
from wherry_engine.daemon.notify import notify

PACKAGING = Path(__file__).resolve().parent.parent.parent / "packaging"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((PACKAGING / name).read_text())
    return parser


def test_the_service_leaves_containers_alone_and_its_command_line_is_understood() -> None:
    service = unit("wherry.service")["Service"]
    assert (service["KillMode"], service["Delegate"], service["Type"]) == ("process", "yes", "notify")
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "wherryd"
    assert load(arguments).hosts == ("fd://",)


def test_the_socket_is_where_clients_look_for_it() -> None:
    sock = unit("wherry.socket")["Socket"]
    assert (sock["ListenStream"], sock["SocketMode"]) == ("/run/wherry.sock", "0660")
    assert f"g {sock['SocketGroup']} " in (PACKAGING / "wherry.sysusers.conf").read_text()


def test_readiness_is_told_to_who_wants_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")  # to nobody
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"
