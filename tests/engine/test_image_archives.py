"""Image archives of every generation are read, and what is wrong with one is said."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from wherry.errors import Invalid, NotFound
from wherry_engine.engine.image_archive_read import read_archive
from wherry_engine.engine.image_config import read_config
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.layer_source import Source, is_compressed, plain_tar, unpack_file, whole_file

HERE = Platform("linux", "amd64")
LAYER = b"layer" * 1000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two gzip members": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "two zstd frames": lambda data: (
        zstandard.ZstdCompressor().compress(data[:7]) + zstandard.ZstdCompressor().compress(data[7:])
    ),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(architecture: str = "amd64", variant: str = "") -> bytes:
    document = {
        "os": "linux",
        "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(LAYER)}"]},
    }
    return json.dumps(document | ({"variant": variant} if variant else {})).encode()


def archive(path: Path, files: Mapping[str, bytes | object]) -> Path:
    """A tar with these files; what is no bytes is written as JSON, a link is a TarInfo."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
                continue
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def descriptor(data: bytes, **more: Any) -> dict[str, Any]:
    return {"digest": f"sha256:{sha(data)}", "size": len(data), **more}


def layout(path: Path, entries: list[tuple[bytes, dict[str, Any]]], more: Mapping[str, bytes] | None = None) -> Path:
    """An OCI layout: of each entry the config and what else its descriptor says."""
    blobs = {f"blobs/sha256/{sha(LAYER)}": LAYER} | dict(more or {})
    manifests = []
    for image, says in entries:
        manifest = json.dumps({"config": descriptor(image), "layers": [descriptor(LAYER)]}).encode()
        blobs |= {f"blobs/sha256/{sha(each)}": each for each in (image, manifest)}
        manifests.append(descriptor(manifest, **says))
    return archive(path, {**blobs, "index.json": {"schemaVersion": 2, "manifests": manifests}})


def content(source: Source) -> bytes:
    return b"".join(plain_tar(source))


def content_or_refusal(source: Source) -> bytes:
    """zstandard ends quietly with a stream that is cut; the layer's digest tells then."""
    try:
        return content(source)
    except Invalid as error:
        return error.text.encode()


def test_an_archive_of_docker_1_10_has_a_folder_a_layer(tmp_path: Path) -> None:
    link = tarfile.TarInfo()
    link.type, link.linkname = tarfile.SYMTYPE, "../one/layer.tar"
    files = {
        "cfg.json": config(),
        "one/layer.tar": LAYER,
        "two/layer.tar": link,
        "manifest.json": [
            {"Config": "cfg.json", "RepoTags": ["a:1"], "Layers": ["one/layer.tar"]},
            {"Config": "cfg.json", "RepoTags": None, "Layers": ["two/layer.tar"]},
        ],
    }
    first, second = read_archive(archive(tmp_path / "a", files), HERE)
    assert (first.tags, second.tags) == (("a:1",), ())
    assert content(first.layers[0]) == content(second.layers[0]) == LAYER


def test_an_archive_from_before_1_10_gets_the_config_that_docker_makes(tmp_path: Path) -> None:
    base = {"id": "b", "created": "2015-01-01T00:00:00Z", "container_config": {"Cmd": ["/bin/sh", "-c", "a && <b>"]}}
    top = {
        "id": "t", "parent": "b", "created": "2015-01-02T00:00:00Z", "Size": 5, "throwaway": True, "os": "linux",
        "config": {"Env": ["A=<1>"]}, "architecture": "amd64", "author": "me",
    }  # fmt: skip
    files = {
        "b/json": base, "b/VERSION": b"1.0", "b/layer.tar": LAYER, "t/json": top, "t/layer.tar": LAYER,
        "repositories": {"old": {"1": "t", "2": "t"}, "other": {"latest": "b"}},
    }  # fmt: skip
    first, second = read_archive(archive(tmp_path / "a", files), HERE)
    assert (first.tags, second.tags) == (("old:1", "old:2"), ("other:latest",))
    assert len(first.layers) == 2
    diff = f"sha256:{sha(LAYER)}"
    assert first.config.decode() == (
        '{"architecture":"amd64","author":"me","config":{"Env":["A=\\u003c1\\u003e"]},"created":"2015-01-02T00:00:00Z",'
        '"history":[{"created":"2015-01-01T00:00:00Z","created_by":"/bin/sh -c a \\u0026\\u0026 \\u003cb\\u003e"},'
        '{"created":"2015-01-02T00:00:00Z","author":"me","empty_layer":true}],"os":"linux",'
        f'"rootfs":{{"type":"layers","diff_ids":["{diff}","{diff}"]}}}}'
    )
    assert read_config(first.config).layers == (diff, diff)


def test_a_layout_names_images_by_containerds_annotation_or_by_ocis_if_that_is_a_name(tmp_path: Path) -> None:
    ref, containerd = "org.opencontainers.image.ref.name", "io.containerd.image.name"
    other = config("amd64", "v2")
    made = layout(
        tmp_path / "a",
        [
            (config(), {"annotations": {containerd: "docker.io/library/a:1", ref: "1"}}),
            (config(), {"annotations": {ref: "b:2"}}),
            (other, {"annotations": {ref: "3"}}),
        ],
    )
    assert [image.tags for image in read_archive(made, HERE)] == [("docker.io/library/a:1", "b:2"), ()]


