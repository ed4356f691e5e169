"""Images through both clients: saved, loaded, named, pruned; and read by those who know such archives too."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Client, archive

pytestmark = [pytest.mark.root, pytest.mark.slow]


def files_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]


def one_layer(*contents: bytes) -> bytes:
    """A tar with the file `f`, which it brings as often as contents are given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for content in contents:
            info = tarfile.TarInfo("f")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_what_is_saved_is_loaded_as_the_same_image(client: Client, tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    client.run("load", "-qi", str(archive("web")))
    client.run("tag", "web:latest", "localhost:5000/team/web:1")
    before = client.inspect("web:latest")
    client.run("save", "-o", str(saved), "web:latest", "localhost:5000/team/web:1")
    client.run("rmi", "-f", before["Id"])
    assert client.text("load", "-i", str(saved)).splitlines() == [
        "Loaded image: localhost:5000/team/web:1",
        "Loaded image: web:latest",
    ]
    after = client.inspect("web:latest")
    assert after | {"Metadata": None} == before | {"Metadata": None}
    assert after["Metadata"]["LastTagTime"] > before["Metadata"]["LastTagTime"]


def test_the_archive_is_a_layout_and_a_docker_archive_of_the_original_layers(client: Client, tmp_path: Path) -> None:
    original = archive("busybox")
    client.run("load", "-qi", str(original))
    saved = client.run("save", "busybox").stdout
    (tmp_path / "saved.tar").write_bytes(saved)
    found, given = files_of(tmp_path / "saved.tar"), files_of(original)
    (entry,) = json.loads(found["manifest.json"])
    (first,) = json.loads(given["manifest.json"])
    assert found[entry["Config"]] == given[first["Config"]]
    assert [found[name] for name in entry["Layers"]] == [given[name] for name in first["Layers"]]
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (descriptor,) = json.loads(found["index.json"])["manifests"]
    assert descriptor["annotations"]["io.containerd.image.name"] == "docker.io/library/busybox:latest"
    assert json.loads(found["repositories"]) == {"busybox": {"latest": entry["Layers"][-1].rpartition("/")[2]}}
    assert client.run("save", "busybox:latest").stdout == saved


def test_an_id_is_saved_without_names_and_a_repository_with_all_its_tags(client: Client, tmp_path: Path) -> None:
    client.run("load", "-qi", str(archive("busybox")))
    client.run("tag", "busybox", "busybox:two")
    id = client.inspect("busybox")["Id"]
    for words, tags in (
        ((id,), None),
        (("busybox",), ["busybox:latest", "busybox:two"]),
        ((id, "busybox:two"), ["busybox:two"]),
    ):
        (tmp_path / "a").write_bytes(client.run("save", *words).stdout)
        (entry,) = json.loads(files_of(tmp_path / "a")["manifest.json"])
        assert entry["RepoTags"] == tags


def test_several_images_share_their_layers_in_the_archive(client: Client, tmp_path: Path) -> None:
    for name in ("web", "web-two"):
        client.run("load", "-qi", str(archive(name)))
    names = sorted(client.text("images", "--format", "{{.Repository}}:{{.Tag}}").split())
    client.run("save", "-o", str(tmp_path / "a"), *names)
    entries = json.loads(files_of(tmp_path / "a")["manifest.json"])
    layers = [layer for entry in entries for layer in entry["Layers"]]
    assert len(entries) == 2
    assert len(set(layers)) < len(layers)


def test_a_layer_that_brings_a_file_twice_is_saved_as_it_came(client: Client, tmp_path: Path) -> None:
    tar = one_layer(b"one", b"two")
    client.run("import", "-", "twice", stdin=tar)
    (tmp_path / "a").write_bytes(client.run("save", "twice").stdout)
    assert tar in files_of(tmp_path / "a").values()


def test_what_is_not_there_is_not_saved(client: Client, tmp_path: Path) -> None:
    assert "No such image: none:latest" in client.fails("save", "-o", str(tmp_path / "a"), "none")
    assert "failed to save image: invalid output path" in client.fails("save", "-o", "/none/a", "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["gzip", "xz", "zstd"])
def test_a_compressed_archive_is_loaded(client: Client, form: str) -> None:
    if form == "zstd":
        import zstandard

        data = zstandard.ZstdCompressor().compress(archive("busybox").read_bytes())
    else:
        data = subprocess.run([form, "-1c", archive("busybox")], capture_output=True, check=True).stdout
    assert client.text("load", stdin=data) == "Loaded image: busybox:latest\n"


def test_a_name_that_moves_leaves_the_old_image_without_one_until_it_is_pruned(client: Client) -> None:
    client.run("import", "-", "moved:1", stdin=one_layer(b"old"))
    saved = client.run("save", "moved:1").stdout
    old = client.inspect("moved:1")["Id"]
    client.run("import", "-", "moved:1", stdin=one_layer(b"new"))
    new = client.inspect("moved:1")["Id"]
    assert client.text("images", "-q", "--no-trunc", "-f", "dangling=true").split() == [old]
    assert client.text("load", stdin=saved).splitlines() == [
        f"The image moved:1 already exists, renaming the old one with ID {new} to empty string",
        "Loaded image: moved:1",
    ]
    assert client.text("images", "-q", "--no-trunc", "-f", "dangling=true").split() == [new]
    out = client.text("image", "prune", "-f").splitlines()
    assert out[:2] == ["Deleted Images:", f"deleted: {new}"]
    assert out[-1] == "Total reclaimed space: 3B"
    assert client.text("images", "-q", "--no-trunc").split() == [old]


def test_a_prune_of_all_spares_what_containers_use_and_what_the_filters_spare(client: Client) -> None:
    client.run("load", "-qi", str(archive("busybox")))
    client.run("create", "--name", "user", "busybox")
    client.run("import", "-c", "LABEL keep=yes", "-", "kept", stdin=one_layer(b"kept"))
    client.run("import", "-", "lost", stdin=one_layer(b"lost"))
    assert client.text("image", "prune", "-f") == "Total reclaimed space: 0B\n"
    assert client.text("image", "prune", "-af", "--filter", "until=1h") == "Total reclaimed space: 0B\n"
    out = client.text("image", "prune", "-af", "--filter", "label!=keep")
    assert "untagged: lost:latest\n" in out
    assert sorted(client.text("images", "--format", "{{.Repository}}").split()) == ["busybox", "kept"]
    assert "untagged: kept:latest\n" in client.text("image", "prune", "-af")
    assert client.text("images", "--format", "{{.Repository}}").split() == ["busybox"]


def test_a_prune_asks_first(client: Client) -> None:
    client.run("import", "-", "lost", stdin=one_layer(b"lost"))
    warning = "WARNING! This will remove all images without at least one container associated to them.\n"
    assert client.text("image", "prune", "-a", stdin=b"n\n") == f"{warning}Are you sure you want to continue? [y/N] "
    assert "deleted: " in client.text("image", "prune", "-a", stdin=b"y\n")


def test_a_name_in_use_is_taken_away_by_force_alone(client: Client) -> None:
    client.run("load", "-qi", str(archive("busybox")))
    container = client.text("create", "busybox").strip()
    image = client.inspect("busybox")["Id"]
    assert (
        f'conflict: unable to remove repository reference "busybox" (must force) - container {container[:12]} is using '
        f"its referenced image {image[7:19]}"
    ) in client.fails("rmi", "busybox")
    assert (
        f"conflict: unable to delete {image[7:19]} (must be forced) - image is being used by stopped container "
        f"{container[:12]}"
    ) in client.fails("rmi", image)
    assert client.text("rmi", "-f", "busybox") == f"Untagged: busybox:latest\nDeleted: {image}\n"
    assert client.text("images", "-aq") == ""


def test_an_inspection_says_where_the_files_of_images_and_containers_lie(
    client: Client, request: pytest.FixtureRequest
) -> None:
    client.run("load", "-qi", str(archive("busybox")))
    client.run("run", "--name", "made", "busybox", "touch", "/mine")
    client.run("commit", "made", "child")
    client.run("run", "-d", "--name", "box", "--stop-signal", "KILL", "child", "sh", "-c", "touch /new; sleep 1000")
    client.run("exec", "box", "sh", "-c", "until [ -e /new ]; do :; done")
    box, child, base = (client.inspect(name)["GraphDriver"] for name in ("box", "child", "busybox"))
    if "vfs" in request.node.name:
        assert [found["Data"] for found in (box, child, base)] == [None, None, None]
        assert {found["Name"] for found in (box, child, base)} == {"vfs"}
        return
    assert {found["Name"] for found in (box, child, base)} == {"overlay2"}
    everything = {"LowerDir", "MergedDir", "UpperDir", "WorkDir"}
    assert (set(box["Data"]), set(child["Data"])) == (everything, everything)
    assert set(base["Data"]) == everything - {"LowerDir"}
    upper, work, merged = (Path(box["Data"][name]) for name in ("UpperDir", "WorkDir", "MergedDir"))
    assert (upper / "new").exists()
    assert not (upper / "bin").exists()
    assert work.is_dir()
    assert {"new", "mine", "bin"} <= {path.name for path in merged.iterdir()}
    first, second = map(Path, box["Data"]["LowerDir"].split(":"))
    assert ((first / "mine").exists(), (second / "bin/busybox").exists()) == (True, True)
    assert (child["Data"]["UpperDir"], child["Data"]["LowerDir"]) == (str(first), str(second))
    assert base["Data"]["UpperDir"] == str(second)


def test_images_are_filtered_by_age_name_and_label(client: Client) -> None:
    client.run("import", "-c", "LABEL a=1", "-", "first:1", stdin=one_layer(b"1"))
    client.run("import", "-", "second:1", stdin=one_layer(b"2"))

    def listed(*filters: str) -> list[str]:
        given = [word for each in filters for word in ("-f", each)]
        return client.text("images", "--format", "{{.Repository}}", *given).split()

    assert listed("before=second:1") == ["first"]
    assert listed("since=first:1") == ["second"]
    assert listed("reference=f*") == listed("label=a") == listed("label=a=1") == ["first"]
    assert listed("until=1h") == listed("label=a=2") == []


@pytest.mark.peer
def test_skopeo_reads_what_is_saved_and_its_archives_are_loaded(client: Client, tmp_path: Path) -> None:
    client.run("load", "-qi", str(archive("web")))
    id, saved = client.inspect("web")["Id"], tmp_path / "saved.tar"
    client.run("save", "-o", str(saved), "web")
    shutil.copytree(unpacked(saved, tmp_path / "layout"), tmp_path / "copy")
    for source, target in (
        (f"docker-archive:{saved}", f"docker-archive:{tmp_path}/d.tar:copied:d"),
        (f"oci:{tmp_path}/copy:latest", f"oci-archive:{tmp_path}/o.tar:copied:o"),
    ):
        subprocess.run(["skopeo", "--insecure-policy", "copy", source, target], check=True, capture_output=True)
    assert client.text("load", "-i", str(tmp_path / "d.tar")) == "Loaded image: copied:d\n"
    assert client.inspect("copied:d")["Id"] == id
    assert client.text("load", "-i", str(tmp_path / "o.tar")) == "Loaded image: copied:o\n"
    assert client.inspect("copied:o")["RootFS"] == client.inspect("web")["RootFS"]


def unpacked(path: Path, target: Path) -> Path:
    with tarfile.open(path) as tar:
        tar.extractall(target, filter="data")
    return target
