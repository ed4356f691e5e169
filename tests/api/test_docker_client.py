"""Docker's own client against the API, before the engine in memory."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable

import attrs
import pytest
from tests.api.conftest import Served
from tests.api.fake_engine import make_container, running_container

from wherry.model.configs import Config
from wherry.model.containers import State
from wherry.model.logs import Record
from wherry_api.streams import frame

pytestmark = pytest.mark.peer
Serve = Callable[..., None]


async def docker(api: Served, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """Run the client; its exit code, stdout and stderr."""
    program = shutil.which("docker")
    assert program, "these tests need Docker's client: scripts/bootstrap installs it"
    process = await asyncio.create_subprocess_exec(
        program, "-H", api.url, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def test_version_and_info(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        code, out, err = await docker(api, "version")
        print(out)  # noqa: T201
        assert (code, err) == (0, "")
        assert "API version:      1.50 (minimum version 1.24)" in out
        code, out, _ = await docker(api, "info")
        assert code == 0
        assert "Storage Driver: overlay2" in out
        assert "Swarm: inactive" in out

    serve(scenario)


def test_ps_shows_all_columns(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        api.engine.containers.add(make_container(name="old", state=State(status="exited", started_ns=1, finished_ns=1)))
        code, out, err = await docker(api, "ps", "-a", "--no-trunc")
        assert (code, err) == (0, "")
        web = next(line for line in out.splitlines() if line.endswith("web"))
        assert "Up 3 seconds" in web
        assert "0.0.0.0:8080->80/tcp" in web
        assert "\"sh -c 'sleep 1'\"" in web
        assert "Exited (0)" in out
        code, out, _ = await docker(api, "ps", "-q", "--filter", "name=we", "--filter", "label=tier=web")
        assert (code, len(out.split())) == (0, 1)
        code, _, err = await docker(api, "ps", "--filter", "nope=x")
        assert (code, "invalid filter 'nope'" in err) == (1, True)

    serve(scenario)


def test_inspect_finds_each_kind_and_says_no_such_object(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        for name, key, value in (
            ("web", "Name", "/web"),
            ("busybox", "Architecture", "amd64"),
            ("bridge", "Name", "bridge"),
        ):
            code, out, _ = await docker(api, "inspect", name)
            assert (code, json.loads(out)[0][key]) == (0, value)
        code, out, err = await docker(api, "inspect", "nosuch")
        assert (code, out.strip()) == (1, "[]")
        assert "No such object: nosuch" in err

    serve(scenario)


def test_logs_are_split_into_both_streams(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        api.engine.containers.records = [Record(1, "stdout", b"one\n"), Record(2, "stderr", b"two\n")]
        assert await docker(api, "logs", "web") == (0, "one\n", "two\n")
        _, out, _ = await docker(api, "logs", "-t", "web")
        assert out == "1970-01-01T00:00:00.000000001Z one\n"

    serve(scenario)


def test_run_with_input_gets_output_and_exit_code(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        client = asyncio.create_task(docker(api, "run", "-i", "--name", "echo", "busybox", "cat", given=b"x" * 300_000))
        attached, theirs = await containers.attached.get()
        loop, found = asyncio.get_running_loop(), b""
        while data := await loop.sock_recv(theirs, 1 << 16):
            found += data
        await attached.closed.wait()
        assert found == b"x" * 300_000
        await loop.sock_sendall(theirs, frame("stdout", b"out\n") + frame("stderr", b"err\n"))
        theirs.close()
        while not containers.get("echo").running or not containers.waiters:
            await asyncio.sleep(0.01)
        containers.end("echo", 5)
        assert await client == (5, "out\n", "WARNING: a warning\nerr\n")
        order = [call[0] for call in containers.calls]
        assert order == ["create", "attach", "wait"]

    serve(scenario)


def test_run_of_a_missing_image_exits_with_125(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        code, _, err = await docker(api, "run", "nosuch")
        assert code == 125
        assert "Unable to find image 'nosuch:latest' locally" in err
        assert "cannot pull nosuch:latest" in err

    serve(scenario)


def test_attach_to_a_container_that_only_writes(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(running_container("web"))
        client = asyncio.create_task(docker(api, "attach", "--no-stdin", "web"))
        _, theirs = await containers.attached.get()
        before = containers.asked
        while containers.asked == before:  # the client looks whether it still runs
            await asyncio.sleep(0.01)
        theirs.sendall(frame("stdout", b"hello\n"))
        theirs.close()
        containers.end("web", 3)
        assert await client == (3, "hello\n", "")

    serve(scenario)


def test_wait_prints_the_exit_code(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(running_container("web"))
        client = asyncio.create_task(docker(api, "wait", "web"))
        while not containers.waiters:
            await asyncio.sleep(0.01)
        containers.end("web", 137)
        assert await client == (0, "137\n", "")

    serve(scenario)


def test_events_are_shown_with_their_attributes(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.events.emit("container", "start", "abc", {"image": "busybox", "name": "web"})
        api.engine.events.emit("network", "connect", "def", {"container": "abc", "type": "bridge"})
        code, out, _ = await docker(api, "events", "--since", "1", "--until", f"{time.time():.9f}")
        assert code == 0
        assert "container start abc (image=busybox, name=web)" in out
        assert "network connect def (container=abc, type=bridge)" in out

    serve(scenario)


def test_load_import_tag_history_and_removal_of_images(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert (await docker(api, "load", given=b"tar" * 100))[:2] == (0, "Loaded image: busybox:latest\n")
        code, out, _ = await docker(api, "import", "-", "mine:1", given=b"tar")
        assert (code, out[:7]) == (0, "sha256:")
        assert api.engine.images.calls[-1][:3] == ("import", "mine", "1")
        assert (await docker(api, "tag", "busybox", "other:2"))[0] == 0
        code, out, _ = await docker(api, "history", "--format", "{{.Size}} {{.CreatedBy}}", "busybox")
        assert (code, out) == (0, "0B CMD\n4MB ADD rootfs\n")
        code, out, _ = await docker(api, "images")
        assert "busybox      latest" in out
        code, out, _ = await docker(api, "rmi", "busybox")
        assert (code, out.splitlines()[0]) == (0, "Untagged: busybox:latest")

    serve(scenario)


def test_networks_and_volumes(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        code, _, err = await docker(api, "network", "create", "--subnet", "10.9.0.0/24", "mine")
        assert (code, err) == (0, "")
        assert "mine" in (await docker(api, "network", "ls"))[1]
        assert (
            json.loads((await docker(api, "network", "inspect", "mine"))[1])[0]["IPAM"]["Config"][0]["Subnet"]
            == "10.9.0.0/24"
        )
        assert (await docker(api, "network", "rm", "mine"))[0] == 0
        assert await docker(api, "volume", "create", "data") == (0, "data\n", "")
        assert "local     data" in (await docker(api, "volume", "ls"))[1]
        assert json.loads((await docker(api, "volume", "inspect", "data"))[1])[0]["Mountpoint"] == "/v/data/_data"
        assert (await docker(api, "volume", "rm", "data"))[0] == 0

    serve(scenario)


def test_actions_by_client(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(attrs.evolve(make_container(name="web"), config=Config(image="busybox", cmd=("sh",))))
        for arguments in (("start", "web"), ("kill", "-s", "HUP", "web"), ("stop", "-t", "3", "web"), ("rm", "web")):
            assert await docker(api, *arguments) == (0, "web\n", "")
        assert containers.all == {}
        code, _, err = await docker(api, "rm", "web")
        assert (code, "No such container: web" in err) == (1, True)

    serve(scenario)
