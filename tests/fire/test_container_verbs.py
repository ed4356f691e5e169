"""Pause, rename, update, top and prune of real containers."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fire.daemon import Fire, Refused, eventually

from wherry.testing import tasks

pytestmark = pytest.mark.root

TICKS = "while :; do echo x >> /ticks; usleep 10000; done"


def _refusal(fire: Fire, method: str, path: str, body: object = None, **query: object) -> str:
    with pytest.raises(Refused) as caught:
        fire.api(method, path, body, **query)
    return str(caught.value)


def _ticks(fire: Fire, name: str) -> int:
    ticks = Path(f"/proc/{fire.api.inspect(name)['State']['Pid']}/root/ticks")
    return ticks.stat().st_size if ticks.exists() else 0


def test_a_paused_container_stands_still_and_goes_on(fire: Fire) -> None:
    id = fire.api.run("one", TICKS)
    eventually(lambda: _ticks(fire, "one") > 2)
    fire.api("POST", "/containers/one/pause")
    state = fire.api.inspect("one")["State"]
    assert (state["Status"], state["Paused"], state["Running"]) == ("paused", True, True)
    before = _ticks(fire, "one")
    assert "(Paused)" in fire.api("GET", "/containers/json")[0]["Status"]
    assert _refusal(fire, "POST", "/containers/one/pause") == f"409 container {id} is already paused"
    assert "cannot start a paused container, try unpause instead" in _refusal(fire, "POST", "/containers/one/start")
    assert "container is paused and must be unpaused first" in _refusal(fire, "DELETE", "/containers/one")
    assert _ticks(fire, "one") == before
    fire.api("POST", "/containers/one/unpause")
    eventually(lambda: _ticks(fire, "one") > before)
    assert _refusal(fire, "POST", "/containers/one/unpause") == f"500 container {id} is not paused"


@pytest.mark.parametrize("ending", ["stop", "kill", "rm"])
def test_a_paused_container_can_be_ended(fire: Fire, ending: str) -> None:
    fire.api.run("one", f"trap 'exit 7' TERM; {TICKS}", stop_signal="SIGTERM")
    eventually(lambda: _ticks(fire, "one"))
    fire.api("POST", "/containers/one/pause")
    if ending == "rm":
        fire.api("DELETE", "/containers/one", force=1)
        assert fire.api.status("one") == "gone"
    else:
        fire.api("POST", f"/containers/one/{ending}")
        assert fire.api.inspect("one")["State"]["ExitCode"] == {"stop": 7, "kill": 137}[ending]


@pytest.mark.parametrize("query", [{}, {"signal": "KILL"}, {"signal": "9"}])
def test_a_killed_container_has_ended_when_kill_is_answered(fire: Fire, query: dict[str, str]) -> None:
    fire.api.run("one")
    fire.api("POST", "/containers/one/kill", **query)
    state = fire.api.inspect("one")["State"]
    assert (state["Status"], state["Running"], state["ExitCode"]) == ("exited", False, 137)


def test_a_paused_container_stays_paused_when_the_engine_is_killed(fire: Fire) -> None:
    fire.api.run("one", TICKS)
    fire.api("POST", "/containers/one/pause")
    fire.kill()
    fire.start()
    assert fire.api.status("one") == "paused"
    fire.api("POST", "/containers/one/unpause")


def test_what_does_not_run_is_not_paused_and_has_no_processes(fire: Fire) -> None:
    id = fire.api.create("one")
    for method, verb in (("POST", "pause"), ("GET", "top")):
        assert _refusal(fire, method, f"/containers/one/{verb}") == f"409 container {id} is not running"


STALLED = {
    "who sends": b"PUT /containers/one/archive?path=/tmp HTTP/1.1\r\nHost: e\r\nContent-Length: 100000\r\n\r\n"
    + bytes(512),
    "who reads": b"GET /containers/one/export HTTP/1.1\r\nHost: e\r\n\r\n",
}


@pytest.mark.parametrize("client", STALLED)
def test_a_container_is_removed_by_force_from_under_a_copy_whose_client_stalls(fire: Fire, client: str) -> None:
    fire.api.create("one")
    fire.api("PUT", "/containers/one/archive?path=/", _large_file())
    with socket.socket(socket.AF_UNIX) as stalled:
        stalled.connect(str(fire.where.socket))
        stalled.sendall(STALLED[client])
        eventually(lambda: "wherry-helper" in [process.name for process in tasks.descendants(os.getpid())])
        fire.api("DELETE", "/containers/one", force=1)
        assert fire.api.status("one") == "gone"


def _large_file() -> bytes:
    """The archive of more than pipes and sockets hold."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("large")
        entry.size = 8 << 20
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    return out.getvalue()


