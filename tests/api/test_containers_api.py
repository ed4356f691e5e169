"""Containers: creating, listing, inspecting and acting on them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest
from tests.api.conftest import Served
from tests.api.fake_engine import IMAGE, make_container, running_container

from wherry.model.configs import PortBinding
from wherry.model.containers import ContainerSpec, Health, State
from wherry_api.shapes.summaries import status_text
from wherry_api.shapes.times import human_duration, time_text

Serve = Callable[..., None]
SECOND = 10**9


def test_create_turns_the_body_into_a_spec(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        body: dict[str, object] = {
            "Image": "busybox",
            "Cmd": "true",
            "Entrypoint": None,
            "Env": ["A=1", "B"],
            "Labels": {"a": "b", "empty": None},
            "ExposedPorts": {"80": {}, "53/UDP": {}},
            "Volumes": {"/data": {}},
            "HostConfig": {
                "Memory": 64 << 20,
                "NanoCpus": 500_000_000,
                "PidsLimit": 10,
                "Binds": ["data:/srv:ro"],
                "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080-8090"}], "90/tcp": None},
                "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
                "ConsoleSize": [24, 80],
                "Tmpfs": {"/run": "size=1m"},
                "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
                "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5, "Mode": 448}}],
                "DeviceRequests": [{"Capabilities": [["gpu"]], "Count": -1}],
                "Unknown": 1,
            },
            "NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": ["x"], "IPAMConfig": {"IPv4Address": "1.2.3.4"}}}},
        }  # fmt: skip
        answer = await api.ask("POST", "/containers/create?name=/web&platform=linux/amd64", body)
        assert answer.status == 201
        assert answer.value == {"Id": api.engine.containers.list()[0].id, "Warnings": ["a warning"]}
        _, spec = api.engine.containers.calls[0]
        assert isinstance(spec, ContainerSpec)
        assert (spec.name, spec.platform, spec.config.cmd, spec.config.entrypoint) == (
            "/web",  # the engine takes the slash away: "/" alone is no name
            "linux/amd64",
            ("true",),
            None,
        )
        assert spec.config.exposed_ports == ("80/tcp", "53/udp")
        assert spec.config.volumes == ("/data",)
        assert spec.config.labels == {"a": "b", "empty": ""}
        assert spec.host.resources.memory == 64 << 20
        assert spec.host.port_bindings == {
            "80/tcp": (PortBinding(host_ip="127.0.0.1", host_port="8080-8090"),),
            "90/tcp": (),
        }
        assert spec.host.network_mode == "default"
        assert spec.host.restart_policy.name == "no"
        assert spec.host.mounts is not None
        assert spec.host.mounts[0].tmpfs_options is not None
        assert spec.endpoints["default"].ipv4_address == "1.2.3.4"
        assert api.engine.hints == 1

    serve(scenario)


def test_create_without_the_image_is_not_found(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("POST", "/containers/create", {"Image": "nosuch"})
        assert (answer.status, answer.message) == (404, "No such image: nosuch:latest")

    serve(scenario)


def test_old_clients_get_the_defaults_they_were_promised(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        body = {"Image": "busybox", "HostConfig": {"AutoRemove": True}, "MacAddress": "02:42:00:00:00:01"}
        await api.ask("POST", "/v1.24/containers/create", body)
        _, spec = api.engine.containers.calls[0]
        assert isinstance(spec, ContainerSpec)
        assert not spec.host.auto_remove
        assert spec.host.ipc_mode == "shareable"
        assert spec.endpoints["default"].mac_address == "02:42:00:00:00:01"
        new = await api.ask("POST", "/v1.50/containers/create", body)
        assert "MacAddress field is now deprecated" in new.value["Warnings"][0]
        await api.ask("POST", "/v1.43/containers/create", {"Image": "busybox", "Runtime": "other", "HostConfig": None})
        _, spec = api.engine.containers.calls[-1]
        assert isinstance(spec, ContainerSpec)
        assert spec.host.runtime == "other"
        two = {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}
        assert "multiple network endpoints: a, b" in (await api.ask("POST", "/v1.43/containers/create", two)).message

    serve(scenario)


def test_a_client_that_leaves_does_not_undo_what_it_asked_for(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        api.engine.containers.delay = 0.2
        stream = await api.open()
        stream.writer.write(b"POST /containers/web/stop HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.05)
        stream.close()
        await asyncio.sleep(0.4)
        assert api.engine.containers.get("web").state.status == "exited"

    serve(scenario)


def test_actions_pass_their_options_on(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        containers.add(make_container(name="web"))
        assert (await api.ask("POST", "/containers/web/start", b"{}")).status == 204
        again = await api.ask("POST", "/containers/web/start")
        assert (again.status, again.body) == (304, b"")
        assert (await api.ask("POST", "/containers/web/kill?signal=HUP")).status == 204
        assert (await api.ask("POST", "/containers/web/restart?t=3")).status == 204
        assert (await api.ask("POST", "/containers/web/resize?h=24&w=80")).status == 200
        refused = await api.ask("DELETE", "/containers/web")
        assert (refused.status, "is running" in refused.message) == (409, True)
        assert (await api.ask("POST", "/v1.41/containers/web/stop?t=-1&signal=INT")).status == 204
        assert (await api.ask("POST", "/containers/web/stop")).status == 304
        assert (await api.ask("POST", "/containers/web/kill")).status == 409
        assert (await api.ask("DELETE", "/containers/web?v=1&force=true")).status == 204
        assert containers.calls == [
            ("kill", "web", "HUP"),
            ("restart", "web", 3, None),
            ("resize", "web", 24, 80),
            ("stop", "web", -1, None),
            ("stop", "web", None, None),
            ("kill", "web", "KILL"),
            ("remove", "web", True, True, False),
        ]

    serve(scenario)


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("POST", "/containers/web/stop?t=soon", "t must be a whole number"),
        ("POST", "/containers/web/resize?h=1", "are required"),
        ("POST", "/containers/web/resize?h=1&w=-1", "cannot be"),
        ("POST", "/containers/web/resize?h=99999999999999999999999&w=1", "whole number"),
        ("GET", "/containers/json?limit=x", "limit must be"),
        ("GET", "/containers/json?filters=x", "invalid filter"),
        ("GET", '/containers/json?filters={"nope":["a"]}', "invalid filter 'nope'"),
        ("GET", '/containers/json?filters={"status":["nope"]}', "invalid filter 'status=[nope]'"),
        ("GET", "/containers/web/logs", "you must choose at least one stream"),
        ("GET", "/containers/web/logs?stdout=1&since=x", "since: failed to parse"),
        ("POST", "/containers/web/wait?condition=x", 'invalid condition: "x"'),
        ("POST", "/containers/web/attach?stream=1&detachKeys=ctrl-", "Invalid detach keys"),
        ("GET", "/events?since=x", "since: failed to parse"),
        ("GET", "/events?since=2&until=1", "cannot be after"),
        ("GET", '/events?filters={"nope":["a"]}', "invalid filter 'nope'"),
        ("GET", "/networks?filters=7", "invalid filter"),
        ("GET", '/volumes?filters={"dangling":["maybe"]}', "invalid filter 'dangling=[maybe]'"),
        ("GET", '/images/json?filters={"until":["soon"]}', 'failed to parse value as time or duration: "soon"'),
        ("POST", "/images/create", "say fromImage=NAME"),
        ("POST", "/images/create?fromImage=UPPER", "must be lowercase"),
        ("POST", "/images/busybox/tag", "repo, the new name, is required"),
    ],
)
def test_bad_queries_are_the_clients_fault(serve: Serve, method: str, path: str, text: str) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        answer = await api.ask(method, path.replace('"', "%22").replace("{", "%7B").replace("}", "%7D"))
        assert answer.status == 400
        assert text in answer.message

    serve(scenario)


def test_start_refuses_a_configuration_in_its_body(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(make_container(name="web"))
        answer = await api.ask("POST", "/containers/web/start", {"Binds": ["/:/host"]})
        assert (answer.status, "non-empty request body" in answer.message) == (400, True)

    serve(scenario)


def test_a_list_shows_what_docker_ps_needs(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        containers = api.engine.containers
        web = containers.add(running_container("web"))
        containers.add(make_container(name="old", image_id="sha256:" + "ee" * 32, created_ns=SECOND))
        (item,) = (await api.ask("GET", "/containers/json")).value
        assert item["Id"] == web.id
        assert item["Names"] == ["/web"]
        assert (item["Image"], item["ImageID"]) == ("busybox", IMAGE)
        assert item["Command"] == "sh -c 'sleep 1'"
        assert (item["State"], item["Status"]) == ("running", "Up 3 seconds")
        assert item["Ports"] == [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
        ]
        assert item["HostConfig"] == {"NetworkMode": "bridge"}
        assert item["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == "172.17.0.2"
        assert [mount["Destination"] for mount in item["Mounts"]] == ["/srv", "/host"]
        assert "SizeRw" not in item
        everything = (await api.ask("GET", "/containers/json?all=1&size=1")).value
        assert [each["Names"] for each in everything] == [["/web"], ["/old"]]
        assert (everything[1]["Image"], everything[1]["Status"]) == ("sha256:" + "ee" * 32, "Created")
        assert (everything[0]["SizeRw"], everything[0]["SizeRootFs"]) == (10, 1010)
        limited = (await api.ask("GET", "/containers/json?limit=2")).value
        assert len(limited) == 2

    serve(scenario)


def test_inspection_has_everything_in_its_place(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        web = api.engine.containers.add(running_container("web"))
        found = (await api.ask("GET", f"/containers/{web.id[:12]}/json")).value
        assert (found["Id"], found["Name"], found["Path"], found["Args"]) == (web.id, "/web", "sh", ["-c", "sleep 1"])
        assert found["State"]["Running"] is True
        assert found["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
        assert found["State"]["StartedAt"] == time_text(web.state.started_ns)
        assert found["GraphDriver"] == {"Data": {"MergedDir": "/m", "UpperDir": "/u"}, "Name": "overlay2"}
        assert found["NetworkSettings"]["Ports"] == {
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
            "443/tcp": None,
        }
        assert found["NetworkSettings"]["IPAddress"] == "172.17.0.2"
        assert found["NetworkSettings"]["Networks"]["bridge"]["IPPrefixLen"] == 16
        assert found["HostConfig"]["PortBindings"] == {}
        assert found["HostConfig"]["Binds"] is None
        assert found["HostConfig"]["Dns"] == []
        assert "/proc/kcore" in found["HostConfig"]["MaskedPaths"]
        assert "/proc/sys" in found["HostConfig"]["ReadonlyPaths"]
        assert found["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
        assert (found["Config"]["Entrypoint"], found["Config"]["Volumes"]) == (None, None)
        assert "SizeRw" not in found
        assert (await api.ask("GET", "/containers/web/json?size=1")).value["SizeRootFs"] == 1010
        missing = await api.ask("GET", "/containers/nosuch/json")
        assert (missing.status, missing.message) == (404, "No such container: nosuch")

    serve(scenario)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status="running", started_ns=40 * SECOND), "Up About a minute"),
        (State(status="paused", started_ns=98 * SECOND), "Up 2 seconds (Paused)"),
        (State(status="running", started_ns=98 * SECOND, health=Health()), "Up 2 seconds (health: starting)"),
        (State(status="running", started_ns=98 * SECOND, health=Health(status="healthy")), "Up 2 seconds (healthy)"),
        (State(status="paused", started_ns=98 * SECOND, health=Health(status="unhealthy")), "Up 2 seconds (Paused)"),
        (State(status="exited", started_ns=1, finished_ns=99 * SECOND, health=Health()), "Exited (0) 1 second ago"),
        (State(status="restarting", exit_code=1, started_ns=1, finished_ns=99 * SECOND), "Restarting (1) 1 second ago"),
        (State(status="exited", started_ns=1, finished_ns=100 * SECOND - 1), "Exited (0) Less than a second ago"),
        (State(status="removing"), "Removal In Progress"),
        (State(status="dead"), "Dead"),
    ],
)
def test_a_status_says_what_a_container_does(state: State, text: str) -> None:
    assert status_text(state, 100 * SECOND) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations_are_what_docker_says(seconds: int, text: str) -> None:
    assert human_duration(seconds * SECOND) == text


def test_fifty_containers_are_listed_quickly_and_right(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        for number in range(50):
            api.engine.containers.add(running_container(f"c{number}", age=number + 1))
        stream = await api.open()
        took = []
        for _ in range(50):
            begun = time.perf_counter()
            stream.writer.write(b"GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n")
            _, headers = await stream.head()
            body = await stream.body(headers)
            took.append(time.perf_counter() - begun)
        assert len(json.loads(body)) == 50
        print(f"50 containers listed in {sorted(took)[25] * 1000:.2f} ms (median)")  # noqa: T201
        stream.close()

    serve(scenario)
