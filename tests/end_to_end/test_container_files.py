"""Files of containers through both clients: cp both ways, export, diff and commit."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Client, archive

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def box(client: Client) -> Client:
    """A client of an engine that has the image busybox."""
    client.run("load", "-qi", str(archive("busybox")))
    return client


@pytest.fixture(params=["running", "created"])
def web(request: pytest.FixtureRequest, box: Client) -> Client:
    """The same, with a container `box` that runs or does not, and a volume at /vol."""
    box.run("create", "--name", "box", "-v", "data:/vol", "--tmpfs", "/ram", "busybox", "sleep", "1000")
    if request.param == "running":
        box.run("start", "box")
    return box


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory `src` with a file, a link and a sub-directory."""
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_text("file\n")
    (source / "sub" / "g").write_text("other\n")
    (source / "link").symlink_to("f")
    os.chown(source / "f", 1000, 1001)
    (source / "f").chmod(0o4751)
    os.link(source / "f", source / "same")
    return source


def listing(client: Client, path: str) -> list[str]:
    """The names in the archive of a container's path."""
    with tarfile.open(fileobj=io.BytesIO(client.run("cp", f"box:{path}", "-").stdout)) as tar:
        return sorted(tar.getnames())


def members(client: Client, path: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(client.run("cp", f"box:{path}", "-").stdout)) as tar:
        return {member.name: member for member in tar}


def test_a_directory_is_copied_under_its_name_into_one_that_exists_else_as_what_is_named(
    web: Client, tree: Path
) -> None:
    web.run("cp", str(tree), "box:/new")
    web.run("cp", str(tree), "box:/new/")
    web.run("cp", f"{tree}/.", "box:/vol")
    names = ["f", "link", "same", "sub", "sub/g"]
    assert listing(web, "/new") == sorted(
        ["new", *(f"new/{n}" for n in names), "new/src", *(f"new/src/{n}" for n in names)]
    )
    assert listing(web, "/vol") == ["vol", *(f"vol/{n}" for n in names)]
    found = members(web, "/new")
    assert (found["new/f"].mode, found["new/f"].uid, found["new/f"].gid) == (0o4751, 1000, 1001)
    assert found["new/link"].linkname == "f"
    assert found["new/same"].islnk()


def test_a_file_gets_the_name_that_is_given_or_goes_into_a_directory(web: Client, tree: Path, tmp_path: Path) -> None:
    web.run("cp", str(tree / "f"), "box:/named")
    web.run("cp", str(tree / "sub" / "g"), "box:/named")
    web.run("cp", str(tree / "f"), "box:/vol")
    assert listing(web, "/vol") == ["vol", "vol/f"]
    web.run("cp", "box:/named", str(tmp_path / "back"))
    web.run("cp", "box:/vol/f", str(tmp_path))
    assert (tmp_path / "back").read_text() == "other\n"
    assert (tmp_path / "f").read_text() == "file\n"
    assert web.run("cp", "box:/named", "-").stdout.startswith(b"named\0")


def test_a_directory_comes_back_as_it_went(web: Client, tree: Path, tmp_path: Path) -> None:
    web.run("cp", str(tree), "box:/new")
    for target in ("out", "into", "into/."):
        if target != "out":
            (tmp_path / "into").mkdir(exist_ok=True)
        web.run("cp", "box:/new", str(tmp_path / target))
    web.run("cp", "box:/new/.", str(tmp_path / "contents"))
    for copy in ("out", "into/new", "contents"):
        assert not subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / copy], check=False).returncode
        assert (tmp_path / copy / "link").is_symlink()


