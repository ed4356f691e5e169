"""Files of containers and archives of images through the API: headers, streams, statuses."""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from collections.abc import Callable

import pytest
from tests.api.conftest import Served

from wherry_api.shapes.files import go_mode

Serve = Callable[..., None]


@pytest.mark.parametrize(
    ("mode", "bits"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | stat.S_ISVTX | 0o777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
        (stat.S_IFBLK | 0o600, 1 << 26 | 0o600),
        (stat.S_IFIFO | stat.S_ISUID | stat.S_ISGID | 0o600, 1 << 25 | 1 << 23 | 1 << 22 | 0o600),
        (stat.S_IFSOCK | 0o600, 1 << 24 | 0o600),
    ],
)
def test_modes_have_gos_bits(mode: int, bits: int) -> None:
    assert go_mode(mode) == bits


def test_what_is_at_a_path_is_told_in_a_header(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for method, body in (("HEAD", b""), ("GET", b"tar of box")):
            answer = await api.ask(method, "/containers/box/archive?path=/f")
            assert (answer.status, answer.body) == (200, body)
            assert json.loads(b64decode(answer.headers["x-docker-container-path-stat"])) == {
                "name": "f", "size": 3, "mode": 0o644 | 1 << 23, "mtime": "1970-01-01T00:00:01.5Z", "linkTarget": ""
            }  # fmt: skip
            assert (await api.ask(method, "/containers/box/archive?path=/g")).status == 404
            assert (await api.ask(method, "/containers/box/archive")).status == 400

    serve(scenario)


def test_an_archive_is_put_with_what_is_said_about_it(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("PUT", "/containers/box/archive?path=/d&noOverwriteDirNonDir=true&copyUIDGID=1", b"tar")
        assert (answer.status, answer.body) == (200, b"")
        assert api.engine.archives.calls == [("put", "box", "/d", b"tar", True, True)]

    serve(scenario)


def test_changes_and_exports_are_told(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = (await api.ask("POST", "/containers/create", b'{"Image": "busybox", "Cmd": ["true"]}')).value["Id"]
        answer = await api.ask("GET", f"/containers/{id}/changes")
        assert answer.value == [
            {"Path": "/a", "Kind": 1}, {"Path": "/c", "Kind": 0}, {"Path": "/d", "Kind": 2}
        ]  # fmt: skip
        answer = await api.ask("GET", f"/containers/{id}/export")
        assert answer.body == b"tar of " + id.encode()
        assert (await api.ask("GET", "/containers/none/export")).status == 404

    serve(scenario)


def test_a_commit_takes_lines_of_a_dockerfile_and_fields_of_a_config(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        query = "container=box&repo=made&tag=1&comment=why&author=me&changes=ENV%20A=1%0ACMD%20sh&changes=USER%20x"
        answer = await api.ask("POST", f"/commit?{query}", b'{"WorkingDir": "/w"}')
        assert answer.status == 201
        ((ref, spec),) = api.engine.commits
        assert (ref, spec.repository, spec.tag, spec.author, spec.comment) == ("box", "made", "1", "me", "why")
        assert spec.changes == ["ENV A=1", "CMD sh", "USER x"]
        assert spec.config == {"WorkingDir": "/w"}
        for text, holds in (
            ("", True),
            ("&pause=", True),
            ("&pause=0", False),
            ("&pause=false", False),
            ("&pause=1", True),
        ):
            await api.ask("POST", f"/commit?container=box{text}")
            assert api.engine.commits[-1][1].pause is holds
        assert (await api.ask("POST", "/commit")).status == 400
        assert (await api.ask("POST", "/commit?container=box", b"[]")).status == 400
        assert (await api.ask("POST", "/commit?container=box", b"{")).status == 400

    serve(scenario)


def test_images_are_saved_one_or_several_at_once(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        id = api.engine.images.all[0].id
        for path, times in (("/images/busybox/get", 1), ("/images/get?names=busybox&names=busybox:latest", 2)):
            answer = await api.ask("GET", path)
            assert (answer.status, answer.headers["content-type"]) == (200, "application/x-tar")
            assert answer.body == id.encode() * times
        assert (await api.ask("GET", "/images/none/get")).status == 404

    serve(scenario)


def test_a_prune_of_images_takes_its_filters(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", '/images/prune?filters={"dangling":["false"],"until":["24h"]}')
        assert answer.value == {"ImagesDeleted": None, "SpaceReclaimed": 0}
        assert api.engine.images.calls == [("prune", {"dangling": ("false",), "until": ("24h",)})]
        assert (await api.ask("POST", '/images/prune?filters={"name":["a"]}')).status == 400

    serve(scenario)