def test_a_new_name_is_taken_at_once_and_kept(fire: Fire) -> None:
    id = fire.api.run("one")
    other = fire.api.create("two")
    fire.api("POST", "/containers/one/rename", name="three")
    assert fire.api.events("three")[-1] == "rename"
    fire.api("POST", "/containers/two/rename", name="one")  # free again
    assert _refusal(fire, "POST", "/containers/one/rename", name="three") == (
        f'409 Error when allocating new name: Conflict. The container name "/three" is already in use by container "{id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert "Renaming a container with the same name" in _refusal(fire, "POST", "/containers/one/rename", name="one")
    assert "Neither old nor new names may be empty" in _refusal(fire, "POST", "/containers/one/rename", name="")
    assert "400 Error when allocating new name: Invalid container name" in _refusal(
        fire, "POST", "/containers/one/rename", name="a b"
    )
    fire.kill()
    fire.start()
    assert (fire.api.inspect("three")["Id"], fire.api.inspect("one")["Id"]) == (id, other)


def test_others_find_a_renamed_container_by_its_new_name_only(fire: Fire) -> None:
    fire.api("POST", "/networks/create", {"Name": "lab"})
    fire.api.run("one", NetworkMode="lab")
    fire.api.run("asks", "exec sleep 1000", NetworkMode="lab")
    fire.api("POST", "/containers/one/rename", name="two")
    assert "two" in fire.api.inspect("two")["NetworkSettings"]["Networks"]["lab"]["DNSNames"]
    address = fire.api.inspect("two")["NetworkSettings"]["Networks"]["lab"]["IPAddress"]
    pid = fire.api.inspect("asks")["State"]["Pid"]

    def asked(name: str) -> str:
        ask = ["nsenter", f"--target={pid}", "--net", "busybox", "nslookup", name, "127.0.0.11"]
        return subprocess.run(ask, capture_output=True, text=True, timeout=20).stdout

    eventually(lambda: address in asked("two"))
    assert address not in asked("one")
    for name in ("two", "asks"):
        fire.api("DELETE", f"/containers/{name}", force=1)
    fire.api("DELETE", "/networks/lab")


def test_limits_change_while_the_container_runs(fire: Fire) -> None:
    fire.api.run("one", Memory=64 << 20)
    pid = fire.api.inspect("one")["State"]["Pid"]
    given = {"Memory": 128 << 20, "MemorySwap": 256 << 20, "NanoCpus": 500_000_000, "PidsLimit": 20, "CpuShares": 512}
    assert fire.api("POST", "/containers/one/update", given) == {"Warnings": None}
    host = fire.api.inspect("one")["HostConfig"]
    assert {key: host[key] for key in given} == given
    read = _control_files(pid)
    assert read("memory.max", "memory.limit_in_bytes") == str(128 << 20)
    assert read("pids.max", "pids.max") == "20"
    assert read("cpu.max", "cpu.cfs_quota_us").split()[0] == "50000"
    fire.api("POST", "/containers/one/update", {"Memory": 32 << 20})
    assert read("memory.max", "memory.limit_in_bytes") == str(32 << 20)
    fire.api("POST", "/containers/one/update", {"PidsLimit": -1})
    assert read("pids.max", "pids.max") == "max"


def _control_files(pid: int) -> Callable[[str, str], str]:
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())

    def read(second: str, first: str) -> str:
        for controllers, path in groups.items():
            if first.partition(".")[0] in controllers.split(","):
                return Path(f"/sys/fs/cgroup/{controllers}{path}", first).read_text().strip()
        return Path(f"/sys/fs/cgroup{groups['']}", second).read_text().strip()

    return read


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"Memory": 4 << 20}, "400 Minimum memory limit allowed is 6MB"),
        ({"Memory": 512 << 20}, "Memory limit should be smaller than already set memoryswap limit"),
        ({"CpuPeriod": 50_000}, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"CpusetCpus": "999"}, "400 Requested CPUs are not available"),
        ({"RestartPolicy": {"Name": "sometimes"}}, "400 invalid restart policy: unknown policy 'sometimes'"),
        ({"RestartPolicy": {"Name": "always"}}, "Restart policy cannot be updated because AutoRemove is enabled"),
    ],
)
def test_changes_that_do_not_fit_are_refused_in_dockers_words(fire: Fire, given: object, error: str) -> None:
    fire.api.create("one", Memory=64 << 20, NanoCpus=500_000_000, AutoRemove=True)
    before = fire.api.inspect("one")
    assert error in _refusal(fire, "POST", "/containers/one/update", given)
    assert fire.api.inspect("one") == before


def test_top_shows_the_containers_processes_as_ps_does(fire: Fire) -> None:
    fire.api.run("one", "sleep 1000 & sleep 2000 & wait")
    eventually(lambda: len(fire.api("GET", "/containers/one/top")["Processes"]) == 3)
    found = fire.api("GET", "/containers/one/top", ps_args="-eo pid,args")
    assert found["Titles"] == ["PID", "COMMAND"]
    assert {args for _, args in found["Processes"]} >= {"sleep 1000", "sleep 2000"}
    assert fire.api("GET", "/containers/one/top", ps_args="aux")["Titles"][:2] == ["USER", "PID"]
    assert (
        _refusal(fire, "GET", "/containers/one/top", ps_args="-eo comm") == "500 Couldn't find PID field in ps output"
    )
    assert _refusal(fire, "GET", "/containers/one/top", ps_args="bogus").startswith("500 ps: error:")


def test_prune_removes_what_does_not_run_and_matches(fire: Fire) -> None:
    fire.api.run("runs")
    fire.api.run("paused")
    fire.api("POST", "/containers/paused/pause")
    fire.api.run("wrote", "cat /bin/busybox > /copy")
    eventually(lambda: fire.api.status("wrote") == "exited")
    created = fire.api.create("created")
    assert fire.api("POST", "/containers/prune", filters=json.dumps({"until": ["1h"]}))["ContainersDeleted"] is None
    assert "invalid filter 'foo'" in _refusal(fire, "POST", "/containers/prune", filters=json.dumps({"foo": ["x"]}))
    pruned = fire.api("POST", "/containers/prune")
    assert created in pruned["ContainersDeleted"]
    assert len(pruned["ContainersDeleted"]) == 2
    assert pruned["SpaceReclaimed"] >= Path("/bin/busybox").stat().st_size
    assert {item["Names"][0] for item in fire.api("GET", "/containers/json", all=1)} == {"/runs", "/paused"}
