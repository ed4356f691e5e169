"""Images, networks, volumes, and what the engine says of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from tests.api.conftest import Served
from tests.api.fake_engine import IMAGE, running_container

from wherry.model.networks import EndpointSpec

Serve = Callable[..., None]


def test_images_are_listed_and_filtered(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        (image,) = (await api.ask("GET", "/images/json")).value
        assert (image["Id"], image["RepoTags"], image["Size"]) == (IMAGE, ["busybox:latest"], 4_000_000)
        assert (image["Containers"], image["SharedSize"], image["Created"]) == (-1, -1, 1704164645)
        assert "VirtualSize" not in image
        assert (await api.ask("GET", "/v1.43/images/json", check=False)).value[0]["VirtualSize"] == 4_000_000
        assert (await api.ask("GET", "/images/json?filters=%7B%22dangling%22:[%22true%22]%7D")).value == []

    serve(scenario)


def test_an_image_is_inspected_by_name_and_id(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for name in ("busybox", "docker.io%2Flibrary%2Fbusybox:latest", IMAGE, IMAGE[7:19]):
            found = (await api.ask("GET", f"/images/{name}/json")).value
            assert found["Id"] == IMAGE
        assert found["Config"]["Cmd"] == ["sh"]
        assert "Hostname" not in found["Config"]
        assert found["RootFS"] == {"Type": "layers", "Layers": ["sha256:" + "cd" * 32]}
        assert found["GraphDriver"] == {"Data": {"UpperDir": "/image"}, "Name": "overlay2"}
        old = (await api.ask("GET", "/v1.43/images/busybox/json", check=False)).value
        assert old["Config"]["Hostname"] == ""
        assert old["ContainerConfig"] is None
        missing = await api.ask("GET", "/images/a/b/nosuch/json")
        assert (missing.status, missing.message) == (404, "No such image: a/b/nosuch:latest")

    serve(scenario)


def test_history_has_each_step_with_the_size_of_its_layer(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        newest, oldest = (await api.ask("GET", "/images/busybox/history")).value
        assert (newest["Id"], newest["Tags"], newest["Size"]) == (IMAGE, ["busybox:latest"], 0)
        assert (oldest["Id"], oldest["CreatedBy"], oldest["Size"]) == ("<missing>", "ADD rootfs", 4_000_000)

    serve(scenario)


def test_images_are_named_and_removed(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert (await api.ask("POST", "/images/busybox/tag?repo=localhost:5000/b&tag=1")).status == 201
        gone = await api.ask("DELETE", "/images/busybox?force=1&noprune=1")
        assert gone.value == [{"Untagged": "busybox:latest"}, {"Deleted": IMAGE}]
        assert api.engine.images.calls == [("tag", IMAGE, "localhost:5000/b", "1"), ("remove", "busybox", True, False)]

    serve(scenario)


def test_load_streams_progress_and_names(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/images/load", b"tar" * 100_000)
        assert [json.loads(line) for line in answer.body.splitlines()] == [
            {
                "status": "Loading layer",
                "progressDetail": {"current": 50, "total": 100},
                "progress": f"[{'=' * 25}>{' ' * 24}]      50B/100B",
                "id": "0123456789ab",
            },
            {"stream": "Loaded image: busybox:latest\n"},
        ]
        assert api.engine.images.received == b"tar" * 100_000
        quiet = await api.ask("POST", "/images/load?quiet=1", b"tar")
        assert len(quiet.body.splitlines()) == 1
        failed = await api.ask("POST", "/images/load", b"")
        assert failed.status == 200
        assert json.loads(failed.body)["errorDetail"] == {"message": "the archive is empty"}

    serve(scenario)


def test_import_takes_the_body(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        path = "/images/create?fromSrc=-&repo=localhost:5000/app:v1&message=hi&changes=CMD+a&changes=ENV+B=1"
        answer = await api.ask("POST", path, b"tar")
        assert json.loads(answer.body) == {"status": IMAGE}
        assert api.engine.images.calls == [("import", "localhost:5000/app", "v1", ("CMD a", "ENV B=1"), "hi")]
        elsewhere = await api.ask("POST", "/images/create?fromSrc=http://x/y.tar", check=False)
        assert (elsewhere.status, "URL" in elsewhere.message) == (501, True)

    serve(scenario)


def test_an_upload_may_wait_for_permission(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        stream = await api.open()
        stream.writer.write(
            b"POST /images/create?fromSrc=- HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert await stream.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        stream.writer.write(b"tar")
        status, headers = await stream.head()
        assert (status, json.loads(await stream.body(headers))) == (200, {"status": IMAGE})
        stream.close()

    serve(scenario)


def test_a_pull_fails_in_the_stream_with_the_images_name(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/images/create?fromImage=nosuch&tag=latest")
        assert answer.status == 200
        found = json.loads(answer.body)
        assert found["errorDetail"]["message"] == found["error"]
        assert "cannot pull nosuch:latest" in found["error"]

    serve(scenario)


def test_networks_are_made_listed_inspected_and_removed(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        web = api.engine.containers.add(running_container("web"))
        (bridge,) = (await api.ask("GET", "/networks")).value
        assert bridge["Containers"] == {}
        assert bridge["IPAM"] == {
            "Driver": "default",
            "Options": None,
            "Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}],
        }
        found = (await api.ask("GET", "/networks/bridge?verbose=true&scope=local")).value
        assert found["Containers"][web.id] == {
            "Name": "web",
            "EndpointID": "e" * 64,
            "MacAddress": "02:42:ac:11:00:02",
            "IPv4Address": "172.17.0.2/16",
            "IPv6Address": "",
        }
        assert (await api.ask("GET", "/networks/bridge?scope=swarm")).status == 404
        body = {
            "Name": "mine",
            "CheckDuplicate": True,
            "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]},
            "Internal": True,
        }
        made = await api.ask("POST", "/networks/create", body)
        assert (made.status, made.value["Warning"]) == (201, "")
        spec = api.engine.networks.get("mine").spec
        assert (spec.driver, spec.internal, spec.pools[0].subnet) == ("bridge", True, "10.9.0.0/24")
        assert (await api.ask("GET", "/networks/mine")).value["IPAM"]["Options"] is None
        again = await api.ask("POST", "/networks/create", body)
        assert (again.status, again.message) == (409, "network with name mine already exists")
        assert (await api.ask("POST", "/networks/create", {"Name": " "})).status == 400
        path = f"/networks/{made.value['Id']}"
        ask = {"Container": "web", "EndpointConfig": {"Aliases": ["a"]}}
        assert (await api.ask("POST", f"{path}/connect", ask)).status == 200
        assert (await api.ask("POST", f"{path}/disconnect", {"Container": "web", "Force": True})).status == 200
        assert (await api.ask("POST", f"{path}/disconnect", {})).message == "invalid request: Container is required"
        assert api.engine.networks.calls == [
            ("connect", "mine", "web", EndpointSpec(aliases=("a",))),
            ("disconnect", "mine", "web", True),
        ]
        assert (await api.ask("DELETE", path)).status == 204

    serve(scenario)


def test_volumes_are_made_listed_inspected_and_removed(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        assert (await api.ask("GET", "/volumes")).value == {"Volumes": [], "Warnings": None}
        body = {"Name": "data", "DriverOpts": {"o": "size=1m"}, "Labels": {"a": "b"}}
        made = await api.ask("POST", "/volumes/create", body)
        assert (made.status, made.value) == (
            201,
            {
                "CreatedAt": "2001-09-09T01:46:40Z",
                "Driver": "local",
                "Labels": {"a": "b"},
                "Mountpoint": "/v/data/_data",
                "Name": "data",
                "Options": {"o": "size=1m"},
                "Scope": "local",
            },
        )
        assert (await api.ask("GET", "/volumes/data")).value == made.value
        assert len((await api.ask("GET", "/volumes")).value["Volumes"]) == 1
        assert (await api.ask("DELETE", "/volumes/data")).status == 204
        assert (await api.ask("DELETE", "/volumes/data")).message == "get data: no such volume"
        assert (await api.ask("DELETE", "/volumes/data?force=1")).status == 204
        assert (await api.ask("POST", "/volumes/create", {"ClusterVolumeSpec": {}}, check=False)).status == 501

    serve(scenario)


def test_info_has_what_clients_read(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        info = (await api.ask("GET", "/info")).value
        assert (info["Driver"], info["DriverStatus"]) == ("overlay2", [["Backing Filesystem", "extfs"]])
        assert info["Swarm"]["LocalNodeState"] == "inactive"
        assert info["Runtimes"] == {"crun": {"path": "/usr/bin/crun"}}
        assert info["Warnings"] == ["a warning"]
        assert info["FirewallBackend"] == {"Driver": "nftables", "Info": []}
        old = (await api.ask("GET", "/v1.24/info", check=False)).value
        assert old["SecurityOptions"] == ["seccomp"]
        assert old["RuncCommit"] == {"ID": "", "Expected": ""}
        assert "FirewallBackend" not in old

    serve(scenario)


def test_version_has_the_engine_as_its_first_component(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        found = (await api.ask("GET", "/version")).value
        assert (found["ApiVersion"], found["MinAPIVersion"], found["Version"]) == ("1.50", "1.24", "0.1.0")
        assert [each["Name"] for each in found["Components"]] == ["Engine", "crun"]
        assert found["Components"][0]["Details"]["Experimental"] == "false"

    serve(scenario)


def test_requests_are_served_side_by_side(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answers = await asyncio.gather(*(api.ask("GET", "/_ping") for _ in range(50)))
        assert {answer.status for answer in answers} == {200}

    serve(scenario)
