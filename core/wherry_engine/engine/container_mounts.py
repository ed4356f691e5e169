"""The volumes, binds and tmpfs of a container, from `-v`, `--mount`, `--volumes-from`, `--tmpfs` and the image."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence

from wherry.errors import Invalid
from wherry.model.configs import Config, HostConfig, MountRequest
from wherry.model.containers import Container, MountPoint
from wherry.model.names import check_volume_name

_ACCESS = {"ro": False, "rw": True}
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_OTHERS = ("z", "Z", "nocopy", "consistent", "cached", "delegated")


def mount_points(config: Config, host: HostConfig, find: Callable[[str], Container]) -> list[MountPoint]:
    """Every mount point, parents before children. A later source of the same destination wins over an inherited one.

    Raises `Invalid` for what cannot be mounted or is named twice, and what `find` raises for `--volumes-from`.
    """
    found: dict[str, MountPoint] = {}
    for text in host.volumes_from or ():
        for point in _inherited(text, find):
            found[point.destination] = point
    explicit: dict[str, MountPoint] = {}
    binds = (parse_bind(text, host.volume_driver) for text in host.binds or ())
    for point in (*binds, *map(parse_mount, host.mounts or ())):
        if point.destination in explicit:
            raise Invalid(f"Duplicate mount point: {point.destination}")
        explicit[point.destination] = point
    for path in host.tmpfs or {}:
        if clean(path) in explicit:
            raise Invalid(f"Duplicate mount point: {clean(path)}")
    found.update(explicit)
    for path in config.volumes:
        destination = clean(path)
        if destination not in found and destination not in map(clean, host.tmpfs or {}):
            found[destination] = MountPoint(
                type="volume", destination=destination, driver=host.volume_driver, anonymous=True
            )
    return sorted(found.values(), key=lambda point: (point.destination.count("/"), point.destination))


def clean(path: str) -> str:
    """A destination in its shortest form. Raises `Invalid` unless it is absolute and not the root."""
    if not path.startswith("/"):
        raise Invalid(f"invalid mount path: '{path}' mount path must be absolute")
    if "\0" in path:
        raise Invalid("invalid mount path: it holds a NUL character")
    result = posixpath.normpath("/" + path.lstrip("/"))
    if result == "/":
        raise Invalid("invalid specification: destination can't be '/'")
    return result


def parse_bind(text: str, driver: str = "") -> MountPoint:
    """`source:/target[:options]`, where a source that is no absolute path names a volume, of `driver` if it is made."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
        raise Invalid(f"invalid volume specification: '{text}'; write SOURCE:/TARGET or SOURCE:/TARGET:OPTIONS")
    source, options = parts[0], parts[2].split(",") if len(parts) == 3 else []
    prefix = f"invalid volume specification: '{text}': invalid mount config for type "
    unknown = [o for o in options if o not in _ACCESS and o not in _PROPAGATION and o not in _OTHERS]
    if unknown or len([o for o in options if o in _ACCESS]) > 1 or len([o for o in options if o in _PROPAGATION]) > 1:
        raise Invalid(f"invalid mode: {parts[2]}")
    try:
        destination = clean(parts[1])
    except Invalid as error:
        raise Invalid(f'{prefix}"{"bind" if source.startswith("/") else "volume"}": {error.text}') from error
    writable = "ro" not in options
    propagation = next((o for o in options if o in _PROPAGATION), "")
    if source.startswith("/"):
        if "nocopy" in options:
            raise Invalid(f'{prefix}"bind": field VolumeOptions must not be specified')
        return MountPoint(
            type="bind", source=posixpath.normpath(source), destination=destination, writable=writable,
            mode=",".join(options), propagation=propagation or "rprivate",
        )  # fmt: skip
    if propagation:
        raise Invalid(f'{prefix}"volume": field BindOptions must not be specified')
    check_volume_name(source)
    return MountPoint(
        type="volume", name=source, destination=destination, driver=driver, writable=writable,
        mode=",".join(options) or "z", no_copy="nocopy" in options,
    )  # fmt: skip


def parse_mount(request: MountRequest) -> MountPoint:
    """One `--mount`. A tmpfs is a mount point too, though it has no source."""
    prefix = f'invalid mount config for type "{request.type}"'
    try:
        destination = clean(request.target) if request.target else ""
    except Invalid as error:
        raise Invalid(f"{prefix}: {error.text}") from error
    if not destination:
        raise Invalid(f"{prefix}: field Target must not be empty")
    writable = not request.read_only
    if request.type == "bind":
        if not request.source:
            raise Invalid(f"{prefix}: field Source must not be empty")
        if not request.source.startswith("/"):
            raise Invalid(f"{prefix}: invalid mount path: '{request.source}' mount path must be absolute")
        propagation = request.bind_options.propagation if request.bind_options else ""
        return MountPoint(
            type="bind", source=posixpath.normpath(request.source), destination=destination, writable=writable,
            propagation=propagation or "rprivate",
        )  # fmt: skip
    if request.type == "volume":
        options = request.volume_options
        if request.source:
            check_volume_name(request.source)
        return MountPoint(
            type="volume", name=request.source, destination=destination, writable=writable, mode="z",
            driver=options.driver_name if options else "", anonymous=not request.source,
            no_copy=bool(options and options.no_copy), subpath=options.subpath if options else "",
        )  # fmt: skip
    if request.type == "tmpfs":
        if request.source:
            raise Invalid(f"{prefix}: field Source must not be specified")
        return MountPoint(type="tmpfs", destination=destination, writable=writable)
    raise Invalid(f"{prefix}: mount type unknown; use bind, volume or tmpfs")


def _inherited(text: str, find: Callable[[str], Container]) -> Sequence[MountPoint]:
    name, _, mode = text.partition(":")
    if mode not in ("", "ro", "rw", "z", "Z"):
        raise Invalid(f"invalid mode: {mode}")
    container = find(name)
    points = [point for point in container.mounts if point.type != "tmpfs"]
    return [
        MountPoint(
            type=point.type, source=point.source, name=point.name, destination=point.destination, driver=point.driver,
            writable=_ACCESS.get(mode, point.writable), mode=mode or point.mode, propagation=point.propagation,
            no_copy=True,
        )
        for point in points
    ]  # fmt: skip
