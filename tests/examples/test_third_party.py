"""What others write, installed as they would install it: a storage driver that runs containers, and observers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scripts import images
from scripts.engine import Engine, Places, workplace
from tests.cli.client import Client

from wherry.testing.fixtures import HostLedger

pytestmark = [pytest.mark.root, pytest.mark.slow]
EXAMPLE = Path(__file__).with_name("wherry-storage-mem")
MEM = ("--storage-driver", "mem")
AUDIT = """
from wherry.spec.observer import Observer, hookimpl

class Audit(Observer):
    @hookimpl
    def called(self, call):
        with open(FILE, "a") as notes:
            notes.write(f"{call.family}.{call.hook}\\n")

class Harmful(Observer):
    @hookimpl
    def called(self, call):
        raise RuntimeError("no observer may do harm")
"""


def pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True, timeout=100)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a wheel, installed into a folder by pip."""
    top = tmp_path_factory.mktemp("third-party")
    source = shutil.copytree(EXAMPLE, top / "source")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", top, source)
    (wheel,) = top.glob("*.whl")
    pip("install", "--no-deps", "--no-index", "--target", top / "site", wheel)
    return top / "site"


@contextmanager
def engine(where: Places, site: Path, *options: str) -> Iterator[Callable[..., str]]:
    """An engine whose module path has the site; gives a function that runs `wherry` and returns its output."""
    running = Engine(where, {"PYTHONPATH": str(site)}, arguments=options)
    client = Client([str(Path(sys.executable).with_name("wherry")), "-H", where.host], "wherry")

    def wherry(*arguments: str) -> str:
        ran = client(*arguments)
        assert ran.status == 0, f"{arguments}: {ran.err}\n{running.log_tail()}"
        return ran.out

    try:
        yield wherry
        running.stop()
    except BaseException:
        running.discard()
        raise


def test_a_third_partys_storage_driver_runs_containers(site: Path, host_ledger: HostLedger) -> None:
    with workplace() as where:
        with engine(where, site, *MEM) as wherry:
            wherry("load", "-i", str(images.busybox()))
            assert wherry("run", "--rm", "busybox", "echo", "from memory") == "from memory\n"
            wherry("run", "-d", "--name", "writer", "busybox", "sh", "-c", "echo kept > /kept; sleep 300")
            rows = [json.loads(line) for line in wherry("plugin", "ls", "--format", "json").splitlines()]
            assert {"mem", "overlay2"} <= {row["Name"] for row in rows}
            mine = next(row for row in rows if row["Name"] == "mem")
            assert (mine["Distribution"], mine["Version"]) == ("wherry-storage-mem", "1.0")
            assert (mine["State"], mine["Reason"]) == ("loaded", "")
            assert wherry("info", "-f", "{{.Driver}}") == "mem\n"
            wherry("rm", "-f", "writer")
            wherry("rmi", "busybox")
        assert not where.audit.read_text()
        assert "go on running" not in where.log.read_text()  # none runs any more


def test_without_the_package_the_engine_says_what_is_missing(tmp_path: Path) -> None:
    with (
        workplace() as where,
        pytest.raises(RuntimeError, match=r"no driver 'mem' in wherry\.storage\.v1; installed: "),
    ):
        Engine(where, arguments=MEM)


def test_trusted_observers_see_every_call_and_one_that_raises_does_no_harm(
    tmp_path: Path, host_ledger: HostLedger
) -> None:
    notes, site = tmp_path / "notes", tmp_path / "site"
    for name, cls in (("audit", "Audit"), ("harmful", "Harmful"), ("stranger", "Audit")):
        info = site / f"acme_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wherry.observer.v1]\n{name} = acme_observers:{cls}\n")
    (site / "acme_observers.py").write_text(AUDIT.replace("FILE", repr(str(notes))))
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({"trusted-plugins": ["acme-audit", "acme-harmful"]}))
    with workplace() as where:
        with engine(where, site, "--config-file", str(config)) as wherry:
            wherry("volume", "create", "one")
            states = wherry("plugin", "ls", "--format", "{{.ID}}: {{.State}} {{.Reason}}").splitlines()
        assert "observer/audit: loaded " in states
        assert "observer/stranger: not loaded trusted-plugins does not name acme-stranger" in states
        assert notes.read_text().split().count("volume.create") == 1
        log = where.log.read_text()
        assert (
            "observer 'harmful' of acme-harmful failed on volume.create: RuntimeError: no observer may do harm" in log
        )
