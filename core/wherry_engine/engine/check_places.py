"""The check of places on the host that carry our names: mounts, folders, namespaces, control groups, files, descriptors."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs

from wherry.errors import Failed
from wherry.linux import cgroups
from wherry.linux.files import remove_tree
from wherry.linux.mounts import mounts, unmount
from wherry.linux.namespaces import remove_netns
from wherry_engine.engine.check_view import Fault, View, fault
from wherry_engine.engine.container_files import Folders
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.joins import has_own_network
from wherry_engine.engine.log_files import FORMS
from wherry_engine.engine.rootfs import unmount_all
from wherry_engine.work import Pool

ID = re.compile(r"[0-9a-f]{64}")
OWN_FILES = ("hosts", "hostname", "resolv.conf")  # made anew at each start
SMALL = 16 << 20  # bytes; larger blobs are compared by name alone
END_DEADLINE = 2.0  # seconds for killed processes to leave their control group
RESTART = "stop the container and start it again"


@attrs.frozen
class Places:
    """Looks at the places of one engine."""

    folders: Folders
    groups: Groups
    pool: Pool

    def look(self, view: View) -> list[Fault]:
        """What is wrong in them."""
        parts = (self._mounts, self._mount_points, self._run_files, self._cgroups, self._container_folders)
        return [fault for part in (*parts, self._blobs, self._layer_records, self._descriptors) for fault in part(view)]

    # --- mounts and where they are made ---

    def _mounts(self, view: View) -> Iterator[Fault]:
        data = self.folders.data_root
        wanted = {str(data / "mounts" / id) for id in view.running}
        wanted |= {str(data / "volume-mounts" / name) for name in view.attached}
        found: set[str] = set()
        for area in ("mounts", "volume-mounts", "containers", "images"):
            for info in reversed(mounts(str(data / area))):
                found.add(info.target)
                subject = info.target.removeprefix(f"{data / area}/").partition("/")[0]
                if info.target not in wanted:
                    text = f"{info.kind} from {info.source} is mounted there, and nothing that runs needs it"
                    yield self._leftover(
                        "mount", info.target, text, "unmount it", partial(unmount, info.target), subject
                    )
        for id in view.running:
            if str(data / "mounts" / id) not in found:
                text = "the root file system of a running container is not mounted"
                yield fault("mount", str(data / "mounts" / id), text, RESTART, subject=id)

    def _mount_points(self, view: View) -> Iterator[Fault]:
        data = self.folders.data_root
        for area, wanted in (("mounts", view.running), ("volume-mounts", view.attached)):
            mounted = {info.target for info in mounts(str(data / area))}
            for name in _names(data / area) - wanted:
                path = data / area / name
                if str(path) in mounted:
                    continue
                if _names(path):
                    text = "nothing is mounted there, and it holds files that no record explains"
                    yield fault("folder", str(path), text, "look at them and remove it by hand", subject=name)
                else:
                    text = "an empty folder for a mount that nothing needs"
                    yield self._leftover("folder", str(path), text, "remove it", path.rmdir, name)

    # --- the exec root ---

    def _run_files(self, view: View) -> Iterator[Fault]:
        run = self.folders.exec_root
        for id in _names(run / "netns") - view.running:
            text = "a network namespace of no container that runs"
            act = partial(remove_netns, run / "netns" / id)
            yield self._leftover("network namespace", str(run / "netns" / id), text, "remove it", act, id)
        for id in _names(run / "bundles") - view.running:
            text = "a runtime's bundle of no container that runs"
            act = partial(remove_tree, run / "bundles" / id)
            yield self._leftover("bundle", str(run / "bundles" / id), text, "remove it", act, id)
        for id in _names(run / "shm") - view.running:
            text = "shared memory of no container that runs"
            act = partial(unmount_all, run / "shm" / id)
            yield self._leftover("mount", str(run / "shm" / id), text, "unmount it", act, id)
        for id in view.running:
            container = view.containers[id]
            if has_own_network(container.host) and not (run / "netns" / id).exists():
                text = f"running container {container.name} has lost its network namespace's name"
                yield fault("network namespace", str(run / "netns" / id), text, RESTART, subject=id)

    def _cgroups(self, view: View) -> Iterator[Fault]:
        found = {f"{self.groups.engine}/{name}" for name in self._of_engine() - view.running}
        found |= {self.groups.of(each) for each in view.stopped if each.host.resources.cgroup_parent}
        for group in sorted(found):
            name = group.rpartition("/")[2]
            if not any((top / group.strip("/")).is_dir() for top in cgroups.hierarchies()):
                continue
            for pid in sorted(_members(group)):
                text = f"runs in the control group {group} of no container that runs"
                act = partial(_kill, group, pid)
                yield self._leftover("process", f"{pid} ({_command(pid)})", text, "kill it", act, name)
            text = "a control group of no container that runs"
            yield self._leftover("control group", group, text, "remove it", partial(_remove_group, group), name)
        for folder in self.groups.unneeded():
            text = "a control group made for those of containers, and empty"
            yield fault("control group", str(folder), text, "remove it", self._tidy, subject=str(folder))

    def _of_engine(self) -> set[str]:
        tops = cgroups.hierarchies()
        return {name for top in tops for name in _names(top / self.groups.engine.strip("/"), folders=True)}

    async def _tidy(self) -> None:
        await self.pool.run("check.mend.groups", self.groups.tidy)

    # --- the data root ---

    def _container_folders(self, view: View) -> Iterator[Fault]:
        folder = self.folders.data_root / "containers"
        for name in _names(folder) - view.containers.keys():
            path = folder / name
            kept = sorted(at.name for at in _files(path) if at.name not in OWN_FILES and _has_content(at))
            if ID.fullmatch(name) and not kept:
                text = "the folder of a container that is not recorded, without a log or anything else to keep"
                yield self._leftover("folder", str(path), text, "remove it", partial(remove_tree, path), name)
            else:
                text = f"belongs to no recorded container and holds {', '.join(kept) or 'nothing of ours'}"
                yield fault("folder", str(path), text, "look at it and remove it by hand", subject=name)
        for id, container in view.containers.items():
            path = folder / id
            if not path.is_dir():
                text = f"container {container.name} has lost its folder, and with it its log"
                act = partial(path.mkdir, mode=0o710)
                yield self._leftover("folder", str(path), text, "make it again, empty", act, id)
            elif container.state.alive and container.log_driver in FORMS:
                log = self.folders.log(id, container.log_driver)
                if not log.exists():
                    text = f"running container {container.name} has lost its log file; what it says is lost too"
                    yield fault("log", str(log), text, RESTART, subject=id)

    def _blobs(self, view: View) -> Iterator[Fault]:
        images = self.folders.data_root / "images"
        found = _names(images / "blobs" / "sha256")
        for name in found - view.blobs:
            path = images / "blobs" / "sha256" / name
            if ID.fullmatch(name):
                text = "a blob that no image refers to"
                yield self._leftover("blob", str(path), text, "remove it", partial(remove_tree, path), name)
            else:
                yield fault(
                    "blob", str(path), "is named by no digest", "look at it and remove it by hand", subject=name
                )
        for name in view.blobs:
            path = images / "blobs" / "sha256" / name
            text = "an image's blob is missing" if name not in found else _corrupt(path, name)
            if text:
                yield fault("blob", str(path), text, "remove the image and load it again", subject=name)
        for name in _names(images / "tmp"):
            path = images / "tmp" / name
            text = "what was received of an archive that is not being loaded any more"
            yield self._leftover("file", str(path), text, "remove it", partial(remove_tree, path), name)

    def _layer_records(self, view: View) -> Iterator[Fault]:
        folder = self.folders.data_root / "images" / "layers"
        found = _names(folder)
        for name in found - view.layers:
            text, path = "the record of a layer that is not here", folder / name
            yield self._leftover("record", str(path), text, "remove it", partial(remove_tree, path), name)
        for name in view.layers - found:
            text = "a layer has lost the record of its archive, without which it can be used but not saved"
            yield fault("record", str(folder / name), text, "remove the image and load it again", subject=name)

    def _descriptors(self, _view: View) -> Iterator[Fault]:
        roots = (f"{self.folders.data_root}/", f"{self.folders.exec_root}/")
        for number in _names(Path("/proc/self/fd")):
            try:
                target = os.readlink(f"/proc/self/fd/{number}")
            except FileNotFoundError:
                continue
            if target.startswith(roots) and target.endswith(" (deleted)"):
                text = f"wherryd holds {target.removesuffix(' (deleted)')}, which is removed; its space is not free"
                mend = "restart wherryd, whose containers go on running: nothing else can close a descriptor of it"
                yield fault("descriptor", f"{number} of process {os.getpid()}", text, mend, subject=number)

    def _leftover(self, kind: str, object: str, text: str, mend: str, act: Callable[[], object], subject: str) -> Fault:
        async def carry_out() -> None:
            await self.pool.run("check.mend", act)

        if not ID.fullmatch(subject):
            return fault(kind, object, text, mend, carry_out, subject=subject)
        actor = f"container/{subject}"
        return fault(kind, object, text, mend, carry_out, subject=subject, actor=actor, running=False)


def _names(folder: Path, *, folders: bool = False) -> set[str]:
    """What is in a folder, or the folders in it; none if it is missing."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not folders or entry.is_dir(follow_symlinks=False)}
    except FileNotFoundError:
        return set()


