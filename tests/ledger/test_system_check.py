"""`wherry system check` names whatever an engine could leave on its host, and `--repair` mends it.

Each kind of leak that the ledger knows is planted under the names of a running engine, beside a container that runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
from scripts import images
from scripts.engine import Engine, free_port, workplace
from tests.cli.client import Client, Ran
from tests.ledger.plants import (
    LEAK,
    Named,
    plant_bridge,
    plant_element,
    plant_endpoint,
    plant_folder,
    plant_group,
    plant_snapshot,
    run,
    spoilt,
)

from wherry.linux import cgroups
from wherry.model.networks import PortMapping
from wherry.testing.ledger import become_subreaper, reap_orphans
from wherry_engine.engine.check_places import Places as HostPlaces
from wherry_engine.engine.check_view import View
from wherry_engine.engine.container_files import Folders
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.processes import Processes
from wherry_engine.work import Pool

pytestmark = [pytest.mark.root, pytest.mark.slow]


@attrs.frozen
class Lab(Named):
    """A running engine with one running container, and its names."""

    wherry: Client

    def check(self, *flags: str) -> Ran:
        return self.wherry("system", "check", *flags)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    become_subreaper()
    with workplace() as where:
        engine = Engine(where)
        wherry = Client([str(Path(sys.executable).with_name("wherry")), "-H", where.host], "wherry")
        try:
            wherry("load", "-i", str(images.busybox()))
            wherry("network", "create", "lab")
            wherry("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "memory")
            command = ("run", "-d", "--name", "busy", "--network", "lab", "-p", "80", "-v", "kept:/kept")
            ran = wherry(*command, "-v", "memory:/memory", "busybox", "sleep", "1000")
            assert ran.status == 0, ran.err
            yield Lab(where, wherry("info", "-f", "{{.ID}}").out.strip(), wherry)
            wherry("rm", "-f", "busy")
            engine.stop()
        except BaseException:
            engine.discard()
            raise
    reap_orphans()


def plant_mount(lab: Lab) -> str:
    target = lab.where.data / "mounts" / LEAK
    target.mkdir()
    run("mount", "-t", "tmpfs", "leak", str(target))
    return f"mount {target}: tmpfs from leak is mounted there"


def plant_netns(lab: Lab) -> str:
    path = lab.where.run / "netns" / LEAK
    path.touch()
    run("unshare", "--net", "mount", "--bind", "/proc/self/ns/net", str(path))
    return f"network namespace {path}: "


def lose_rules(lab: Lab) -> str:
    run("nft", f"flush chain ip wherry_{lab.instance} forward")
    return f"of chain forward is missing in table ip wherry_{lab.instance}"


def lose_table(lab: Lab) -> str:
    run("nft", f"delete table ip wherry_{lab.instance}")
    return f"the chain prerouting is missing in table ip wherry_{lab.instance}"


def group(lab: Lab, name: str) -> Path:
    folder = cgroups.hierarchies()[0] / f"wherry-{lab.instance}" / name
    folder.mkdir()
    return folder


def plant_cgroup(lab: Lab) -> str:
    group(lab, LEAK)
    return f"control group /wherry-{lab.instance}/{LEAK}: "


def plant_process(lab: Lab) -> str:
    script = "sleep 1000 >/dev/null 2>&1 & echo $!"
    pid = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout.strip()
    (group(lab, LEAK) / "cgroup.procs").write_text(pid)
    return f"process {pid} (sleep 1000): "


def plant_file(lab: Lab) -> str:
    (lab.where.data / "images/tmp/load-leak").write_text("half an archive")
    return f"file {lab.where.data}/images/tmp/load-leak: "


def plant_blob(lab: Lab) -> str:
    (lab.where.data / "images/blobs/sha256" / LEAK).write_text("{}")
    return f"blob {lab.where.data}/images/blobs/sha256/{LEAK}: "


def plant_bundle(lab: Lab) -> str:
    (lab.where.run / "bundles" / LEAK).mkdir()
    return f"bundle {lab.where.run}/bundles/{LEAK}: "


def plant_container_folder(lab: Lab) -> str:
    folder = lab.where.data / "containers" / LEAK
    folder.mkdir()
    (folder / "hosts").write_text("127.0.0.1 localhost")
    return f"folder {folder}: "


def lose_bridge(lab: Lab) -> str:
    id = lab.wherry("network", "inspect", "-f", "{{.Id}}", "lab").out.strip()
    run("ip", "link", "del", f"wbr{id[:12]}")
    return f"the bridge wbr{id[:12]} of network lab is missing"


def plant_row(lab: Lab) -> str:
    data = lab.where.data / "volume/local/leak/_data"
    lab.wherry("volume", "create", "leak")
    run("mount", "-t", "tmpfs", "leak", str(data))
    assert lab.wherry("volume", "rm", "leak").status == 1  # what cannot be finished stays recorded
    run("umount", str(data))
    return ": volume.remove of leak was begun"


def plant_port(lab: Lab) -> str:
    port = free_port(21000)

    async def reserve() -> None:
        processes = await Processes.connect(lab.where.run, on_exit=lambda exit: None, environment={})
        await processes.reserve_ports(LEAK, (PortMapping("tcp", "127.0.0.1", port, 80),))
        await processes.close()

    asyncio.run(reserve())
    return f"port 127.0.0.1:{port}/tcp: held for {LEAK[:12]}"


PLANTS = (
    plant_mount, plant_folder, plant_endpoint, plant_bridge, plant_netns, plant_cgroup, plant_process, plant_file,
    plant_blob, plant_snapshot, plant_bundle, plant_container_folder, plant_row, plant_port, plant_group,
)  # fmt: skip
# What the engine itself sees and mends, sooner than anybody can ask; the drivers' tests show that a check would name it.
MENDED_AT_ONCE = (plant_element, lose_rules, lose_table, lose_bridge)


def test_a_sound_engine_has_no_findings(lab: Lab) -> None:
    ran = lab.check()
    assert (ran.status, ran.out, ran.err) == (0, "Records and host agree.\n", "")


def test_what_comes_and_goes_meanwhile_is_no_finding(lab: Lab) -> None:
    def churn(number: int) -> None:
        name = f"churn{number}"
        for _ in range(6):
            lab.wherry("network", "create", name)
            ran = lab.wherry("run", "--rm", "--network", name, "-p", "80", "-v", f"{name}:/v", "busybox", "true")
            assert ran.status == 0, ran.err
            lab.wherry("volume", "rm", name)
            lab.wherry("network", "rm", name)

    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(churn, number) for number in range(3)]
        while not all(future.done() for future in working):
            assert lab.check("--repair").out == "Records and host agree.\n"
        for future in working:
            future.result()
    assert lab.check().status == 0


def test_starts_and_removals_lose_nothing_to_repairs_of_their_network(lab: Lab) -> None:
    """Someone spoils the rules faster than the engine looks, so that each repair has to make them anew."""

    def churn(number: int) -> None:
        for turn in range(10):
            name = f"churn{number}-{turn}"
            ran = lab.wherry("run", "-d", "--name", name, "--network", "lab", "-p", "80", "busybox", "sleep", "1000")
            assert ran.status == 0, ran.err
            port = lab.wherry("port", name, "80").out.split()[0].rpartition(":")[2]
            assert f"tcp . {port} :" in rendered(lab)[0]
            assert lab.wherry("exec", name, "true").status == 0
            assert lab.wherry("rm", "-f", name).status == 0

    with spoilt(lab), ThreadPoolExecutor(3) as pool:
        working = [pool.submit(churn, number) for number in range(3)]
        repaired = ""
        while not all(future.done() for future in working):
            repaired += lab.check("--repair").out
        for future in working:
            future.result()
        for _ in range(100):  # on a busy host no repair may have found a quiet moment until now
            if "the element tcp . 4711" in repaired:
                break
            repaired += lab.check("--repair").out
    assert "the element tcp . 4711" in repaired
    assert not [line for line in repaired.splitlines() if "4711" not in line and "Records and host agree" not in line]
    assert lab.check("--repair").status == 0
    assert lab.check().out == "Records and host agree.\n"


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_every_planted_leak_is_named_and_mended(lab: Lab, plant: Callable[[Lab], str]) -> None:
    line = plant(lab)
    ran = lab.check()
    assert ran.status == 1
    assert line in ran.out
    assert "--repair will" in ran.out
    repaired = lab.check("--repair")
    reap_orphans()
    assert (repaired.status, "not mended" in repaired.out, "(mended: " in repaired.out) == (0, False, True), (
        repaired.out
    )
    assert lab.check().out == "Records and host agree.\n"
    assert lab.wherry("ps", "--format", "{{.Names}}").out == "busy\n"


def rendered(lab: Lab) -> tuple[str, str]:
    """The rules without their counts, and the names of our bridges."""
    rules = subprocess.run(
        ["nft", "-s", "list", "table", "ip", f"wherry_{lab.instance}"], capture_output=True, text=True
    )
    links = subprocess.run(["ip", "-o", "link", "show", "type", "bridge"], capture_output=True, text=True, check=True)
    names = sorted(line.split()[1] for line in links.stdout.splitlines() if " wbr" in line)
    return "\n".join(sorted(rules.stdout.splitlines())), "\n".join(names)


@pytest.mark.parametrize("plant", MENDED_AT_ONCE, ids=lambda plant: plant.__name__)
def test_what_others_do_to_rules_and_bridges_is_mended_without_being_asked(
    lab: Lab, plant: Callable[[Lab], str]
) -> None:
    before = rendered(lab)
    plant(lab)
    late = time.monotonic() + 5
    while rendered(lab) != before and time.monotonic() < late:
        time.sleep(0.05)
    assert rendered(lab) == before
    assert lab.check().out == "Records and host agree.\n"


def test_a_users_data_is_shown_and_never_removed(lab: Lab) -> None:
    stray = lab.where.data / "volume/local/stray/_data"
    stray.mkdir(parents=True)
    (stray / "letter").write_text("mine")
    logged = lab.where.data / "containers" / LEAK
    logged.mkdir()
    (logged / f"{LEAK}-json.log").write_text("{}\n")
    ran = lab.check("--repair")
    assert ran.status == 1
    assert "volume stray: the driver local has data of a volume that is not recorded" in ran.out
    assert f"holds {LEAK}-json.log (left to you: look at it and remove it by hand)" in ran.out
    assert (stray / "letter").read_text() == "mine"
    assert lab.wherry("volume", "create", "stray").status == 0  # as the finding says
    assert (stray / "letter").read_text() == "mine"
    lab.wherry("volume", "rm", "stray")
    shutil.rmtree(logged)
    assert lab.check().status == 0


def test_what_belongs_to_another_engine_is_not_named(lab: Lab) -> None:
    made = [
        (["ip", "link", "add", "wbrf00", "type", "bridge"], ["ip", "link", "del", "wbrf00"]),
        (["nft", "add table ip wherry_0f0f0f0f"], ["nft", "delete table ip wherry_0f0f0f0f"]),
    ]
    other = cgroups.hierarchies()[0] / "wherry-0f0f0f0f"
    (other / LEAK).mkdir(parents=True)
    try:
        for make, _ in made:
            run(*make)
        run("ip", "link", "set", "wbrf00", "alias", f"wherry:0f0f0f0f:net:{LEAK}")
        assert lab.check("--repair").out == "Records and host agree.\n"
        assert (other / LEAK).is_dir()
    finally:
        for _, unmake in made:
            with suppress(subprocess.CalledProcessError):
                run(*unmake)
        (other / LEAK).rmdir()
        other.rmdir()


def test_a_descriptor_of_a_removed_file_is_named_and_only_a_restart_of_its_process_can_mend_it(tmp_path: Path) -> None:
    pool = Pool("check", 1)
    places = HostPlaces(Folders(tmp_path, tmp_path), Groups("", "wherry-nothing", tmp_path / "groups-made"), pool)
    nothing = View(containers={}, blobs=frozenset(), layers=frozenset(), volumes={}, busy=frozenset())
    with (tmp_path / "gone").open("w") as file:
        (tmp_path / "gone").unlink()
        (fault,) = places.look(nothing)
        assert fault.finding.object == f"{file.fileno()} of process {os.getpid()}"
        assert f"wherryd holds {tmp_path}/gone, which is removed" in fault.finding.text
        assert (fault.finding.mendable, "restart wherryd" in fault.finding.mend) == (False, True)
    assert places.look(nothing) == []
    pool.close()


def test_a_lost_blob_is_told_with_what_a_person_can_do(lab: Lab) -> None:
    image = lab.wherry("images", "-q", "--no-trunc").out.strip()
    blob = lab.where.data / "images/blobs/sha256" / image.removeprefix("sha256:")
    content = blob.read_bytes()
    blob.write_bytes(content + b" ")
    try:
        (found,) = map(json.loads, lab.check("--repair", "--format", "json").out.splitlines())
        assert "an image's blob has the content of sha256:" in found["Text"]
        assert (found["Mendable"], found["Mend"]) == (False, "remove the image and load it again")
    finally:
        blob.write_bytes(content)
