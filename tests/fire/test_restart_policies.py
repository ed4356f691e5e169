"""Restart policies on real processes: what is started again, when, and who may end it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.fire.daemon import BACK, Fire, Refused, eventually

pytestmark = pytest.mark.root

STOPPED_BY_HAND = {"no": "exited", "unless-stopped": "exited", "always": "running", "on-failure": "running"}


def test_a_container_without_policy_ends_once(fire: Fire) -> None:
    fire.api.run("one", "exit 3")
    eventually(lambda: fire.api.status("one") == "exited")
    time.sleep(0.3)
    assert fire.api.events("one") == ["create", "start", "die"]


def test_always_restarts_with_delays_that_double_and_shows_it(fire: Fire) -> None:
    fire.api.run("one", "exit 3", policy="always")
    eventually(lambda: fire.api.inspect("one")["RestartCount"] == 4)
    found = fire.api.inspect("one")
    assert (found["State"]["Status"], found["State"]["Running"], found["State"]["Restarting"]) == (
        "restarting",
        True,
        True,
    )
    assert (found["State"]["ExitCode"], found["State"]["Pid"]) == (3, 0)
    (item,) = fire.api("GET", "/containers/json")
    assert item["Status"].startswith("Restarting (3)")
    assert fire.api.events("one") == ["create", *["start", "die"] * 4]


def test_on_failure_counts_and_minds_success(fire: Fire) -> None:
    fire.api.run("fails", "exit 3", policy="on-failure", most=2)
    fire.api.run("works", "exit 0", policy="on-failure")
    eventually(lambda: fire.api.status("fails") == "exited")
    assert fire.api.inspect("fails")["RestartCount"] == 2
    assert fire.api.status("works") == "exited"
    assert fire.api.events("fails").count("start") == 3
    fire.api("POST", "/containers/fails/start")
    assert fire.api.inspect("fails")["RestartCount"] < 2


def test_stop_kill_and_forced_removal_end_a_restart_that_is_due(fire: Fire) -> None:
    for name in ("stop", "kill", "rm"):
        fire.api.run(name, "exit 3", policy="always")
    for name in ("stop", "kill", "rm"):
        eventually(lambda name=name: fire.api.inspect(name)["RestartCount"] >= 3)  # type: ignore[misc]
    with pytest.raises(Refused, match='cannot remove container "/rm": container is restarting: stop the container'):
        fire.api("DELETE", "/containers/rm")
    fire.api("POST", "/containers/stop/stop")
    fire.api("POST", "/containers/kill/kill")
    fire.api("DELETE", "/containers/rm", force=1)
    time.sleep(1)
    assert [fire.api.status(name) for name in ("stop", "kill", "rm")] == ["exited", "exited", "gone"]
    assert fire.api.inspect("stop")["State"]["ExitCode"] == 3
    assert fire.api.events("stop")[-2:] == ["die", "stop"]
    with pytest.raises(Refused, match=r"cannot kill container: kill: container .* is not running"):
        fire.api("POST", "/containers/kill/kill")


def test_a_signal_that_ends_the_process_is_the_last_word_whatever_the_policy(fire: Fire) -> None:
    fire.api.run("one", policy="always")
    fire.api("POST", "/containers/one/kill")
    assert fire.api.status("one") == "exited"
    fire.api.run("two", "trap 'exit 5' HUP; echo ready; while :; do usleep 10000; done", policy="always")
    eventually(lambda: "ready" in fire.api("GET", "/containers/two/logs", stdout=1))
    fire.api("POST", "/containers/two/kill", signal="HUP")  # not its stop signal
    eventually(lambda: fire.api.events("two").count("start") == 2)


def test_a_start_that_fails_is_not_tried_again(fire: Fire) -> None:
    gone = fire.where.top / "gone"
    gone.mkdir()
    fire.api.run(
        "one", "sleep 0.3; exit 3", policy="always", Mounts=[{"Type": "bind", "Source": str(gone), "Target": "/gone"}]
    )
    gone.rmdir()
    eventually(lambda: fire.api.status("one") == "exited")
    state = fire.api.inspect("one")["State"]
    assert "bind source path does not exist" in state["Error"]
    assert state["ExitCode"] == 3


def test_next_exit_is_awaited_anew_at_each_run(fire: Fire) -> None:
    fire.api.run("one", "sleep 0.1; exit 3", policy="always")
    for _ in range(2):
        assert fire.api("POST", "/containers/one/wait", condition="next-exit")["StatusCode"] == 3


def test_wrong_policies_are_refused_in_dockers_words(fire: Fire) -> None:
    def refusal(policy: dict[str, object], **host: Any) -> str:
        with pytest.raises(Refused) as caught:
            fire.api.create("one", RestartPolicy=policy, **host)
        return caught.value.text

    assert "invalid restart policy: unknown policy 'sometimes'; use one of" in refusal({"Name": "sometimes"})
    assert "maximum retry count can only be used with 'on-failure'" in refusal(
        {"Name": "always", "MaximumRetryCount": 1}
    )
    assert "maximum retry count cannot be negative" in refusal({"Name": "on-failure", "MaximumRetryCount": -1})
    assert "can't create 'AutoRemove' container with restart policy" in refusal({"Name": "always"}, AutoRemove=True)


def test_an_engine_started_again_keeps_what_runs_and_applies_policies_to_the_rest(fire: Fire) -> None:
    for policy in STOPPED_BY_HAND:
        fire.api.run(f"runs-{policy}", policy=policy)
        fire.api.run(f"stopped-{policy}", policy=policy)
        fire.api("POST", f"/containers/stopped-{policy}/stop")
        wait = "while [ ! -e /go/now ]; do usleep 10000; done; exit 3"
        fire.api.run(f"ends-{policy}", wait, policy=policy, Binds=[f"{fire.where.top}/go:/go"])
    fire.api.run("crash", "exit 3", policy="always")
    pids = {policy: fire.api.inspect(f"runs-{policy}")["State"]["Pid"] for policy in STOPPED_BY_HAND}
    ending = [fire.api.inspect(f"ends-{policy}")["State"]["Pid"] for policy in STOPPED_BY_HAND]
    fire.kill()
    (fire.where.top / "go" / "now").touch()
    eventually(lambda: not any(map(_alive, ending)))
    assert fire.start() <= BACK
    # Docker 20.10 starts a stopped container of policy on-failure too: its exit code was not 0.
    for policy, status in STOPPED_BY_HAND.items():
        assert fire.api.inspect(f"runs-{policy}")["State"]["Pid"] == pids[policy]
        eventually(lambda p=policy, s=status: fire.api.status(f"stopped-{p}") == s)  # type: ignore[misc]
        assert fire.api.events(f"ends-{policy}").count("die") == 1
    assert fire.api.status("ends-no") == "exited"
    assert fire.api.inspect("ends-no")["State"]["ExitCode"] == 3
    eventually(lambda: fire.api.inspect("ends-always")["RestartCount"] >= 1)
    count = fire.api.inspect("crash")["RestartCount"]
    eventually(lambda: fire.api.inspect("crash")["RestartCount"] > count)


def test_with_live_restore_off_containers_end_with_the_engine_and_policies_start_them_with_the_next(fire: Fire) -> None:
    fire.engine.stop()
    fire.start("--live-restore=false", "--shutdown-timeout", "1")
    fire.api.run("kept", policy="unless-stopped")
    fire.api.run("stubborn", "trap '' TERM; echo ready; while :; do usleep 10000; done", stop_signal="SIGTERM")
    eventually(lambda: "ready" in fire.api("GET", "/containers/stubborn/logs", stdout=1))
    assert not fire.api("GET", "/info")["LiveRestoreEnabled"]
    pid = fire.api.inspect("kept")["State"]["Pid"]
    assert fire.engine.stop() < 5
    assert not fire.where.run.exists()
    assert not _alive(pid)
    fire.start()
    eventually(lambda: fire.api.status("kept") == "running")
    assert fire.api.status("stubborn") == "exited"


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return ") Z" not in file.read()
    except FileNotFoundError:
        return False


def test_an_automatic_removal_waits_for_a_restart_by_hand(fire: Fire) -> None:
    fire.api.run("one", AutoRemove=True)
    fire.api("POST", "/containers/one/restart", t=0)
    assert fire.api.status("one") == "running"
    fire.api("POST", "/containers/one/stop")
    assert fire.api.status("one") == "gone"


def test_a_new_policy_counts_from_the_next_end_on(fire: Fire) -> None:
    fire.api.run("one", "exit 3", policy="always")
    eventually(lambda: fire.api.status("one") == "restarting")
    fire.api("POST", "/containers/one/update", {"RestartPolicy": {"Name": "no"}})
    eventually(lambda: fire.api.status("one") == "exited")
