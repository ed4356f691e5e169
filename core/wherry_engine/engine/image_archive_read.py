"""Image archives as they come: of every `docker save` since 1.0, and OCI image layouts.

    manifest.json   since Docker 1.10: a list of {Config, RepoTags, Layers}, paths within the archive (25 and later: blobs/)
    index.json      an OCI image layout: descriptors of manifests, or of indexes of one manifest a platform
    repositories    before 1.10: {REPOSITORY: {TAG: LAYER}}; a layer is a folder with json and layer.tar

The first of these that an archive has is what is read.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Invalid, NotFound
from wherry_engine.engine.image_archive_legacy import legacy_images
from wherry_engine.engine.image_config import digest
from wherry_engine.engine.image_platform import Platform, best
from wherry_engine.engine.layer_source import Source

MAX_METADATA = 16 << 20  # bytes; a config or manifest larger than that is an attack
_DEPTH = 4  # indexes within indexes


@attrs.frozen(kw_only=True)
class ArchivedImage:
    """One image of an archive: its config blob, its names, and where its layers' tars lie."""

    config: bytes
    tags: tuple[str, ...]
    layers: tuple[Source, ...]


def read_archive(path: Path, platform: Platform) -> list[ArchivedImage]:
    """The images of an archive; of an index of several platforms, the one that fits. Raises `Invalid`, `NotFound`."""
    try:
        with tarfile.open(path, "r:") as archive:
            files = ArchiveFiles(archive, path)
            if files.has("manifest.json"):
                return [_docker_image(files, entry) for entry in _list(files.json("manifest.json"), "manifest.json")]
            if files.has("index.json"):
                return _layout_images(files, platform)
            if files.has("repositories"):
                return [ArchivedImage(config=c, tags=t, layers=s) for c, t, s in legacy_images(files)]
            raise Invalid("the image archive has no manifest.json, no index.json and no repositories: it is none")
    except tarfile.TarError as error:
        raise Invalid(f"the image archive cannot be read: {error}; `save` writes what `load` reads") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Invalid(f"the image archive's metadata is malformed: {error!r}") from error


class ArchiveFiles:
    """The regular files of an archive, by name."""

    def __init__(self, archive: tarfile.TarFile, path: Path) -> None:
        self._archive, self._path = archive, path
        self._members = {member.name.removeprefix("./"): member for member in archive if not member.isdir()}

    def has(self, name: str) -> bool:
        """Whether there is an entry of this name."""
        return name in self._members

    def source(self, name: str) -> Source:
        """Where a file's content lies. Raises `Invalid` if there is no such file."""
        member = self._member(name)
        return Source(self._path, member.offset_data, member.size)

    def content(self, name: str) -> bytes:
        """A file that is no layer."""
        member = self._member(name)
        if member.size > MAX_METADATA:
            raise Invalid(f"{name} in the image archive is {member.size} bytes; at most {MAX_METADATA} are read")
        file = self._archive.extractfile(member)
        assert file is not None  # a regular file
        return file.read()

    def json(self, name: str) -> Any:
        """A file's content, decoded."""
        return json.loads(self.content(name))

    def blob(self, descriptor: Mapping[str, Any]) -> bytes:
        """The content that an OCI descriptor names, checked against its digest."""
        content = self.content(blob_path(descriptor))
        if digest(content) != descriptor["digest"]:
            raise Invalid(f"the image archive is corrupt: {descriptor['digest']} has the digest {digest(content)}")
        return content

    def _member(self, name: str) -> tarfile.TarInfo:
        member = self._members.get(name)
        for _ in range(8):  # old archives name a layer that several images share by a link
            if member is None or not (member.issym() or member.islnk()):
                break
            name = _target(name, member)
            member = self._members.get(name)
        if member is None or not member.isreg():
            raise Invalid(f"the image archive has no file {name}")
        return member


def _target(name: str, link: tarfile.TarInfo) -> str:
    parts: list[str] = []
    folder = name.split("/")[:-1] if link.issym() else []
    for part in (*folder, *link.linkname.split("/")):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(part for part in parts if part not in ("", "."))


def blob_path(descriptor: Mapping[str, Any]) -> str:
    """Where a layout keeps the blob of a descriptor."""
    algorithm, _, encoded = str(descriptor["digest"]).partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _list(found: Any, name: str) -> Sequence[Any]:
    if not isinstance(found, list):
        raise Invalid(f"the image archive's {name} is not a list")
    return found


def _docker_image(files: ArchiveFiles, entry: Mapping[str, Any]) -> ArchivedImage:
    return ArchivedImage(
        config=files.content(entry["Config"]),
        tags=tuple(entry.get("RepoTags") or ()),
        layers=tuple(files.source(name) for name in entry["Layers"] or ()),
    )


# --- OCI image layout ---


def _layout_images(files: ArchiveFiles, platform: Platform) -> list[ArchivedImage]:
    """One image for each name; manifests of one name, or of none, that tell their platforms are one image's."""
    groups: dict[object, list[Mapping[str, Any]]] = {}
    for number, descriptor in enumerate(_list(files.json("index.json")["manifests"], "index.json")):
        name = _name(descriptor)
        groups.setdefault(name or ("" if descriptor.get("platform") else number), []).append(descriptor)
    found: dict[str, ArchivedImage] = {}
    for group in groups.values():
        image = _chosen(files, group, platform, _DEPTH)
        name = _name(group[0])
        key = digest(image.config)
        earlier = found[key].tags if key in found else ()
        found[key] = attrs.evolve(image, tags=(*earlier, *([name] if name else [])))
    return list(found.values())


def _name(descriptor: Mapping[str, Any]) -> str:
    """The image's name: containerd's annotation, or OCI's if that is more than a tag."""
    annotations = descriptor.get("annotations") or {}
    name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
    return str(name) if ":" in name or "/" in name else ""


def _chosen(
    files: ArchiveFiles, descriptors: Sequence[Mapping[str, Any]], platform: Platform, depth: int
) -> ArchivedImage:
    real = [each for each in descriptors if not (each.get("annotations") or {}).get("vnd.docker.reference.type")]
    told = {number: Platform.read(each["platform"]) for number, each in enumerate(real) if each.get("platform")}
    if told:
        number = best(told, platform)
        if number is None:
            known = ", ".join(sorted({str(each) for each in told.values()}))
            raise NotFound(f"the archive has no image for {platform}; it has {known}")
        real = [real[number]]
    if not real:
        raise Invalid("the image archive has an index without images")
    document = json.loads(files.blob(real[0]))
    if "manifests" in document and "layers" in document:
        raise Invalid("the image archive has a document that is both an index and a manifest")
    if "manifests" in document:
        if not depth:
            raise Invalid("the image archive has indexes within indexes, too many deep")
        return _chosen(files, _list(document["manifests"], "index"), platform, depth - 1)
    layers = tuple(files.source(blob_path(layer)) for layer in document["layers"])
    return ArchivedImage(config=files.blob(document["config"]), tags=(), layers=layers)
