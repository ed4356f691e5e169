"""Images that docker and podman write are loaded, and they load ours; the image's id is the same for all three."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from scripts.bench.engines import peer
from scripts.engine import Places, workplace
from tests.end_to_end.conftest import Client, archive

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.peer]

# Neither touches the host: what they mount and the links they make are in namespaces that end with them.
APART = ("unshare", "--mount", "--net")


@attrs.frozen
class Peer:
    """Another engine's command line for images."""

    command: tuple[str, ...]
    formats: tuple[tuple[str, ...], ...]  # options of `save`
    environment: dict[str, str] = attrs.field(factory=dict)

    def text(self, *words: str) -> str:
        """What a command prints; it must succeed."""
        done = subprocess.run(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **self.environment},
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def id(self, name: str) -> str:
        """The image's id, without its algorithm."""
        return self.text("image", "inspect", "--format", "{{.Id}}", name).removeprefix("sha256:")


def dockerd(where: Places) -> Iterator[Peer]:
    """Debian's dockerd, which is to run no containers."""
    roots = ["--data-root", str(where.data), "--exec-root", str(where.run), "--pidfile", str(where.pidfile)]
    quiet = ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    (where.top / "daemon.json").write_text("{}")
    config = ["--config-file", str(where.top / "daemon.json")]
    with peer(where, [*APART, "dockerd", *roots, *quiet, *config, "-H", where.host], {}):
        yield Peer(("docker", "-H", where.host), ((),))


def podman(where: Places) -> Iterator[Peer]:
    """Podman, which has no daemon."""
    storage, policy = where.top / "storage.conf", where.top / "policy.json"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{where.data}"\nrunroot = "{where.run}"\n')
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    environment = {"CONTAINERS_STORAGE_CONF": str(storage), "TMPDIR": str(where.top)}
    formats = (("--format", "docker-archive"), ("--format", "oci-archive"))
    yield Peer((*APART, "podman", "--tmpdir", str(where.top / "libpod")), formats, environment)


@pytest.fixture(scope="module", params=[dockerd, podman])
def other(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Each of the two, with roots of its own."""
    with workplace() as where:
        yield from request.param(where)


def test_what_is_saved_is_loaded_by_the_other_as_the_same_image(shared: Client, other: Peer, tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    shared.run("save", "-o", str(saved), "busybox")
    assert "busybox:latest" in other.text("load", "-i", str(saved))
    assert other.id("busybox") == shared.inspect("busybox")["Id"].removeprefix("sha256:")


def test_what_the_other_saves_is_loaded_and_runs(shared: Client, other: Peer, tmp_path: Path) -> None:
    other.text("load", "-i", str(archive("busybox")))
    for number, options in enumerate(other.formats):
        saved = tmp_path / f"{number}.tar"
        name = f"localhost/exchange:{number}"
        other.text("tag", "busybox", name)
        other.text("save", *options, "-o", str(saved), name)
        other.text("rmi", name)
        other.text("load", "-i", str(saved))  # podman's layout has another configuration than what was saved
        assert shared.text("load", "-i", str(saved)) == f"Loaded image: {name}\n"
        assert shared.inspect(name)["Id"].removeprefix("sha256:") == other.id(name)
        assert shared.text("run", "--rm", "--network", "none", name, "echo", "it runs") == "it runs\n"


def test_an_archive_that_the_other_left_half_written_is_refused_and_nothing_stays(
    shared: Client, other: Peer, tmp_path: Path
) -> None:
    other.text("load", "-i", str(archive("busybox")))
    other.text("tag", "busybox", "localhost/torn:1")
    whole, torn = tmp_path / "whole.tar", tmp_path / "torn.tar"
    other.text("save", "-o", str(whole), "localhost/torn:1")
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    before = shared.text("images", "-aq", "--no-trunc")
    assert "unexpected end of data" in shared.fails("load", "-i", str(torn))
    assert shared.text("images", "-aq", "--no-trunc") == before
