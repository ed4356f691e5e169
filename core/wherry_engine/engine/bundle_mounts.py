"""The mounts of a bundle: the kernel's file systems, then what the container asked for, parents before children."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from wherry.errors import Invalid
from wherry.linux.seccomp.rules import this_host
from wherry.model.configs import BindOptions, HostConfig, MountRequest
from wherry.model.containers import MountPoint
from wherry_engine.engine.joins import SHM

SHM_SIZE = 64 << 20
_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_RECURSIVE_READ_ONLY = (5, 12)  # the kernel with mount_setattr(2)
# Options of tmpfs that exclude each other; of a group the last one said counts.
_TMPFS_GROUPS = (
    ("defaults",), ("ro", "rw"), ("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"), ("sync", "async"),
    ("dirsync",), ("mand", "nomand"), ("atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime"),
    ("diratime", "nodiratime"), tuple(sorted(_PROPAGATION)),
)  # fmt: skip
_TMPFS_GROUP = {name: group[0] for group in _TMPFS_GROUPS for name in group}
_TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev", "rprivate")


@attrs.frozen(kw_only=True)
class BundleMount:
    """One mount of a container. Options as mount(8) names them; a bind is recursive and private unless they say otherwise."""

    source: str
    destination: str
    options: tuple[str, ...] = ()
    type: str = "bind"


def oci_mounts(
    given: Sequence[BundleMount],
    host: HostConfig,
    points: Iterable[MountPoint],
    shm: str,
    modes: Mapping[str, int],
) -> list[dict[str, Any]]:
    """All mounts in their order. A given one takes the place of the default with the same destination.

    `shm` is the host's path of memory that others share, `modes` are those of tmpfs that say none, by path. A given bind that is none of the container's mount points is a file of the engine's: as writable as the root is.
    """
    theirs = {posixpath.normpath(point.destination) for point in points}
    asked = {posixpath.normpath(mount.destination): mount for mount in (*given, *tmpfs_mounts(host, modes))}
    if host.readonly_rootfs:
        asked = {path: mount if path in theirs else _readonly(mount) for path, mount in asked.items()}
    requests = {posixpath.normpath(m.target): m.bind_options for m in host.mounts or () if m.bind_options}
    rendered = [_rendered(asked[path], requests.get(path, BindOptions())) for path in sorted(asked, key=_depth)]
    mounts = [*_defaults(host, asked, shm), *rendered]
    return [
        {"destination": m.destination, "type": m.type, "source": m.source, "options": list(m.options)} for m in mounts
    ]


def root_propagation(mounts: Iterable[dict[str, Any]]) -> str | None:
    """How the root must propagate so that the mounts can: "shared", "rslave" or as the runtime likes (None)."""
    options = {option for mount in mounts for option in mount["options"]}
    if options & {"shared", "rshared"}:
        return "shared"
    return "rslave" if options & {"slave", "rslave"} else None


def tmpfs_mounts(host: HostConfig, modes: Mapping[str, int]) -> list[BundleMount]:
    """What `--tmpfs` and `--mount type=tmpfs` ask for; `modes` where they say none, by path."""
    asked = [(path, text.split(",") if text else []) for path, text in (host.tmpfs or {}).items()]
    asked += [(m.target, _request_options(m)) for m in host.mounts or () if m.type == "tmpfs"]
    return [_tmpfs(path, [*_mode(options, modes.get(path)), *options]) for path, options in asked]


def _mode(options: Iterable[str], mode: int | None) -> list[str]:
    return [] if mode is None or any(each.startswith("mode=") for each in options) else [f"mode={mode:o}"]


def merge_tmpfs(options: Iterable[str]) -> tuple[str, ...]:
    """Docker's defaults and these options; of those that exclude each other the last. Raises `Invalid` for an unknown one."""
    merged: dict[str, str] = {}
    for option in (*_TMPFS_DEFAULTS, *options):
        name, separator, value = option.partition("=")
        key = name if separator and value and name in _TMPFS_VALUES else _TMPFS_GROUP.get(option)
        if key is None:
            words = " ".join(f'"{word}"' for word in option.split("=", 1))
            raise Invalid(f"invalid tmpfs option [{words}]")
        merged.pop(key, None)
        merged[key] = option
    return tuple(merged.values())


def _tmpfs(destination: str, options: Iterable[str]) -> BundleMount:
    return BundleMount(type="tmpfs", source="tmpfs", destination=destination, options=tuple(options))


def _request_options(request: MountRequest) -> list[str]:
    found = ["ro"] if request.read_only else []
    if request.tmpfs_options and request.tmpfs_options.mode:
        found.append(f"mode={request.tmpfs_options.mode:o}")
    if request.tmpfs_options and request.tmpfs_options.size_bytes:
        found.append(f"size={request.tmpfs_options.size_bytes}")
    return found


def _defaults(host: HostConfig, asked: dict[str, BundleMount], shm: str) -> list[BundleMount]:
    own = ("nosuid", "noexec", "nodev", "mode=1777", f"size={host.shm_size or SHM_SIZE}")
    safe = ("nosuid", "noexec", "nodev")
    kernel = [
        ("/proc", "proc", "proc", safe),
        ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
        ("/sys", "sysfs", "sysfs", safe if host.privileged else (*safe, "ro")),
        ("/sys/fs/cgroup", "cgroup", "cgroup", safe if host.privileged else ("ro", *safe)),
        ("/dev/mqueue", "mqueue", "mqueue", safe),
    ]
    if host.ipc_mode == "host" or shm:
        kernel.append((SHM, "bind", shm or SHM, ("rbind", "rprivate")))
    elif host.ipc_mode != "none":
        kernel.append((SHM, "tmpfs", "shm", own))
    return [
        BundleMount(type=kind, source=source, destination=destination, options=options)
        for destination, kind, source, options in kernel
        if destination not in asked and not ("/dev" in asked and destination.startswith("/dev/"))
    ]


def _readonly(mount: BundleMount) -> BundleMount:
    if mount.type != "bind":
        return mount
    return attrs.evolve(mount, options=(*(option for option in mount.options if option != "rw"), "ro"))


def _rendered(mount: BundleMount, bind: BindOptions) -> BundleMount:
    if mount.type == "tmpfs":
        return attrs.evolve(mount, options=merge_tmpfs(mount.options))
    if mount.type != "bind":
        return mount
    recursion = "bind" if "bind" in mount.options or bind.non_recursive else "rbind"
    options = (recursion, *(option for option in mount.options if option not in ("bind", "rbind")))
    if not _PROPAGATION & set(options):
        options = (*options, "rprivate")
    if "rbind" in options and not bind.read_only_non_recursive and this_host().kernel >= _RECURSIVE_READ_ONLY:
        options = tuple("rro" if option == "ro" else option for option in options)  # what is mounted below, too
    return attrs.evolve(mount, options=options)


def _depth(path: str) -> tuple[int, str]:
    return path.count("/"), path
