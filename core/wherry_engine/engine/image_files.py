"""Image archives and config blobs: reading what `save` and `import` bring (docker archive; OCI image configuration).

A docker archive is a tar with manifest.json: a list of {Config, RepoTags, Layers}, paths within the archive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
import time
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Invalid
from wherry.model.configs import Config, HealthConfig
from wherry.model.images import History, Image
from wherry_engine.engine.layers import GZIP, Source, chain_ids, plain_tar

MAX_METADATA = 16 << 20  # bytes; a config or manifest larger than that is an attack


@attrs.frozen(kw_only=True)
class ArchivedImage:
    """One image of an archive: its config blob, its names, and where its layers' tars lie."""

    config: bytes
    tags: tuple[str, ...]
    layers: tuple[Source, ...]


def read_archive(path: Path) -> list[ArchivedImage]:
    """The images of a docker archive. Raises `Invalid` that says what is wrong with it."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = {member.name.removeprefix("./"): member for member in archive if not member.isdir()}
            manifest = json.loads(_content(archive, members, "manifest.json"))
            if not isinstance(manifest, list):
                raise Invalid("the archive's manifest.json is not a list")
            return [_archived(archive, members, path, entry) for entry in manifest]
    except tarfile.TarError as error:
        raise Invalid(f"the image archive cannot be read: {error}; `save` writes what `load` reads") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Invalid(f"the image archive's manifest.json is malformed: {error!r}") from error


def _archived(
    archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], path: Path, entry: Mapping[str, Any]
) -> ArchivedImage:
    layers = []
    for name in entry["Layers"]:
        member = _member(members, name)
        layers.append(Source(path, member.offset_data, member.size))
    config = _content(archive, members, entry["Config"])
    return ArchivedImage(config=config, tags=tuple(entry.get("RepoTags") or ()), layers=tuple(layers))


def _member(members: Mapping[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo:
    member = members.get(name)
    for _ in range(8):  # old archives name a layer that several images share by a link
        if member is None or not member.issym():
            break
        parts: list[str] = []
        for part in (*name.split("/")[:-1], *member.linkname.split("/")):
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        name = "/".join(parts)
        member = members.get(name)
    if member is None or not member.isreg():
        raise Invalid(f"the image archive has no file {name}")
    return member


def _content(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    member = _member(members, name)
    if member.size > MAX_METADATA:
        raise Invalid(f"{name} in the image archive is {member.size} bytes; at most {MAX_METADATA} are read")
    file = archive.extractfile(member)
    assert file is not None  # a regular file
    return file.read()


@attrs.frozen
class WholeFile:
    """A file that is one layer's tar, plain or compressed, and the digest of the plain tar."""

    source: Source
    diff_id: str


def whole_file(path: Path, content: str) -> WholeFile:
    """The layer that a received file is; `content` is the digest of the file as it lies there."""
    source = Source(path, 0, path.stat().st_size)
    with path.open("rb") as file:
        if file.read(2) != GZIP:
            return WholeFile(source, content)
    plain = hashlib.sha256()
    try:
        for data in plain_tar(source):
            plain.update(data)
    except zlib.error as error:
        raise Invalid(f"the archive is not whole gzip data: {error}") from error
    return WholeFile(source, "sha256:" + plain.hexdigest())


def digest(blob: bytes) -> str:
    """The digest that names a blob."""
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def read_config(blob: bytes, *, size: int = 0, added_ns: int = 0) -> Image:
    """The image that a config blob describes. Raises `Invalid`."""
    try:
        raw = json.loads(blob)
        diff_ids = tuple(raw["rootfs"]["diff_ids"])
        run = raw.get("config") or {}
        return Image(
            id=digest(blob),
            config=_run_config(run),
            created=raw.get("created") or "",
            architecture=raw.get("architecture") or "amd64",
            variant=raw.get("variant") or "",
            os=raw.get("os") or "linux",
            author=raw.get("author") or "",
            comment=raw.get("comment") or "",
            docker_version=raw.get("docker_version") or "",
            layers=diff_ids,
            chain_ids=chain_ids(diff_ids),
            history=tuple(_history(step) for step in raw.get("history") or ()),
            size=size,
            added_ns=added_ns,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Invalid(f"the image's config is malformed: {error!r}") from error


def _run_config(raw: Mapping[str, Any]) -> Config:
    health = raw.get("Healthcheck")
    return Config(
        hostname=raw.get("Hostname") or "",
        domainname=raw.get("Domainname") or "",
        user=raw.get("User") or "",
        exposed_ports=tuple(raw.get("ExposedPorts") or ()),
        env=tuple(raw.get("Env") or ()),
        cmd=_texts(raw.get("Cmd")),
        healthcheck=None if not health else _health(health),
        args_escaped=bool(raw.get("ArgsEscaped")),
        volumes=tuple(raw.get("Volumes") or ()),
        working_dir=raw.get("WorkingDir") or "",
        entrypoint=_texts(raw.get("Entrypoint")),
        on_build=_texts(raw.get("OnBuild")),
        labels=dict(raw.get("Labels") or {}),
        stop_signal=raw.get("StopSignal") or "",
        shell=_texts(raw.get("Shell")),
    )


def _health(raw: Mapping[str, Any]) -> HealthConfig:
    return HealthConfig(
        test=_texts(raw.get("Test")),
        interval=raw.get("Interval", 0),
        timeout=raw.get("Timeout", 0),
        start_period=raw.get("StartPeriod", 0),
        start_interval=raw.get("StartInterval", 0),
        retries=raw.get("Retries", 0),
    )


def _texts(value: Sequence[str] | str | None) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return ("/bin/sh", "-c", value)
    return None if value is None else tuple(value)


def _history(raw: Mapping[str, Any]) -> History:
    created = 0
    with contextlib.suppress(ValueError):  # a date nobody can read is no reason to refuse an image
        created = int(datetime.fromisoformat(raw.get("created") or "").timestamp() * 1e9)
    return History(
        created_ns=created,
        created_by=raw.get("created_by") or "",
        comment=raw.get("comment") or "",
        author=raw.get("author") or "",
        empty_layer=bool(raw.get("empty_layer")),
    )


def imported_config(diff_id: str, run: Mapping[str, Any], message: str, architecture: str) -> bytes:
    """The config blob of a one-layer image made from a root file system."""
    now = time.time_ns()
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "comment": message,
        "config": dict(run),
        "history": [{"created": created, "comment": message}],
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return json.dumps(document, separators=(",", ":")).encode()