def test_links_are_copied_as_links_unless_they_are_to_be_followed(web: Client, tree: Path, tmp_path: Path) -> None:
    web.run("cp", str(tree / "link"), "box:/l")
    web.run("cp", "-L", str(tree / "link"), "box:/followed")
    found = members(web, "/l") | members(web, "/followed")
    assert found["l"].issym()
    assert found["followed"].isreg()
    web.run("cp", str(tree), "box:/new")
    (tmp_path / "abs").symlink_to("/new/sub")
    web.run("cp", str(tmp_path / "abs"), "box:/to-sub")
    web.run("cp", "box:/to-sub", str(tmp_path / "as-link"))
    assert os.readlink(tmp_path / "as-link") == "/new/sub"
    web.run("cp", "-L", "box:/to-sub", str(tmp_path / "as-folder"))
    assert (tmp_path / "as-folder" / "g").read_text() == "other\n"
    assert listing(web, "/to-sub/") == ["to-sub", "to-sub/g"]
    web.run("cp", str(tree / "f"), "box:/to-sub")
    assert listing(web, "/new/sub") == ["sub", "sub/f", "sub/g"]


def test_a_stream_is_extracted_into_a_directory_alone(web: Client, tree: Path) -> None:
    tar = subprocess.run(["tar", "-cz", "-C", tree, "."], check=True, capture_output=True).stdout
    web.run("cp", "-", "box:/vol", stdin=tar)
    assert listing(web, "/vol") == ["vol", "vol/f", "vol/link", "vol/same", "vol/sub", "vol/sub/g"]
    web.run("cp", str(tree / "f"), "box:/f")
    assert 'destination "box:/f" must be a directory' in web.fails("cp", "-", "box:/f", stdin=tar)


def test_what_cannot_be_copied_is_said_in_dockers_words(web: Client, tree: Path, tmp_path: Path) -> None:
    web.run("cp", str(tree), "box:/new")
    missing = "Error response from daemon: Could not find the file"
    for words, said in (
        ((str(tree / "nope"), "box:/"), f"lstat {tree}/nope: no such file or directory"),
        ((f"{tree}/f/", "box:/"), "not a directory"),
        ((str(tree), "box:/new/f"), "cannot copy directory"),
        ((str(tree / "f"), "box:/nope/"), "no such directory"),
        ((str(tree / "f"), "box:/nope/f"), f"{missing} /nope in container box"),
        (("box:/nope", str(tmp_path)), f"{missing} /nope in container box"),
        (("box:/new", str(tree / "f")), "cannot copy directory"),
        (("box:/new/f", f"{tmp_path}/nope/f"), f'invalid output path: directory "{tmp_path}/nope" does not exist'),
        (("box:/new/f", f"{tmp_path}/nope/"), "no such directory"),
        (("none:/new/f", str(tmp_path)), "No such container: none"),
        ((str(tree / "f"), "none:/"), "no such directory"),
        (("a", "b"), "must specify at least one container source"),
        (("box:/a", "box:/b"), "copying between containers is not supported"),
    ):
        assert said in web.fails("cp", *words), words


def test_a_file_and_a_directory_do_not_replace_each_other(web: Client, tree: Path, tmp_path: Path) -> None:
    web.run("cp", str(tree), "box:/new")
    (tmp_path / "other" / "f").mkdir(parents=True)
    assert 'cannot overwrite non-directory "/new/f" with directory "/new"' in web.fails(
        "cp", f"{tmp_path}/other/.", "box:/new"
    )
    (tmp_path / "other" / "f").rmdir()
    (tmp_path / "other" / "sub").touch()
    assert 'cannot overwrite directory "/new/sub" with non-directory "/new"' in web.fails(
        "cp", f"{tmp_path}/other/.", "box:/new"
    )
    assert "new/sub/g" in listing(web, "/new")


def test_what_is_read_only_is_not_written(box: Client, tree: Path) -> None:
    words = ("--read-only", "--runtime", "runc", "-v", "ro:/ro:ro", "-v", "rw:/rw")
    box.run("create", "--name", "box", *words, "busybox", "sleep", "1000")
    for _ in range(2):
        assert "container rootfs is marked read-only" in box.fails("cp", str(tree), "box:/")
        assert "mounted volume is marked read-only" in box.fails("cp", str(tree), "box:/ro")
        box.run("cp", str(tree), "box:/rw")
        assert listing(box, "/ro") == ["ro"]
        box.run("start", "box")


def test_archive_mode_gives_what_is_copied_in_to_the_containers_user(box: Client, tree: Path) -> None:
    box.run("create", "--name", "box", "-u", "77:88", "busybox")
    box.run("cp", "-a", str(tree), "box:/new")
    assert {(member.uid, member.gid) for member in members(box, "/new").values()} == {(77, 88)}


