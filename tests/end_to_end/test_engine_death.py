"""What commands that watch say when the engine dies under them."""

from __future__ import annotations

import re
import subprocess
import time

import pytest
from scripts import images
from scripts.engine import ROOT, Engine, workplace
from tests.end_to_end.conftest import Client
from tests.end_to_end.test_stats import HEADS

from wherry.testing.fixtures import HostLedger
from wherry.testing.ledger import become_subreaper, reap_orphans

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


def test_the_engines_death_ends_a_command_that_watches(host_ledger: HostLedger) -> None:
    become_subreaper()
    with workplace() as where:
        engine = Engine(where)
        try:
            ours = Client(str(ROOT / ".venv/bin/wherry"), where.host)
            ours.run("load", "-q", "-i", str(images.busybox()))
            ours.run("run", "-d", "--name", "web", "busybox", "sleep", "600")
            watching = [
                subprocess.Popen([ours.program, "-H", where.host, "stats", *words], stdout=-1, stderr=-1)
                for words in ([], ["web"])
            ]
            for each in watching:
                assert each.stdout is not None
                assert re.split(r"\s{2,}", each.stdout.readline().decode().strip()) == HEADS
            engine.kill()
            for each in watching:
                said = each.communicate(timeout=20)[1]
                assert (each.returncode, b"closed the connection" in said) == (1, True), said
            engine = Engine(where)
            ours.run("rm", "-f", "web")
            engine.stop()
        finally:
            engine.discard()
    reap_orphans()


# What docker says when its engine is killed while it waits for an answer: the same as when dockerd is.
CUT = {
    "run --rm --name brief busybox sleep 2": (125, b"error waiting for container: unexpected EOF"),
    "logs -f -n 0 web": (1, b"unexpected EOF"),
    "attach --no-stdin web": (1, b"unexpected EOF"),
    "exec web sleep 600": (255, b""),
    "wait web": (1, b"unexpected EOF"),
    "events": (1, b"unexpected EOF"),
    "stop -t 600 web": (1, b"error during connect: Post "),
}


def test_docker_says_of_a_killed_engine_what_it_says_of_dockerd(host_ledger: HostLedger) -> None:
    become_subreaper()
    with workplace() as where:
        engine = Engine(where)
        try:
            docker = Client("docker", where.host)
            docker.run("load", "-q", "-i", str(images.busybox()))
            docker.run("run", "-d", "--name", "web", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
            pid = docker.inspect("web")["State"]["Pid"]
            begun = [
                subprocess.Popen([docker.program, "-H", where.host, *words.split()], stdout=-1, stderr=-1)
                for words in CUT
            ]
            while not docker.text("ps", "-q", "-f", "name=brief") or docker.text("top", "web").count("sleep 600") != 1:
                time.sleep(0.05)
            time.sleep(0.5)  # nothing tells from outside that a client listens
            engine.kill()
            for (words, (status, text)), each in zip(CUT.items(), begun, strict=True):
                said = each.communicate(timeout=20)[1]
                assert (each.returncode, text in said) == (status, True), (words, each.returncode, said)
            assert "Cannot connect to the Docker daemon at" in docker.fails("ps")
            engine = Engine(where)
            assert docker.inspect("web")["State"]["Pid"] == pid  # nobody's stop goes on
            docker.run("rm", "-f", "web")
            for _ in range(100):
                if not docker.text("ps", "-aq"):
                    break
                time.sleep(0.05)
            assert docker.text("ps", "-a", "--format", "{{.Names}}") == ""  # brief has gone by its --rm
            engine.stop()
        finally:
            engine.discard()
    reap_orphans()
