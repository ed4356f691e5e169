"""Names and ids of images, and bringing them in and taking them away, by Docker's client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from scripts import images
from scripts.engine import Places
from tests.archives import folder
from tests.end_to_end.conftest import Client

pytestmark = [pytest.mark.root, pytest.mark.peer]


@pytest.fixture
def docker(shared: Client) -> Iterator[Client]:
    """busybox alone is left for the next test, under its own name."""
    yield shared
    if containers := shared.text("ps", "-aq").split():
        shared.run("rm", "-fv", *containers)
    shared.run("load", "-qi", str(images.busybox()))
    names = shared.text("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if others := [name for name in names if name != "busybox:latest" and "<none>" not in name]:
        shared.run("rmi", "-f", *others)
    shared.run("image", "prune", "-f")


def image_id(docker: Client, name: str = "busybox") -> str:
    return docker.text("image", "inspect", name, "-f", "{{.Id}}").strip()


def names(docker: Client) -> list[str]:
    return sorted(docker.text("images", "--format", "{{.Repository}}:{{.Tag}}").split())


ROOT_FILES = folder(("etc/file", b"x\n"))  # of a root file system


def test_an_image_is_found_by_name_and_by_every_beginning_of_its_id(docker: Client) -> None:
    id = image_id(docker)
    for ref in ("busybox", "busybox:latest", "docker.io/library/busybox", id, id[7:], id[7:19], id[7:11], id[:17]):
        assert image_id(docker, ref) == id
    docker.run("tag", id[7:19], "localhost:5000/myapp")
    docker.run("tag", "busybox", "registry.example.com/myteam/myapp:1.0")
    docker.run("tag", "busybox", "index.docker.io/other:x")
    assert names(docker) == [
        "busybox:latest", "localhost:5000/myapp:latest", "other:x", "registry.example.com/myteam/myapp:1.0"
    ]  # fmt: skip
    assert docker.text("images", "-q", "--no-trunc").split() == [id] * 4
    assert json.loads(docker.text("image", "inspect", "other:x", "-f", "{{json .RepoDigests}}")) == []
    assert docker.text("run", "--rm", id[7:19], "echo", "by id") == "by id\n"


def test_what_can_be_no_name_is_refused(docker: Client) -> None:
    for name, text in (
        ("UPPER", "repository name (library/UPPER) must be lowercase"),
        ("x:y:z", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a" * 64, "cannot specify 64-byte hexadecimal strings"),
        ("sha256:aaaa", "refusing to create an ambiguous tag using digest algorithm as name"),
        (f"x@sha256:{'a' * 64}", "refusing to create a tag with a digest reference"),
    ):
        assert text in docker.fails("tag", "busybox", name)
    assert "No such image: nothing:latest" in docker.fails("tag", "nothing", "something")
    assert names(docker) == ["busybox:latest"]


def test_an_image_in_use_goes_by_force_alone_and_not_while_it_runs(docker: Client) -> None:
    id = image_id(docker)
    docker.run("tag", "busybox", "second")
    told = docker.fails("rmi", id[7:19])
    assert f"conflict: unable to delete {id[7:19]} (must be forced) - image is referenced in multiple" in told
    assert docker.text("rmi", "second") == "Untagged: second:latest\n"
    container = docker.text("run", "-d", "--stop-signal", "KILL", "busybox", "sleep", "1000").strip()
    told = docker.fails("rmi", "busybox")
    assert f"(must force) - container {container[:12]} is using its referenced image {id[7:19]}" in told
    told = docker.fails("rmi", "-f", id)
    assert f"(cannot be forced) - image is being used by running container {container[:12]}" in told
    docker.run("stop", container)
    assert "(must be forced) - image is being used by stopped container" in docker.fails("rmi", id[7:19])
    assert docker.text("rmi", "-f", id[7:19]) == f"Untagged: busybox:latest\nDeleted: {id}\n"
    assert docker.text("images", "-a") == "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n"
    docker.run("start", container)  # what it stands on is there while it is


def test_a_container_outlives_its_image_and_what_it_stands_on_goes_with_it(
    docker: Client, engines: Callable[[str], Places]
) -> None:
    id, layers = image_id(docker), engines("overlay2").data / "images/layers"
    for name in ("one", "two"):
        docker.run("run", "--name", name, "busybox", "touch", "/made")
    docker.run("rmi", "-f", id)
    assert docker.inspect("one")["Image"] == id
    assert docker.text("ps", "-a", "--format", "{{.Image}}") == f"{id[7:19]}\n" * 2
    docker.run("start", "-a", "one")
    assert docker.text("diff", "one") == "A /made\n"
    assert docker.run("cp", "one:/bin/busybox", "-").stdout
    assert f"No such image: {id}" in docker.fails("commit", "one")
    assert "No such image: busybox:latest" in docker.fails("rmi", "busybox")
    assert docker.inspect("-s", "one")["SizeRootFs"] > 1_000_000
    assert [path.name for path in layers.iterdir()] != []
    docker.run("rm", "one")
    assert [path.name for path in layers.iterdir()] != []
    docker.run("rm", "two")
    assert [path.name for path in layers.iterdir()] == []


def test_an_image_that_comes_back_keeps_its_layers_when_an_older_container_goes(docker: Client) -> None:
    id = image_id(docker)
    docker.run("run", "--name", "old", "busybox", "true")
    docker.run("rmi", "-f", "busybox")
    docker.run("load", "-qi", str(images.busybox()))
    assert docker.text("ps", "-a", "--format", "{{.Image}}") == "busybox\n"
    docker.run("rm", "old")
    assert image_id(docker) == id
    docker.run("run", "--rm", "busybox", "true")


def test_a_container_of_rm_takes_along_what_is_left_of_its_image(
    docker: Client, engines: Callable[[str], Places]
) -> None:
    docker.run("create", "--name", "box", "--rm", "busybox", "sleep", "0.2")
    docker.run("rmi", "-f", "busybox")
    docker.run("start", "-a", "box")
    for _ in range(100):
        if not list((engines("overlay2").data / "images/layers").iterdir()):
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the layers are still there")


def test_names_by_id_go_all_together_or_not_at_all(docker: Client) -> None:
    id = image_id(docker)
    docker.run("tag", "busybox", "busybox:two")
    assert "(must be forced) - image is referenced in multiple repositories" in docker.fails("rmi", id)
    box = docker.text("run", "-d", "--name", "box", "--stop-signal", "KILL", "busybox", "sleep", "1000").strip()
    for force in ((), ("-f",)):
        told = docker.fails("rmi", *force, id)
        assert f"(cannot be forced) - image is being used by running container {box[:12]}" in told
    assert docker.text("rmi", "-f", "busybox:two") == "Untagged: busybox:two\n"
    assert docker.text("rmi", "-f", "busybox") == "Untagged: busybox:latest\n"  # the last one, of one that runs
    assert docker.text("images", "--format", "{{.Repository}} {{.ID}}") == f"<none> {id[7:19]}\n"
    docker.run("rm", "-f", "box")
    docker.run("rmi", id)


def test_a_parent_without_name_stays_when_its_child_is_removed_without_prune(docker: Client) -> None:
    id = image_id(docker)
    docker.run("create", "--name", "box", "busybox")
    docker.run("commit", "box", "child")
    docker.run("rm", "box")
    for force in ((), ("-f",)):
        told = docker.fails("rmi", *force, id)
        assert f"unable to delete {id[7:19]} (cannot be forced) - image has dependent child images" in told
    docker.run("rmi", "busybox")
    assert docker.text("images", "-aqf", "dangling=true") == ""
    assert id not in docker.text("image", "rm", "--no-prune", "child")
    assert docker.text("images", "-qf", "dangling=true") == f"{id[7:19]}\n"


def test_a_list_by_name_shows_the_names_that_match_and_no_others(docker: Client) -> None:
    for name in ("a/b", "a/b:2", "busybox:two"):
        docker.run("tag", "busybox", name)
    for wanted, shown in (
        ("a/b", "a/b:2 a/b:latest"), ("a/b:2", "a/b:2"), ("*", "busybox:latest busybox:two"), ("busy*:t*", "busybox:two"),
        ("b", ""),
    ):  # fmt: skip
        assert docker.text("images", "--format", "{{.Repository}}:{{.Tag}}", wanted).split() == shown.split()


def test_a_parent_that_a_container_uses_keeps_its_name(docker: Client) -> None:
    docker.run("create", "--name", "box", "busybox")
    docker.run("commit", "box", "child")
    assert "is using its referenced image" in docker.fails("rmi", "busybox")
    docker.run("rm", "box")
    assert docker.text("rmi", "busybox") == "Untagged: busybox:latest\n"


def test_an_import_takes_changes_and_notes_where_it_came_from(docker: Client) -> None:
    changes = (
        'CMD ["/x"]', "ENV A=b", "EXPOSE 80", "USER joe", "WORKDIR /w", "LABEL a=b", "STOPSIGNAL 9",
        "HEALTHCHECK --interval=5s CMD probe",
    )  # fmt: skip
    words = [word for change in changes for word in ("-c", change)]
    id = docker.text("import", *words, "-m", "a message", "-", "made:1", stdin=ROOT_FILES).strip()
    found = docker.inspect("--type", "image", "made:1")
    assert (found["Id"], found["Comment"]) == (id, "a message")
    config = found["Config"]
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "probe"], "Interval": 5_000_000_000}
    assert (config["Cmd"], config["Env"], config["User"], config["Labels"]) == (["/x"], ["A=b"], "joe", {"a": "b"})
    docker.run("import", "-", "made:2", stdin=ROOT_FILES)
    assert docker.text("image", "inspect", "made:2", "-f", "{{.Comment}}") == "Imported from -\n"
    assert docker.text("images", "-f", "label=a=b", "--format", "{{.Tag}}") == "1\n"
    told = docker.fails("import", "-c", "RUN x", "-", "made:3", stdin=ROOT_FILES)
    assert "run is not a valid change command" in told
    assert docker.fails("import", "-", "made:4", stdin=b"garbage")
    assert docker.fails("load", stdin=b"garbage")
    assert "made:3" not in names(docker)