def test_system_files_are_those_that_the_container_has(web: Client) -> None:
    state = web.inspect("box")
    if not state["State"]["Running"]:
        pytest.skip("they are written at the start")
    with tarfile.open(fileobj=io.BytesIO(web.run("cp", "box:/etc/hostname", "-").stdout)) as tar:
        content = tar.extractfile("hostname")
        assert content is not None
        assert content.read().decode().strip() == state["Config"]["Hostname"]


def test_the_export_has_the_root_file_system_and_no_volume(web: Client, tree: Path, tmp_path: Path) -> None:
    web.run("cp", str(tree), "box:/new")
    web.run("cp", str(tree), "box:/vol")
    web.run("export", "-o", str(tmp_path / "all.tar"), "box")
    with tarfile.open(tmp_path / "all.tar") as tar:
        names = tar.getnames()
    assert {"bin/busybox", "new/sub/g"} <= set(names)
    assert [name for name in names if name.startswith(("vol/", "proc/", "/", "./"))] == []
    web.run("import", str(tmp_path / "all.tar"), "flat")
    assert web.text("run", "--rm", "flat", "/bin/cat", "/new/sub/g") == "other\n"


def test_changes_are_listed_by_path(box: Client) -> None:
    script = "mkdir -p /a/b; echo x > /a/b/c; rm /bin/wc; echo y > /etc/passwd; rm -r /tmp; mkdir /tmp; touch /tmp/new"
    box.run("run", "--name", "box", "busybox", "sh", "-c", script)
    found = box.text("diff", "box").splitlines()
    assert [line for line in found if not line.startswith("C /tmp")] == [
        "A /a", "A /a/b", "A /a/b/c", "C /bin", "D /bin/wc", "C /etc", "C /etc/passwd", "A /tmp/new"
    ]  # fmt: skip
    box.run("create", "--name", "still", "busybox")
    assert box.text("diff", "still") == ""
    box.run("run", "--name", "quiet", "busybox", "true")
    assert box.text("diff", "quiet") == ""


def test_a_commit_makes_an_image_of_what_changed(box: Client) -> None:
    script = "mkdir /a; echo x > /a/b; ln /a/b /a/c; rm /bin/wc; rm -r /home; mkdir /home; chown 5:6 /a/b"
    box.run("run", "--name", "box", "-e", "KEPT=1", "-v", "/vol", "busybox", "sh", "-c", script)
    words = ("-a", "me", "-m", "why", "-c", "ENV ADDED=2", "-c", 'CMD ["cat", "/a/b"]')
    id = box.text("commit", *words, "box", "made:1").strip()
    image = box.inspect("made:1")
    assert (image["Id"], image["Author"], image["Comment"]) == (id, "me", "why")
    assert image["Parent"] == box.inspect("busybox")["Id"]
    assert {"KEPT=1", "ADDED=2"} <= set(image["Config"]["Env"])
    assert image["Config"]["Volumes"] == {"/vol": {}}
    history = box.text("history", "-q", "--no-trunc", "made:1").split()
    assert history == [id, image["Parent"]]
    assert box.text("run", "--rm", "made:1") == "x\n"
    assert box.text("run", "--rm", "made:1", "stat", "-c", "%h %u:%g", "/a/c") == "2 5:6\n"
    box.run("run", "--rm", "made:1", "ls", "/bin/wc", status=1)


def test_a_commit_holds_a_running_container_unless_it_is_told_not_to(box: Client) -> None:
    id = box.text("run", "-d", "--name", "box", "busybox", "sleep", "1000").strip()
    box.run("commit", "box", "made:1")
    box.run("commit", "--pause=false", "box", "made:2")
    now = f"{time.time():.6f}"
    words = ("--filter", f"container={id}", "--format", "{{.Action}}")
    events = box.text("events", "--since", "1m", "--until", now, *words).split()
    assert [each for each in events if "pause" in each or each == "commit"] == ["pause", "commit", "unpause", "commit"]
    assert box.inspect("box")["State"]["Status"] == "running"
    box.run("pause", "box")
    box.run("commit", "box", "made:3")
    assert box.inspect("box")["State"]["Status"] == "paused"
    box.run("exec", "box", "true", status=1)
    box.run("unpause", "box")
    box.run("exec", "box", "true")


