"""What an engine could leave on its host, planted under its names: each returns what a check says of it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import attrs
from scripts.engine import Places
from tests.fire.daemon import Api

from wherry.linux import cgroups

LEAK = "1ea4" * 16  # an id that nothing has


@attrs.frozen
class Named:
    """An engine, by what its names are made of."""

    where: Places
    instance: str


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def plant_folder(of: Named) -> str:
    (of.where.data / "mounts" / LEAK).mkdir()
    return f"folder {of.where.data}/mounts/{LEAK}: an empty folder"


def plant_endpoint(of: Named) -> str:
    run("ip", "link", "add", f"wv{LEAK[:12]}", "type", "veth", "peer", "name", "leakpeer")
    run("ip", "link", "set", f"wv{LEAK[:12]}", "alias", f"wherry:{of.instance}:ep:{LEAK}:{LEAK}")
    return f"link of endpoint {LEAK}: "


def plant_bridge(of: Named) -> str:
    run("ip", "link", "add", f"wbr{LEAK[:12]}", "type", "bridge")
    run("ip", "link", "set", f"wbr{LEAK[:12]}", "alias", f"wherry:{of.instance}:net:{LEAK}")
    return f"link of network {LEAK}: "


def plant_snapshot(of: Named) -> str:
    (of.where.data / f"storage/overlay2/active/add-{LEAK}/diff").mkdir(parents=True)
    return f"snapshot add-{LEAK}: "


def plant_element(of: Named) -> str:
    run("nft", f"add element ip wherry_{of.instance} pub_any {{ tcp . 4711 : 10.9.9.9 . 80 }}")
    return "the element tcp . 4711 : 10.9.9.9 . 80 of pub_any is in table"


def plant_group(of: Named) -> str:
    """Made above a container, and left because somebody had a group in it when the container ended."""
    api, top = Api(of.where.socket), cgroups.hierarchies()[0]
    config = {
        "Image": api("GET", "/images/json")[0]["Id"],
        "Cmd": ["sleep", "1000"],
        "StopSignal": "KILL",
        "HostConfig": {"NetworkMode": "none", "CgroupParent": "/leak"},
    }
    api("POST", "/containers/create", config, name="leak")
    api("POST", "/containers/leak/start")
    (top / "leak/others").mkdir()
    api("DELETE", "/containers/leak", force="1")
    (top / "leak/others").rmdir()
    return f"control group {top}/leak: a control group made for those of containers"


@contextmanager
def spoilt(of: Named) -> Iterator[None]:
    """Someone spoils the rules faster than the engine looks at them."""
    over = threading.Event()

    def spoil() -> None:
        while not over.wait(0.01):
            with suppress(subprocess.CalledProcessError):
                plant_element(of)

    spoiling = threading.Thread(target=spoil)
    spoiling.start()
    try:
        yield
    finally:
        over.set()
        spoiling.join()
