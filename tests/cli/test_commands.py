"""What each command asks of the engine and prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon, Reply, Request, frame
from tests.cli.fake_data import INSPECTED, ident, sha
from tests.cli.pty_client import OnTerminal


def test_ps_shows_dockers_columns(wherry: Client) -> None:
    head, first, *_ = wherry("ps").out.splitlines()
    assert head.split("  ")[0] == "CONTAINER ID"
    assert [word for word in head.split("   ") if word.strip()][-1].strip() == "NAMES"
    assert first.startswith('10123456789a   busybox        "sh"')
    assert "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp" in first


def test_ps_passes_its_flags_on(daemon: FakeDaemon, wherry: Client) -> None:
    assert (
        wherry("ps", "-a", "-n", "3", "-s", "-f", "label=a", "--filter", "label=b", "-f", "Status=exited", "-q").status
        == 0
    )
    query = daemon.last("GET", "/containers/json").query
    assert json.loads(query.pop("filters")) == {"label": {"a": True, "b": True}, "status": {"exited": True}}
    assert query == {"all": "1", "limit": "3", "size": "1"}
    wherry("ps", "-l")
    assert daemon.requests[-1].query == {"limit": "1"}


def test_quiet_lists_are_ids(wherry: Client) -> None:
    assert wherry("ps", "-q").out.split() == [f"{digit}0123456789a" for digit in "12345"]
    assert wherry("ps", "-q", "--no-trunc").out.split()[0] == ident("1")
    assert wherry("volume", "ls", "-q").out.split() == [ident("9"), "data"]


@pytest.mark.parametrize(
    ("words", "request_line", "query"),
    [
        (["stop", "-t", "0", "-s", "INT", "a"], "POST /containers/a/stop", {"t": "0", "signal": "INT"}),
        (["stop", "--time", "5", "a"], "POST /containers/a/stop", {"t": "5"}),
        (["stop", "a"], "POST /containers/a/stop", {}),
        (["restart", "-t", "-1", "a"], "POST /containers/a/restart", {"t": "-1"}),
        (["kill", "-s", "HUP", "a"], "POST /containers/a/kill", {"signal": "HUP"}),
        (["rm", "-fv", "/a"], "DELETE /containers/a", {"force": "1", "v": "1"}),
        (["container", "remove", "-l", "a"], "DELETE /containers/a", {"link": "1"}),
        (["start", "a"], "POST /containers/a/start", {}),
        (["network", "rm", "a"], "DELETE /networks/a", {}),
        (["volume", "rm", "-f", "a"], "DELETE /volumes/a", {"force": "1"}),
    ],
)
def test_commands_on_names_print_them(
    daemon: FakeDaemon, wherry: Client, words: list[str], request_line: str, query: dict[str, str]
) -> None:
    method, path = request_line.split()
    daemon.on(method, path, Reply(204))
    ran = wherry(*words)
    assert (ran.status, ran.out.strip("/"), ran.err) == (0, "a\n", "")
    assert daemon.last(method, path).query == query


def test_several_names_are_under_way_at_once_and_answered_in_order(daemon: FakeDaemon, wherry: Client) -> None:
    names = [f"c{number}" for number in range(60)]
    daemon.on(
        "DELETE",
        "/containers/c.*",
        lambda r: Reply(409, {"message": "it runs"}) if r.path.endswith("c7") else Reply(204),
    )
    ran = wherry("rm", *names)
    assert ran.status == 1
    assert ran.out.split() == [name for name in names if name != "c7"]
    assert ran.err == "Error response from daemon: it runs\n"


def test_forced_removal_of_what_is_missing_succeeds(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("DELETE", "/containers/x", Reply(404, {"message": "No such container: x"}))
    assert (wherry("rm", "-f", "x").status, wherry("rm", "x").status) == (0, 1)
    daemon.on("DELETE", "/images/x", Reply(404, {"message": "No such image: x:latest"}))
    assert (wherry("rmi", "-f", "x").status, wherry("rmi", "x").status) == (0, 1)


def test_what_runs_already_is_started_without_complaint(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/containers/a/start", Reply(304))
    assert wherry("start", "a").out == "a\n"


def test_wait_prints_exit_codes(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/containers/a/wait", lambda r: iter([b'{"StatusCode":137}\n']))
    assert wherry("wait", "a", "a").out == "137\n137\n"


def test_logs_keep_stdout_and_stderr_apart(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on(
        "GET",
        f"/containers/{ident('1')}/logs",
        lambda r: iter([frame(1, b"out\n")[:5], frame(1, b"out\n")[5:] + frame(2, b"err\n"), frame(1, b"more\n")]),
    )
    ran = wherry("logs", "-t", "--tail", "5", "--since", "2024-05-01T10:11:12Z", "box-1")
    assert (ran.status, ran.out, ran.err) == (0, "out\nmore\n", "err\n")
    query = daemon.last("GET", f"/containers/{ident('1')}/logs").query
    assert query == {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": "5", "since": "1714558272"}


def test_logs_of_a_terminal_are_raw(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("GET", "/containers/box-1/json", {**INSPECTED, "Config": {**INSPECTED["Config"], "Tty": True}})
    daemon.on("GET", f"/containers/{ident('1')}/logs", lambda r: iter([b"\x01\x00raw\r\n"]))
    assert wherry("logs", "box-1").out == "\x01\x00raw\r\n"


def test_many_short_log_lines_arrive_whole(daemon: FakeDaemon, wherry: Client) -> None:
    lines = [b"line %06d\n" % number for number in range(20_000)]
    daemon.on("GET", f"/containers/{ident('1')}/logs", lambda r: (frame(1, line) for line in lines))
    assert wherry("logs", "box-1").out.encode() == b"".join(lines)


def test_an_engines_failure_in_a_stream_is_told(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("GET", f"/containers/{ident('1')}/logs", lambda r: iter([frame(3, b"the disk is gone")]))
    ran = wherry("logs", "box-1")
    assert (ran.status, ran.err) == (1, "error from daemon in stream: the disk is gone\n")


def _events(request: Request) -> Iterator[bytes]:
    actor = {"ID": "abc", "Attributes": {"name": "x", "image": "busybox"}}
    event: dict[str, Any] = {
        "status": "create",
        "id": "abc",
        "from": "busybox",
        "Type": "container",
        "Action": "create",
        "Actor": actor,
    }
    event |= {"scope": "local", "time": 1714558272, "timeNano": 1714558272123456789}
    yield json.dumps(event).encode() + b"\n"


def test_events_are_lines(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("GET", "/events", _events)
    environment = {"TZ": "UTC"}
    assert (
        wherry("events", environment=environment).out
        == "2024-05-01T10:11:12.123456789Z container create abc (image=busybox, name=x)\n"
    )
    ran = wherry(
        "events", "--format", "{{.Type}}:{{.Action}} {{.Actor.Attributes.name}}", "-f", "type=container", "--until", "5"
    )
    assert ran.out == "container:create x\n"
    assert daemon.requests[-1].query == {"filters": '{"type":{"container":true}}', "until": "5"}
    assert wherry("events", "--format", "{{.Nope}}").status == 64
    assert wherry("events", "--since", "soon").status == 1


def test_load_sends_the_archive_and_shows_what_came_of_it(daemon: FakeDaemon, wherry: Client, tmp_path: Path) -> None:
    reports = [
        {"status": "Loading layer", "progress": "[=> ]", "progressDetail": {"current": 1, "total": 2}, "id": "1"},
        {"stream": "Loaded image: a:1\n"},
    ]
    daemon.on("POST", "/images/load", lambda r: iter([json.dumps(report).encode() + b"\n" for report in reports]))
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"tar" * 1_000_000)
    assert wherry("load", "-i", str(archive)).out == "Loaded image: a:1\n"
    assert daemon.requests[-1].body == archive.read_bytes()
    assert wherry("load", stdin=b"piped").out == "Loaded image: a:1\n"
    assert (daemon.requests[-1].body, daemon.requests[-1].query) == (b"piped", {"quiet": "1"})
    ran = wherry("load", "-i", "/nonexistent")
    assert (ran.status, ran.err) == (1, "open /nonexistent: no such file or directory\n")


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (100, b"1: Loading layer [====>     ] 1MB/2MB"),
        (34, b"1: Loading layer 1MB/2MB"),
        (12, b"1: Loading l"),
    ],
)
def test_progress_keeps_to_one_line_of_the_terminal(
    daemon: FakeDaemon, wherry: Client, tmp_path: Path, columns: int, shown: bytes
) -> None:
    report = {
        "status": "Loading layer",
        "progress": "[====>     ] 1MB/2MB",
        "progressDetail": {"current": 1},
        "id": "1",
    }
    daemon.on("POST", "/images/load", lambda r: iter([json.dumps(report).encode() + b"\n"]))
    (tmp_path / "a.tar").write_bytes(b"tar")
    command = [*wherry.command, "load", "-i", str(tmp_path / "a.tar")]
    with OnTerminal(command, wherry.environment(None), columns=columns) as terminal:
        terminal.until(b"\x1b[1B")
        assert terminal.seen.partition(b"\x1b[2K")[2].partition(b"\r")[0] == shown


def test_a_failure_in_the_middle_of_a_job_is_its_end(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/images/load", lambda r: iter([b'{"errorDetail":{"message":"bad tar"},"error":"bad tar"}']))
    ran = wherry("load", stdin=b"x")
    assert (ran.status, ran.err) == (1, "bad tar\n")


def test_import_names_the_image_and_applies_changes(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/images/create", lambda r: iter([b'{"status":"sha256:abc"}']))
    assert (
        wherry("import", "-c", 'CMD ["sh"]', "-c", "ENV A=1", "-m", "note", "-", "me/app:2", stdin=b"tar").out
        == "sha256:abc\n"
    )
    request = daemon.requests[-1]
    assert request.values == (
        ("changes", 'CMD ["sh"]'),
        ("changes", "ENV A=1"),
        ("fromSrc", "-"),
        ("message", "note"),
        ("repo", "me/app:2"),
    )
    assert request.body == b"tar"


def test_tag_splits_the_new_name(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/images/a:1/tag", Reply(201))
    assert wherry("tag", "a:1", "localhost:5000/b").status == 0
    assert daemon.requests[-1].query == {"repo": "localhost:5000/b", "tag": "latest"}
    assert "must be lowercase" in wherry("tag", "a:1", "B").err


def test_rmi_tells_what_went(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("DELETE", "/images/a", [{"Untagged": "a:latest"}, {"Deleted": sha("a")}])
    assert wherry("rmi", "a").out == f"Untagged: a:latest\nDeleted: {sha('a')}\n"


def test_network_create_puts_ranges_and_gateways_into_their_subnets(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/networks/create", {"Id": "n1", "Warning": ""})
    words = [
        "--subnet",
        "10.1.0.0/16,10.2.0.0/16",
        "--gateway",
        "10.2.0.1",
        "--ip-range",
        "10.1.5.0/24",
        "--aux-address",
        "a=10.2.0.9",
        "-o",
        "k=v",
        "--label",
        "l",
    ]
    assert wherry("network", "create", "-d", "bridge", "--internal", *words, "net").out == "n1\n"
    body = daemon.requests[-1].json
    assert body["IPAM"]["Config"] == [
        {"Subnet": "10.1.0.0/16", "IPRange": "10.1.5.0/24"},
        {"Subnet": "10.2.0.0/16", "Gateway": "10.2.0.1", "AuxiliaryAddresses": {"a": "10.2.0.9"}},
    ]
    assert (body["Name"], body["Internal"], body["Options"], body["Labels"]) == ("net", True, {"k": "v"}, {"l": ""})
    assert "corresponding subnet" in wherry("network", "create", "--gateway", "10.0.0.1", "n").err
    assert (
        "no matching subnet for gateway"
        in wherry("network", "create", "--subnet", "10.0.0.0/24", "--gateway", "10.9.0.1", "n").err
    )


def test_network_connect_describes_the_endpoint(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/networks/n/connect", Reply(200))
    daemon.on("POST", "/networks/n/disconnect", Reply(200))
    assert wherry("network", "connect", "--alias", "a,b", "--ip", "10.0.0.9", "n", "c").status == 0
    assert daemon.requests[-1].json == {
        "Container": "c",
        "EndpointConfig": {"Aliases": ["a", "b"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}},
    }
    assert wherry("network", "disconnect", "-f", "n", "c").status == 0
    assert daemon.requests[-1].json == {"Container": "c", "Force": True}


def test_volume_create_prints_the_name(daemon: FakeDaemon, wherry: Client) -> None:
    daemon.on("POST", "/volumes/create", {"Name": "made-up"})
    assert (
        wherry("volume", "create", "-d", "nfs", "-o", "type=nfs", "-o", "device=:/x", "--label", "a=b").out
        == "made-up\n"
    )
    assert daemon.requests[-1].json == {
        "Name": "",
        "Driver": "nfs",
        "DriverOpts": {"type": "nfs", "device": ":/x"},
        "Labels": {"a": "b"},
    }


def test_inspect_finds_any_kind(wherry: Client) -> None:
    names = json.loads(wherry("inspect", "box-1", "bridge", "data").out)
    assert [found["Name"] for found in names] == ["/box-1", "bridge", "data"]
    ran = wherry("inspect", "nosuch", "box-1", "-f", "{{.Name}}")
    assert (ran.status, ran.out, ran.err) == (1, "/box-1\n", "Error: No such object: nosuch\n")
    assert wherry("inspect", "--type", "image", "box-1").err == "Error response from daemon: No such image: box-1\n"
    assert wherry("inspect", "--type", "foo", "x").status == 1


def test_version_shows_the_client_without_an_engine(wherry: Client) -> None:
    client = Client([wherry.command[0], "-H", "unix:///nowhere"], "wherry")
    ran = client("version")
    assert ran.status == 1
    assert ran.out.startswith("Client:\n Version:")
    assert "Cannot connect" in ran.err
    assert wherry("version", "--format", "{{.Server.Version}}").out == "0.1.0\n"
    assert wherry("-v").out.startswith("Wherry version ")


def test_info_prints_warnings_apart(wherry: Client) -> None:
    ran = wherry("info")
    assert " Storage Driver: overlay2\n" in ran.out
    assert ran.err == "WARNING: bridge-nf-call-iptables is disabled\n"
    assert wherry("info", "-f", "{{.Driver}}").out == "overlay2\n"


def test_plugins_are_listed_and_described_without_an_engine(tmp_path: Path, wherry: Client) -> None:
    client = Client([wherry.command[0], "-H", f"unix://{tmp_path}/none"], "wherry")
    ran = client("plugin", "ls")
    assert ran.status == 0
    assert ran.out.splitlines()[0].split() == ["FAMILY", "NAME", "VERSION", "DISTRIBUTION", "STATE", "REASON"]
    assert ["storage", "overlay2"] in [line.split()[:2] for line in ran.out.splitlines()]
    (found,) = json.loads(client("plugin", "inspect", "storage/overlay2").out)
    assert (found["Name"], found["Distribution"]) == ("overlay2", "wherry")
    assert "prepare" in [hook["Name"] for hook in found["Hooks"]]
    assert client("plugin", "inspect", "nosuch").status == 1
    assert "storage/overlay2" in client("plugin", "ls", "-q").out.split()
