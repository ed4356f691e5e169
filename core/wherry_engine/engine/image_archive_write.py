"""Image archives as `save` writes them: an OCI image layout that is a docker archive too.

manifest.json and repositories are for docker, podman and skopeo of any age, index.json and oci-layout for those who read
layouts; both name the same blobs. Layers are plain tars: their blobs' names are their diff ids. Nothing in the archive
depends on the clock or on this host, so that the same images give the same bytes.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import attrs

from wherry.model.images import Image
from wherry.model.references import parse_reference
from wherry_engine.engine.image_config import digest
from wherry_engine.engine.layers import Layer

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_BLOCK = 512
Json = dict[str, Any]


@attrs.frozen(kw_only=True)
class SavedImage:
    """An image to be saved: its config blob, its layers, base first, and the names that are saved with it."""

    image: Image
    config: bytes
    layers: Sequence[Layer]
    names: Sequence[str]

    def manifest(self) -> bytes:
        """Its OCI manifest."""
        config = {"mediaType": _CONFIG, "digest": self.image.id, "size": len(self.config)}
        layers = [{"mediaType": _LAYER, "digest": each.diff_id, "size": each.tar_size} for each in self.layers]
        return _dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers})


async def write_archive(
    images: Sequence[SavedImage], content: Callable[[Layer], AsyncGenerator[bytes, None]]
) -> AsyncGenerator[bytes, None]:
    """The archive, in pieces; `content(layer)` gives a layer's tar."""
    yield _header("blobs/", folder=True) + _header("blobs/sha256/", folder=True)
    blobs = {digest(each): each for image in images for each in (image.config, image.manifest())}
    for name, blob in sorted(blobs.items()):
        yield _file(_path(name), blob)
    layers = {layer.diff_id: layer for image in images for layer in image.layers}
    for layer in layers.values():
        yield _header(_path(layer.diff_id), layer.tar_size)
        async with aclosing(content(layer)) as pieces:
            async for data in pieces:
                yield data
        yield bytes(-layer.tar_size % _BLOCK)
    yield _file("index.json", _dumps(_index(images)))
    yield _file("manifest.json", _dumps([_docker_entry(image) for image in images]))
    yield _file("oci-layout", _dumps({"imageLayoutVersion": "1.0.0"}))
    if repositories := _repositories(images):
        yield _file("repositories", _dumps(repositories))
    yield bytes(2 * _BLOCK)


def _index(images: Sequence[SavedImage]) -> Json:
    manifests = []
    for image in images:
        manifest = image.manifest()
        descriptor = {"mediaType": _MANIFEST, "digest": digest(manifest), "size": len(manifest)}
        for name in image.names:
            reference = parse_reference(name)
            full = f"{reference.domain}/{reference.path}:{reference.tag}"
            annotations = {
                "io.containerd.image.name": full,
                "org.opencontainers.image.ref.name": reference.tag,
            }
            manifests.append({**descriptor, "annotations": annotations})
        if not image.names:
            manifests.append(descriptor)
    return {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}


def _docker_entry(image: SavedImage) -> Json:
    sources = {
        each.diff_id: {"mediaType": _LAYER, "size": each.tar_size, "digest": each.diff_id} for each in image.layers
    }
    return {
        "Config": _path(image.image.id),
        "RepoTags": list(image.names) or None,
        "Layers": [_path(each.diff_id) for each in image.layers],
        "LayerSources": sources,
    }


def _repositories(images: Sequence[SavedImage]) -> Json:
    found: dict[str, dict[str, str]] = {}
    for image in images:
        for name in image.names if image.layers else ():
            reference = parse_reference(name)
            found.setdefault(reference.repository, {})[reference.tag] = image.layers[-1].diff_id.partition(":")[2]
    return found


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.partition(':')[2]}"


def _dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _file(name: str, content: bytes) -> bytes:
    return _header(name, len(content)) + content + bytes(-len(content) % _BLOCK)


def _header(name: str, size: int = 0, *, folder: bool = False) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type = size, 0o755 if folder else 0o644, tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return info.tobuf(tarfile.GNU_FORMAT)
