"""What the engine fills in at a container's creation is told by its inspection, as dockerd 20.10 tells it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fire.daemon import Fire, eventually

from wherry.linux import cgroups

pytestmark = pytest.mark.root


def test_what_nobody_said_is_filled_in(fire: Fire) -> None:
    fire.api.run("one", Memory=64 << 20, PidsLimit=-1)
    host = fire.api.inspect("one")["HostConfig"]
    second = cgroups.version() == 2
    expected = {
        "CgroupnsMode": "private" if second else "host",
        "MemorySwap": 128 << 20,
        "OomKillDisable": None if second else False,
        "PidsLimit": None,
        "ShmSize": 64 << 20,
        "IpcMode": "private",
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "ConsoleSize": [0, 0],
    }
    assert {key: host[key] for key in expected} == expected
    assert host["Runtime"] in ("crun", "runc")
    assert {"/proc/kcore", "/sys/firmware"} <= set(host["MaskedPaths"])
    assert set(host["ReadonlyPaths"]) == {f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")}


def test_a_running_container_tells_where_its_network_namespace_is(fire: Fire) -> None:
    fire.api.run("one")
    found = fire.api.inspect("one")
    key = Path(found["NetworkSettings"]["SandboxKey"])
    assert key.stat().st_ino == Path(f"/proc/{found['State']['Pid']}/ns/net").stat().st_ino
    fire.api("POST", "/containers/one/stop")
    assert fire.api.inspect("one")["NetworkSettings"]["SandboxKey"] == ""


def test_details_of_logs_are_what_the_logs_options_add(fire: Fire) -> None:
    options = {"tag": "{{.Name}} it is", "labels": "a,b", "env": "E"}
    config = {
        "Image": "lab",
        "Cmd": ["sh", "-c", "echo line"],
        "Tty": True,  # unframed
        "Labels": {"a": "1", "c": "2"},
        "Env": ["E=x/y", "F=2"],
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": options}},
    }
    fire.api("POST", "/containers/create", config, name="one")
    fire.api("POST", "/containers/one/start")
    eventually(lambda: fire.api.status("one") == "exited")
    assert fire.api("GET", "/containers/one/logs", stdout=1, details=1) == "E=x%2Fy,a=1,tag=one+it+is line\r\n"
