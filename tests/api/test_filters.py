"""Filters match as Docker's do."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from tests.api.fake_engine import IMAGE, busybox, make_container, running_container

from wherry.errors import Invalid, NotFound
from wherry.model.configs import Config
from wherry.model.containers import Container, State
from wherry.model.events import Event
from wherry.model.images import Image, ImageRecord
from wherry.model.networks import NetworkRecord, NetworkSpec
from wherry.model.volumes import VolumeRecord
from wherry_engine.engine.event_filters import EVENT_KEYS, event_matcher
from wherry_engine.engine.filter_values import matches_reference
from wherry_engine.engine.filters import (
    CONTAINER_KEYS,
    VOLUME_PRUNE_KEYS,
    Filters,
    parse_filters,
    select_containers,
    select_images,
    select_networks,
    select_volumes,
)

WEB = attrs.evolve(running_container("web"), created_ns=30)
DB = make_container(
    id="d0" + "1" * 62,
    name="db_web",
    created_ns=20,
    config=Config(image="busybox", labels={"tier": "db", "env": "prod"}),
    state=State(status="exited", exit_code=3, started_ns=1, finished_ns=2),
)
FRESH = make_container(id="f0" + "2" * 62, name="fresh", created_ns=10, image_id="sha256:" + "99" * 32)
ALL = [WEB, DB, FRESH]
CHILD = ImageRecord(image=Image(id="sha256:" + "99" * 32, config=Config(), parent=IMAGE))


def find(ref: str) -> Container:
    for each in ALL:
        if ref in (each.name, each.id):
            return each
    raise NotFound(f"No such container: {ref}")


def find_image(ref: str) -> ImageRecord:
    if ref in ("busybox", "busybox:latest", IMAGE):
        return busybox()
    raise NotFound(f"No such image: {ref}")


def names(filters: Mapping[str, tuple[str, ...]], *, everything: bool = True, limit: int = 0) -> list[str]:
    found = select_containers(
        ALL, Filters(filters), everything=everything, limit=limit, images=lambda: [busybox(), CHILD], find=find,
        find_image=find_image,
    )  # fmt: skip
    return [each.name for each in found]


@pytest.mark.parametrize(
    "text", ['{"label":["a=b","c"]}', '{"label":{"a=b":true,"c":true}}', '{"label":{"a=b":true,"c":false}}']
)
def test_both_forms_are_read(text: str) -> None:
    assert parse_filters(text, CONTAINER_KEYS).get("label") == ("a=b", "c")


@pytest.mark.parametrize("text", ["", "null", "{}", '{"label":[]}', '{"label":null}'])
def test_nothing_filters_nothing(text: str) -> None:
    assert parse_filters(text, CONTAINER_KEYS) == Filters()


@pytest.mark.parametrize("text", ["x", "[]", "7", '{"label":"a"}', '{"label":[1]}', "[" * 100_000])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^invalid filter"):
        parse_filters(text, CONTAINER_KEYS)


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(Invalid, match=r"^invalid filter 'x'$"):
        parse_filters('{"x":["y"]}', CONTAINER_KEYS)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["web", "db_web", "fresh"]),
        ({"name": ("web",)}, ["web", "db_web"]),
        ({"name": ("^/web$",)}, ["web"]),
        ({"name": ("(",)}, []),
        ({"name": ("fresh", "db")}, ["db_web", "fresh"]),
        ({"id": ("d01",)}, ["db_web"]),
        ({"id": ("01",)}, []),
        ({"status": ("exited",)}, ["db_web"]),
        ({"status": ("created", "running")}, ["web", "fresh"]),
        ({"exited": ("3",)}, ["db_web"]),
        ({"exited": ("0",)}, []),
        ({"label": ("tier",)}, ["web", "db_web"]),
        ({"label": ("tier=db", "env=prod")}, ["db_web"]),
        ({"label": ("tier=db", "env=test")}, []),
        ({"label": ("tier",), "status": ("running",)}, ["web"]),
        ({"before": ("db_web",)}, ["fresh"]),
        ({"since": ("db_web",)}, ["web"]),
        ({"since": ("fresh",), "before": ("web",)}, ["db_web"]),
        ({"ancestor": ("busybox",)}, ["web", "db_web", "fresh"]),
        ({"ancestor": ("nosuch",)}, []),
        ({"volume": ("data",)}, ["web"]),
        ({"volume": ("/srv",)}, ["web"]),
        ({"volume": ("/etc",)}, ["web"]),
        ({"network": ("bridge",)}, ["web"]),
        ({"network": ("bbbb",)}, ["web"]),
        ({"publish": ("8080",)}, ["web"]),
        ({"publish": ("80/tcp",)}, []),
        ({"publish": ("8000-9000/udp",)}, []),
        ({"expose": ("440-450",)}, ["web"]),
        ({"health": ("none",)}, ["web", "db_web", "fresh"]),
        ({"health": ("healthy",)}, []),
        ({"is-task": ("true",)}, []),
        ({"is-task": ("0",)}, ["web", "db_web", "fresh"]),
    ],
)
def test_containers_are_chosen(filters: Mapping[str, tuple[str, ...]], found: list[str]) -> None:
    assert names(filters) == found


def test_only_running_ones_unless_asked_otherwise() -> None:
    assert names({}, everything=False) == ["web"]
    assert names({}, everything=False, limit=2) == ["web", "db_web"]
    assert names({"status": ("exited",)}, everything=False) == ["db_web"]
    assert names({"name": ("fresh",)}, everything=False, limit=1) == ["fresh"]


@pytest.mark.parametrize(
    "filters",
    [{"status": ("on",)}, {"exited": ("x",)}, {"publish": ("99999",)}, {"expose": ("9-8",)}, {"is-task": ("x",)}],
)
def test_impossible_values_are_refused(filters: Mapping[str, tuple[str, ...]]) -> None:
    with pytest.raises(Invalid, match=r"^invalid filter '"):
        names(filters)


def test_a_bound_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        names({"before": ("nosuch",)})


def test_images_are_chosen() -> None:
    nameless = attrs.evolve(
        busybox(), tags=(), image=attrs.evolve(busybox().image, id="sha256:11", created="2024-01-02T03:04:06Z")
    )
    images = [nameless, busybox()]

    def chosen(**filters: tuple[str, ...]) -> list[str]:
        found = select_images(images, Filters(filters), everything=False, now_ns=1704164700 * 10**9, find=find_image)
        return [each.id for each in found]

    assert chosen() == ["sha256:11", IMAGE]
    assert chosen(dangling=("true",)) == ["sha256:11"]
    assert chosen(dangling=("false",)) == [IMAGE]
    assert chosen(label=("from=debian",)) == ["sha256:11", IMAGE]
    assert chosen(reference=("busy*",)) == [IMAGE]
    assert chosen(reference=("*/busybox",)) == []
    assert chosen(since=("busybox",)) == ["sha256:11"]
    assert chosen(before=("busybox",)) == []
    assert chosen(until=("2024-01-02T03:04:05.9Z",)) == [IMAGE]
    assert chosen(until=("1h",)) == []


def test_a_nameless_parent_is_shown_only_with_everything() -> None:
    parent = attrs.evolve(busybox(), tags=())
    for everything, count in ((False, 1), (True, 2)):
        found = select_images([CHILD, parent], Filters(), everything=everything, now_ns=0, find=find_image)
        assert len(found) == count


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("busybox", "busybox:latest", True),
        ("busybox:l*", "busybox:latest", True),
        ("*", "busybox:latest", True),
        ("*", "lib/busybox:latest", False),
        ("localhost:5000/app", "localhost:5000/app:1", True),
        ("localhost:5000/*:2", "localhost:5000/app:1", False),
    ],
)
def test_a_reference_pattern_fits_with_and_without_tag(pattern: str, name: str, fits: bool) -> None:
    assert matches_reference(pattern, name) is fits


def test_networks_are_chosen() -> None:
    bridge = NetworkRecord(id="b1", created_ns=1, spec=NetworkSpec(name="bridge"), predefined=True)
    mine = NetworkRecord(id="a1", created_ns=1, spec=NetworkSpec(name="my-bridge", driver="macvlan", labels={"a": "b"}))

    def chosen(**filters: tuple[str, ...]) -> list[str]:
        return [each.name for each in select_networks([bridge, mine], Filters(filters), used=lambda id: False)]

    assert chosen() == ["bridge", "my-bridge"]
    assert chosen(name=("bridge",)) == ["bridge", "my-bridge"]
    assert chosen(name=("^bridge",)) == ["bridge"]
    assert chosen(type=("custom",)) == ["my-bridge"]
    assert chosen(type=("builtin",)) == ["bridge"]
    assert chosen(driver=("macvlan",)) == ["my-bridge"]
    assert chosen(label=("a=b",)) == ["my-bridge"]
    assert chosen(dangling=("true",)) == ["my-bridge"]
    assert chosen(dangling=("false",)) == ["bridge"]
    assert chosen(scope=("swarm",)) == []
    with pytest.raises(Invalid, match=r"^invalid filter 'type=\[x\]'$"):
        chosen(type=("x",))


def test_volumes_are_chosen() -> None:
    used = VolumeRecord(name="used", driver="local", created_ns=1, labels={"a": "b"})
    free = VolumeRecord(name="free", driver="nfs", created_ns=1)

    def chosen(**filters: tuple[str, ...]) -> list[str]:
        return [each.name for each in select_volumes([used, free], Filters(filters), used=lambda name: name == "used")]

    assert chosen(dangling=("1",)) == ["free"]
    assert chosen(dangling=("false",)) == ["used"]
    assert chosen(driver=("nfs",)) == ["free"]
    assert chosen(name=("se",)) == ["used"]
    assert chosen(label=("a",)) == ["used"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"type":["container"]}', True),
        ('{"type":["image","network"]}', False),
        ('{"event":["start"]}', True),
        ('{"event":["star"]}', False),
        ('{"container":["web"]}', True),
        ('{"container":["abc"]}', True),
        ('{"network":["abc"]}', True),
        ('{"network":["n"]}', False),
        ('{"image":["busybox"]}', True),
        ('{"image":["busybox:latest"]}', True),
        ('{"image":["nginx"]}', False),
        ('{"label":["tier=web"]}', True),
        ('{"label":["tier=web","x"]}', False),
        ('{"scope":["local"]}', True),
        ('{"scope":["swarm"]}', False),
    ],
)
def test_events_are_chosen(text: str, seen: bool) -> None:
    event = Event("container", "start", "abcdef", {"name": "web", "image": "busybox:latest", "tier": "web"}, 1)
    assert event_matcher(parse_filters(text, EVENT_KEYS))(event) is seen


def test_actions_with_an_argument_match_without_it() -> None:
    event = Event("container", "exec_create: sh", "abc", {}, 1)
    assert event_matcher(Filters({"event": ("exec_create",)}))(event)
    assert not event_matcher(Filters({"event": ("exec",)}))(event)


def test_prunes_know_labels_that_must_not_be_there() -> None:
    filters = parse_filters('{"label!": ["keep", "env=prod"]}', VOLUME_PRUNE_KEYS)
    assert filters.labels({})
    assert filters.labels({"env": "test"})
    assert not filters.labels({"keep": ""})
    assert not filters.labels({"env": "prod"})
