"""Where an engine lives: its two roots, the id it keeps for as long as it lives there, and the host's life it was in."""

from __future__ import annotations

import logging
from pathlib import Path

from wherry.linux.files import clear_directory, remove_tree
from wherry.linux.mounts import bind, make_shared
from wherry.linux.steps import step
from wherry.model.names import new_id
from wherry_engine.state.codec import decode, encode
from wherry_engine.state.database import Change, Database

FOLDERS = ("containers", "mounts", "volume-mounts", "images/blobs/sha256", "images/layers", "images/tmp")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # another one after each start of the host, see random(4)

log = logging.getLogger(__name__)


def make_roots(data: Path, exec_root: Path) -> None:
    """Folders, and the data root as a mount of its own that is shared: mounts in it reach every namespace of ours."""
    with step("engine.roots"):
        for folder in (data, *(data / name for name in FOLDERS), *_exec_folders(exec_root)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        clear_directory(data / "images/tmp")  # no load has begun, and a loss of power may bring back a file
        bind(str(data), str(data))
        make_shared(str(data))


def _exec_folders(root: Path) -> tuple[Path, ...]:
    return (root, root / "bundles", root / "netns", root / "shm")


async def notice_reboot(database: Database, exec_root: Path) -> None:
    """What lies in the exec root was of another life of the host, if that was restarted since: begin it anew."""
    boot = BOOT_ID.read_text().strip()
    last = [decode(value, str) for _, value in database.load("boot")]
    if last == [boot]:
        return
    if last:
        log.warning("the host was restarted: what ran has ended, and restart policies apply")
        with step("engine.reboot"):
            remove_tree(exec_root)
            for folder in _exec_folders(exec_root):
                folder.mkdir(parents=True, mode=0o711)
    await database.commit(Change("boot", "id", encode(boot)))


def group_above(exec_root: Path, wanted: str) -> str:
    """The control group below which the engine's own is. Containers that may still run keep it where they were started."""
    note = exec_root / "cgroup-parent"
    if not note.exists():
        with step("engine.group"):
            note.write_text(wanted)
    if (kept := note.read_text()) != wanted:
        log.warning("cgroup-parent stays %s until the engine ends without a container that runs", kept or "/")
    return kept


async def instance_id(database: Database) -> str:
    """The id of this engine, the same for as long as its data root lives."""
    for _, value in database.load("instance"):
        return decode(value, str)
    instance = new_id()[:8]
    await database.commit(Change("instance", "id", encode(instance)))
    return instance