def _processes(group: Path) -> set[int]:
    """The processes of a control group and of those below it."""
    found: set[int] = set()
    for folder, _, _ in os.walk(group):
        try:
            found.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
        except FileNotFoundError:  # removed meanwhile
            continue
    return found


def _members(group: str) -> set[int]:
    return {pid for top in cgroups.hierarchies() for pid in _processes(top / group.strip("/"))}


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return "ending"
    return b" ".join(words).decode(errors="replace").strip()[:60]


def _kill(group: str, pid: int) -> None:
    if pid in _members(group):  # not another one that has its number by now
        os.kill(pid, signal.SIGKILL)


def _remove_group(group: str) -> None:
    end = time.monotonic() + END_DEADLINE
    while busy := cgroups.remove_group(group):
        if time.monotonic() > end:
            raise Failed(f"{busy[0]} still holds processes")
        time.sleep(0.02)


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder and below; what vanishes meanwhile is none."""
    for at, _, names in os.walk(folder):
        yield from (Path(at, name) for name in names)


def _has_content(path: Path) -> bool:
    try:
        return path.lstat().st_size > 0
    except FileNotFoundError:
        return False


def _corrupt(path: Path, digest: str) -> str:
    try:
        if path.stat().st_size > SMALL:
            return ""
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:  # its image was removed meanwhile
        return ""
    return "" if found == digest else f"an image's blob has the content of sha256:{found}"