def test_a_commit_of_nothing_adds_no_layer(box: Client) -> None:
    box.run("create", "--name", "box", "busybox")
    box.run("commit", "-c", "LABEL a=b", "box", "made")
    assert box.inspect("made")["RootFS"] == box.inspect("busybox")["RootFS"]
    assert box.text("history", "-q", "made").split()[1] == box.inspect("busybox")["Id"][7:19]


def test_a_parent_without_name_stays_while_its_child_is_there_and_goes_with_it(box: Client) -> None:
    box.run("create", "--name", "box", "busybox")
    box.run("commit", "-c", "LABEL a=b", "box", "made")
    box.run("rm", "box")
    parent = box.inspect("busybox")["Id"]
    assert box.text("rmi", "busybox") == "Untagged: busybox:latest\n"
    assert "has dependent child images" in box.fails("rmi", parent)
    assert parent not in box.text("images", "-q", "--no-trunc")
    assert parent in box.text("images", "-aq", "--no-trunc")
    assert f"Deleted: {parent}" in box.text("rmi", "made").splitlines()
    assert box.text("images", "-aq") == ""


def test_a_container_that_swaps_links_gets_no_file_of_the_host(web: Client, tmp_path: Path) -> None:
    """CVE-2018-15664: between look-up and use a directory becomes a link. Here it leads into the container, always."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("host")
    state = web.inspect("box")["State"]
    if not state["Running"]:
        pytest.skip("only a running container can race")
    merged = Path(f"/proc/{state['Pid']}/root")
    (merged / "dir").mkdir()
    (merged / "dir" / "secret").write_text("own")
    (merged / "link").symlink_to(canary)
    (merged / "up").symlink_to(f"../../../../../../../..{canary}")
    stop = threading.Event()

    def race() -> None:
        turn = 0
        while not stop.is_set():
            for other in ("link", "up"):
                turn += 1
                os.rename(merged / "dir", merged / "spare")
                os.rename(merged / other, merged / "dir")
                os.rename(merged / "dir", merged / other)
                os.rename(merged / "spare", merged / "dir")

    racer = threading.Thread(target=race)
    racer.start()
    try:
        for _ in range(40):
            done = read(web, "/dir/secret")
            assert b"host" not in done
            write(web, "/dir", b"evil")
    finally:
        stop.set()
        racer.join()
    assert {path.name: path.read_text() for path in canary.iterdir()} == {"secret": "host"}


def read(client: Client, path: str) -> bytes:
    """What the API gives, or its error."""
    url = f"http://engine/v1.50/containers/box/archive?path={path}"
    curl = ["curl", "-s", "--unix-socket", client.host.removeprefix("unix://"), url]
    return subprocess.run(curl, capture_output=True, check=False).stdout


def write(client: Client, path: str, content: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("secret")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    url = f"http://engine/v1.50/containers/box/archive?path={path}"
    curl = ["curl", "-s", "--unix-socket", client.host.removeprefix("unix://"), "-T", "-", url]
    subprocess.run(curl, input=out.getvalue(), capture_output=True, check=True)


def test_links_out_of_the_container_lead_into_it(web: Client, tmp_path: Path) -> None:
    """Of every form that a link can have; and a directory of the archive that is a link there."""
    canary = tmp_path / "canary"
    canary.mkdir()
    for number, target in enumerate(
        (str(canary), f"../../../../../..{canary}", f"/proc/self/root{canary}", "/proc/1/root")
    ):
        link = tmp_path / f"l{number}"
        link.symlink_to(target)
        web.run("cp", str(link), "box:/")
        write(web, f"/l{number}", b"evil")
    assert list(canary.iterdir()) == []


def test_the_engine_lists_what_an_archive_is_by_json(web: Client) -> None:
    assert json.loads(read(web, "/nope")) == {"message": "Could not find the file /nope in container box"}
