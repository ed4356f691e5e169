"""The configuration file: what containers get by it, what a SIGHUP changes, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts import images
from scripts.engine import Engine, workplace

from wherry.testing.ledger import Ledger

FILE = {
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1000, "Hard": 2000}},
    "default-shm-size": "8m",
    "init": True,
    "no-new-privileges": True,
    "labels": ["rack=7"],
    "live-restore": True,
}


class Lab:
    """An engine with a configuration file, and Docker's client for it."""

    def __init__(self, engine: Engine, file: Path) -> None:
        self.engine, self.file = engine, file

    def docker(self, *words: str) -> str:
        command = ["docker", "-H", self.engine.places.host, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def reload(self, values: object) -> None:
        self.file.write_text(values if isinstance(values, str) else json.dumps(values))
        told = self.engine.places.log.read_text().count("the configuration has been read again")
        os.kill(self.engine.pid, signal.SIGHUP)
        late = time.monotonic() + 5
        while self.engine.places.log.read_text().count("the configuration has been read again") == told:
            assert time.monotonic() < late
            time.sleep(0.02)


@pytest.fixture
def lab(tmp_path: Path, host_ledger: Ledger) -> Iterator[Lab]:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps(FILE))
    with workplace() as where:
        engine = Engine(where, arguments=("--config-file", str(file)))
        try:
            lab = Lab(engine, file)
            lab.docker("load", "-q", "-i", str(images.busybox()))
            yield lab
            engine.stop()
        finally:
            engine.discard()


@pytest.mark.root
@pytest.mark.peer
def test_containers_get_what_the_file_says_and_a_reload_changes_it(lab: Lab) -> None:
    show = "ulimit -n; ulimit -Hn; df /dev/shm | tail -n 1 | awk '{print $2}'; grep NoNewPrivs /proc/self/status; head -c 17 /proc/1/cmdline"
    assert lab.docker("run", "--rm", "busybox", "sh", "-c", show).split() == [
        "1000", "2000", "8192", "NoNewPrivs:", "1", "/sbin/docker-init"
    ]  # fmt: skip
    lab.docker("create", "--name", "early", "--log-opt", "max-file=5", "--ulimit", "nofile=50:60", "busybox", "true")
    (early,) = json.loads(lab.docker("inspect", "early"))
    assert early["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
    assert early["HostConfig"]["Ulimits"] == [{"Name": "nofile", "Hard": 60, "Soft": 50}]
    assert lab.docker("info", "--format", "{{.Labels}}").strip() == "[rack=7]"

    lab.reload({"log-driver": "none", "labels": ["rack=8"], "debug": True, "bip": "10.200.0.1/24"})
    lab.docker("create", "--name", "late", "busybox", "true")
    (late,) = json.loads(lab.docker("inspect", "late"))
    assert late["HostConfig"]["LogConfig"] == {"Type": "none", "Config": {}}
    assert (late["HostConfig"]["ShmSize"], late["HostConfig"]["Ulimits"]) == (64 << 20, [])
    assert lab.docker("info", "--format", "{{.Labels}} {{.Name}}").startswith("[rack=8] ")
    told = lab.engine.places.log.read_text()
    assert "changes of bip take effect at the next start" in told
    now = f"{time.time():.6f}"
    command = ("events", "--since", "1m", "--until", now, "--filter", "type=daemon", "--format", "{{.Action}}")
    assert lab.docker(*command) == "reload\n"


@pytest.mark.root
@pytest.mark.peer
def test_a_faulty_file_changes_nothing(lab: Lab) -> None:
    unknown = "the following directives don't match any configuration option: nosuch"
    for text, word in (("{nonsense", "cannot be read"), ('{"nosuch": 1}', unknown)):
        lab.reload(text)
        assert (
            f"the configuration stays as it was: the configuration file {lab.file}" in lab.engine.places.log.read_text()
        )
        assert word in lab.engine.places.log.read_text()
    assert lab.docker("info", "--format", "{{.Labels}}").strip() == "[rack=7]"
