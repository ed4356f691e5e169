"""What commands that watch say when the engine dies under them."""

from __future__ import annotations

import re
import subprocess

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
