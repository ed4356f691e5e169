"""Mount points from -v, --mount, --volumes-from, --tmpfs and the image."""

import pytest

from wherry.errors import Invalid, NotFound
from wherry.model.configs import BindOptions, Config, HostConfig, MountRequest, VolumeOptions
from wherry.model.containers import Container, MountPoint
from wherry_engine.engine.container_mounts import mount_points, parse_bind, parse_mount


def nobody(ref: str) -> Container:
    raise NotFound(f"No such container: {ref}")


def points(config: Config | None = None, **host: object) -> list[MountPoint]:
    return mount_points(config or Config(), HostConfig(**host), nobody)  # type: ignore[arg-type]


def test_an_absolute_source_is_a_bind() -> None:
    point = parse_bind("/srv/data:/data:ro")
    assert (point.type, point.source, point.destination, point.writable) == ("bind", "/srv/data", "/data", False)
    assert point.propagation == "rprivate"


def test_any_other_source_is_a_volume() -> None:
    point = parse_bind("data:/srv/")
    assert (point.type, point.name, point.destination, point.mode) == ("volume", "data", "/srv", "z")


@pytest.mark.parametrize(
    "text", ["/only", ":/x", "a:", "a:b:c:d", "data:relative", "data:/", "data:/x:rx", "data:/x:ro,rw", "da/ta:/x",
             "/a:/b:nocopy", "data:/x:rshared"]
)  # fmt: skip
def test_a_bad_volume_specification_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_bind(text)


def test_one_destination_twice_is_refused() -> None:
    with pytest.raises(Invalid, match="Duplicate mount point: /x"):
        points(binds=("/a:/x", "vol:/x/"))
    with pytest.raises(Invalid, match="Duplicate mount point: /x"):
        points(binds=("/a:/x",), tmpfs={"/x": ""})


def test_parents_come_before_children() -> None:
    found = points(binds=("/a:/x/y/z", "/b:/x", "/c:/x/y"))
    assert [point.destination for point in found] == ["/x", "/x/y", "/x/y/z"]


def test_a_volume_of_the_image_is_anonymous_unless_something_is_mounted_there() -> None:
    config = Config(volumes=("/data", "/other"))
    found = points(config, binds=("mine:/data",))
    assert [(p.destination, p.name, p.anonymous) for p in found] == [("/data", "mine", False), ("/other", "", True)]


def test_mounts_of_each_type_are_understood() -> None:
    bind = parse_mount(
        MountRequest(type="bind", source="/a", target="/b", bind_options=BindOptions(propagation="rslave"))
    )
    assert bind.propagation == "rslave"
    volume = parse_mount(
        MountRequest(type="volume", source="vol", target="/b", volume_options=VolumeOptions(no_copy=True))
    )
    assert volume.no_copy
    assert parse_mount(MountRequest(type="volume", target="/b")).anonymous
    assert parse_mount(MountRequest(type="tmpfs", target="/b")).type == "tmpfs"


@pytest.mark.parametrize(
    "request_",
    [
        MountRequest(type="bind", source="rel", target="/b"),
        MountRequest(type="bind", source="/a", target=""),
        MountRequest(type="tmpfs", source="/a", target="/b"),
        MountRequest(type="npipe", source="/a", target="/b"),
        MountRequest(type="volume", source="../x", target="/b"),
    ],
)
def test_a_bad_mount_is_refused(request_: MountRequest) -> None:
    with pytest.raises(Invalid):
        parse_mount(request_)


def test_volumes_from_a_container_that_does_not_exist_is_told() -> None:
    with pytest.raises(NotFound, match="nobody"):
        points(volumes_from=("nobody",))
