"""The commands about the engine as a whole, typed into Docker's client and into ours."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator

import pytest
from scripts import images
from tests.end_to_end.command_kit import CLIENTS, Shell, clear
from tests.end_to_end.exec_kit import World, until, world

from wherry.testing.ledger import become_subreaper

pytestmark = [pytest.mark.root, pytest.mark.peer]
SHOWN = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"


@pytest.fixture(scope="module")
def engine() -> Iterator[World]:
    become_subreaper()
    with world() as made:
        yield made


@pytest.fixture(params=CLIENTS)
def shell(request: pytest.FixtureRequest, engine: World) -> Iterator[Shell]:
    yield Shell(engine.client(request.param))
    clear(engine)


def test_info_names_storage_driver_and_swarm(shell: Shell) -> None:
    shell("run -d --name web busybox sleep 1000")
    lines = [line.strip() for line in shell("info").splitlines()]
    for line in ("Storage Driver: overlay2", "Swarm: inactive", "Running: 1", "Default Runtime: crun", "Images: 1"):
        assert line in lines
    assert shell("info -f '{{.Driver}} {{.Swarm.LocalNodeState}} {{.ContainersRunning}}'") == "overlay2 inactive 1\n"


def test_version_has_a_block_for_each_side(shell: Shell) -> None:
    text = shell("version")
    client, server = re.split(r"^Server:", text, flags=re.M)
    assert client.startswith("Client:")
    for block in (client, server):
        assert re.search(r"^ +Version: +\S", block, re.M)
        assert re.search(r"^ +API version: +1\.50", block, re.M)
    assert shell("version -f '{{.Server.Os}} {{.Server.APIVersion}}'") == "linux 1.50\n"


def test_df_has_four_rows(shell: Shell) -> None:
    shell("run -d --name web -v data:/data busybox sleep 1000")
    lines = shell("system df").splitlines()
    assert lines[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    counted = {line[:16].strip(): line[16:].split()[:2] for line in lines[1:]}
    assert counted == {
        "Images": ["1", "1"], "Containers": ["1", "1"], "Local Volumes": ["1", "1"], "Build Cache": ["0", "0"],
    }  # fmt: skip


def test_a_prune_of_all_asks_and_frees_every_image_that_nobody_uses(engine: World, shell: Shell) -> None:
    shell("tag busybox spare")
    shell("create --name old spare")
    shell("network create lab")
    refused = shell("system prune -a", b"n\n")
    assert refused.startswith("WARNING! This will remove:\n")
    for line in (
        "all stopped containers",
        "all networks not used by at least one container",
        "all images without at least one container associated to them",
    ):
        assert f"  - {line}\n" in refused
    assert refused.rstrip().endswith("Are you sure you want to continue? [y/N]")
    assert shell("ps -aq")
    done = shell("system prune -a", b"y\n")
    assert "Deleted Containers:\n" in done
    assert "Deleted Networks:\nlab\n" in done
    assert "untagged: spare:latest\n" in done
    assert re.search(r"\nTotal reclaimed space: [\d.]+[kM]?B\n$", done)
    assert (shell("images -q"), shell("ps -aq")) == ("", "")
    assert engine.docker("load", "-q", "-i", str(images.busybox())).status == 0


def test_events_come_as_things_happen(shell: Shell) -> None:
    words = shlex.split(f"events -f type=container -f container=web --format '{SHOWN}'")
    with shell.client.start(*words) as stream:
        time.sleep(0.5)  # until it listens
        shell("run --rm --name web -l tier=front busybox true")
        assert stream.stdout is not None
        seen = [stream.stdout.readline().decode().strip() for _ in range(5)]
        stream.kill()
    assert seen == [f"container {action} web" for action in ("create", "attach", "start", "die", "destroy")]


def test_events_tell_each_verb_in_its_order(shell: Shell) -> None:
    begun = time.time()
    shell(
        "run -d --name web -l tier=front busybox sh -c 'trap \"exit 3\" TERM; echo ready; while :; do sleep 0.1; done'"
    )
    until(lambda: shell("logs web") == "ready\n")
    for verb in (
        "exec web true",
        "pause web",
        "unpause web",
        "rename web two",
        "cp two:/etc/passwd -",
        "stop two",
        "rm two",
    ):
        shell.try_(verb)

    def told(filters: str, form: str = "{{.Action}}") -> list[str]:
        until = time.time() + 0.001
        time.sleep(0.002)
        return shell(f"events --since {begun:.9f} --until {until:.9f} {filters} --format '{form}'").splitlines()

    assert [line.strip() for line in told("-f type=container")] == [
        "create", "start", "exec_create: true", "exec_start: true", "exec_die", "pause", "unpause", "rename",
        "archive-path", "kill", "die", "stop", "destroy",
    ]  # fmt: skip
    assert told("-f type=network") == ["connect", "disconnect"]
    assert told("-f event=die -f label=tier=front", "{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.tier}}") == [
        "3 front"
    ]
    assert told("-f image=busybox -f event=create") == ["create"]
    assert told("-f container=nosuch") == []
    (line,) = shell(f"events --since {begun:.9f} --until {time.time():.9f} -f event=start").splitlines()
    assert re.fullmatch(r"\d{4}-.* container start [0-9a-f]{64} \(image=busybox, name=web, tier=front\)", line)