@pytest.mark.parametrize("wanted", ["amd64", "arm64"])
@pytest.mark.parametrize("nested", [True, False])
def test_of_an_index_of_several_platforms_the_fitting_image_is_taken(tmp_path: Path, wanted: str, nested: bool) -> None:
    said = {"annotations": {"org.opencontainers.image.ref.name": "a:1"}}
    images = [
        (config("arm64", "v8"), {"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}),
        (config(), {"platform": {"os": "linux", "architecture": "amd64"}}),
    ]
    path = layout(tmp_path / "a", [(image, {**says, **said}) for image, says in images])
    if nested:
        with tarfile.open(path) as tar:
            index = tar.extractfile("index.json")
            assert index is not None
            inner = json.loads(index.read())
        attestation = descriptor(b"x", annotations={"vnd.docker.reference.type": "attestation-manifest"})
        blob = json.dumps({"manifests": [attestation, *inner["manifests"]]}).encode()
        with tarfile.open(path, "a") as tar:
            info = tarfile.TarInfo(f"blobs/sha256/{sha(blob)}")
            info.size = len(blob)
            tar.addfile(info, io.BytesIO(blob))
            outer = json.dumps({"manifests": [descriptor(blob, **said)]}).encode()
            info = tarfile.TarInfo("index.json")
            info.size = len(outer)
            tar.addfile(info, io.BytesIO(outer))
    (image,) = read_archive(path, Platform("linux", wanted))
    assert (read_config(image.config).architecture, image.tags) == (wanted, ("a:1",))


def test_an_index_without_this_platform_says_which_it_has(tmp_path: Path) -> None:
    path = layout(tmp_path / "a", [(config("s390x"), {"platform": {"os": "linux", "architecture": "s390x"}})])
    with pytest.raises(NotFound, match=r"no image for linux/amd64; it has linux/s390x"):
        read_archive(path, HERE)


def test_a_blob_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    manifest = b"{}"
    path = archive(tmp_path / "a", {f"blobs/sha256/{sha(b'other')}": manifest,
                                    "index.json": {"manifests": [descriptor(b"other")]}})  # fmt: skip
    with pytest.raises(Invalid, match="is corrupt"):
        read_archive(path, HERE)


def test_a_document_that_is_index_and_manifest_is_refused(tmp_path: Path) -> None:
    both = json.dumps({"manifests": [], "layers": [], "config": {}}).encode()
    path = archive(tmp_path / "a", {f"blobs/sha256/{sha(both)}": both, "index.json": {"manifests": [descriptor(both)]}})
    with pytest.raises(Invalid, match="both an index and a manifest"):
        read_archive(path, HERE)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"other": b""}, "no manifest.json, no index.json and no repositories"),
        ({"manifest.json": b"{"}, "malformed"),
        ({"manifest.json": {}}, "not a list"),
        ({"manifest.json": [{"Config": "c", "Layers": []}]}, "has no file c"),
        ({"index.json": {"manifests": [{"digest": "sha256:../../x"}]}}, "has no file"),
        ({"repositories": {"a": {"b": "x"}}, "x/json": {"parent": "x"}}, "more than 512 layers"),
    ],
)
def test_what_is_no_image_archive_is_refused(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read_archive(archive(tmp_path / "a", files), HERE)


def test_a_layer_whose_digest_is_a_path_is_refused() -> None:
    with pytest.raises(Invalid, match="no sha256 digest"):
        read_config(b'{"rootfs": {"diff_ids": ["sha256:../../../etc"]}}')


@pytest.mark.parametrize("form", PACKERS)
def test_every_compression_is_unpacked(tmp_path: Path, form: str) -> None:
    packed, path = PACKERS[form](LAYER), tmp_path / "a"
    path.write_bytes(b"before" + packed + b"after")
    assert content(Source(path, 6, len(packed))) == LAYER
    path.write_bytes(packed)
    assert is_compressed(path)
    assert whole_file(path, "sha256:x").diff_id == f"sha256:{sha(LAYER)}"
    unpack_file(path)
    assert path.read_bytes() == LAYER
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("form", PACKERS)
def test_a_cut_or_damaged_stream_is_refused(tmp_path: Path, form: str) -> None:
    packed, path = PACKERS[form](LAYER), tmp_path / "a"
    for data in (packed[:-9], packed[:20] + b"\xff\x00\xff" + packed[23:]):
        path.write_bytes(data)
        assert content_or_refusal(Source(path, 0, len(data))) != LAYER
    with pytest.raises(Invalid, match="ends 5 bytes early"):
        content(Source(path, 0, path.stat().st_size + 5))


def test_an_older_variant_serves_where_the_wanted_one_is_missing(tmp_path: Path) -> None:
    path = layout(
        tmp_path / "a",
        [
            (config("arm", v), {"platform": {"os": "linux", "architecture": "arm", "variant": v}})
            for v in ("v5", "v6", "v8")
        ],
    )
    (image,) = read_archive(path, Platform("linux", "arm", "v7"))
    assert read_config(image.config).variant == "v6"
