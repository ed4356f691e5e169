"""docker network create, ls, inspect, rm and prune, and who reaches whom. What joins and leaves is in test_networks."""

from __future__ import annotations

import json

import pytest
from tests.end_to_end.conftest import Client

pytestmark = [pytest.mark.root, pytest.mark.peer]
RUN = ("run", "-d", "--stop-signal", "KILL")
FOR_EVER = ("busybox", "sleep", "1000")


def names(docker: Client, *filters: str) -> list[str]:
    words = [word for each in filters for word in ("-f", each)]
    return docker.text("network", "ls", "--format", "{{.Name}}", *words).split()


def test_a_new_network_is_listed_until_it_is_removed(shared: Client) -> None:
    id = shared.text("network", "create", "--driver", "bridge", "my-bridge-network").strip()
    assert len(id) == 64
    assert names(shared) == ["bridge", "host", "my-bridge-network", "none"]
    assert shared.text("network", "ls", "-q", "--no-trunc", "-f", "name=my-bridge").strip() == id
    assert shared.text("network", "rm", id[:12]) == f"{id[:12]}\n"
    assert names(shared) == ["bridge", "host", "none"]
    assert "network my-bridge-network not found" in shared.fails("network", "rm", "my-bridge-network")
    assert shared.text("network", "rm", "-f", "my-bridge-network") == ""


def test_three_networks_are_there_from_the_start_and_stay(shared: Client) -> None:
    listed = shared.text("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    assert listed == ["bridge bridge local", "host host local", "none null local"]
    for name in ("bridge", "host", "none"):
        told = shared.fails("network", "rm", name)
        assert f"{name} is a pre-defined network and cannot be removed" in told
    for name in ("bridge", "host", "none", "default"):
        told = shared.fails("network", "create", name)
        assert f"operation is not permitted on predefined {name} network" in told
    assert names(shared, "driver=null") == ["none"]
    assert json.loads(shared.text("info", "--format", "{{json .Plugins.Network}}"))[:3] == ["bridge", "host", "null"]


def test_inspect_shows_subnet_and_those_who_are_attached(shared: Client) -> None:
    running = shared.text(*RUN, "--name", "one", *FOR_EVER).strip()
    shared.run("create", "--name", "two", "busybox")
    (bridge,) = json.loads(shared.text("network", "inspect", "bridge"))
    (pool,) = bridge["IPAM"]["Config"]
    assert pool["Subnet"].endswith("/16")
    assert list(bridge["Containers"]) == [running]
    seen = bridge["Containers"][running]
    place = shared.inspect("one")["NetworkSettings"]["Networks"]["bridge"]
    assert (seen["Name"], seen["IPv4Address"]) == ("one", f"{place['IPAddress']}/16")
    assert (place["Gateway"], place["NetworkID"]) == (pool["Gateway"], bridge["Id"])
    shared.run("stop", "one")
    assert shared.text("network", "inspect", "bridge", "-f", "{{len .Containers}}") == "0\n"
    assert shared.text("network", "inspect", "nowhere", "host", "-f", "{{.Name}}", status=1) == "host\n"


def test_a_network_in_use_stays(shared: Client) -> None:
    shared.run("network", "create", "mynetwork")
    shared.run(*RUN, "--name", "web", "--network", "mynetwork", *FOR_EVER)
    for words in (("network", "rm"), ("network", "rm", "-f")):
        assert 'network mynetwork has active endpoints (name:"web" id:"' in shared.fails(*words, "mynetwork")
    shared.run("stop", "web")
    shared.run("network", "rm", "mynetwork")
    told = shared.fails("start", "web")
    assert "failed to set up container networking: network mynetwork not found" in told


def test_prune_asks_and_takes_what_nobody_is_in(shared: Client) -> None:
    for name in ("used", "spare"):
        shared.run("network", "create", name)
    shared.run(*RUN, "--network", "used", *FOR_EVER)
    asked = shared.text("network", "prune", stdin=b"n\n")
    assert "This will remove all custom networks not used by at least one container" in asked
    assert names(shared, "type=custom") == ["spare", "used"]
    assert "Deleted Networks:\nspare\n" in shared.text("network", "prune", stdin=b"y\n")
    assert names(shared, "type=custom") == ["used"]


def test_containers_of_one_bridge_reach_each_other_by_address_and_name(shared: Client) -> None:
    shared.run("network", "create", "my-bridge-network")
    for name in ("container1", "container2"):
        shared.run(*RUN, "--name", name, "--network", "my-bridge-network", *FOR_EVER)
    address = shared.inspect("container1")["NetworkSettings"]["Networks"]["my-bridge-network"]["IPAddress"]
    for target in ("container1", address):
        assert "1 packets received" in shared.text("exec", "container2", "ping", "-c1", "-W5", target)


def test_different_bridges_cannot_talk(shared: Client) -> None:
    addresses = {}
    for name in ("left", "right"):
        shared.run("network", "create", name)
        shared.run(*RUN, "--name", f"in-{name}", "--network", name, "-p", "80", *FOR_EVER)
        addresses[name] = shared.inspect(f"in-{name}")["NetworkSettings"]["Networks"][name]["IPAddress"]
    for name, other in (("left", "right"), ("right", "left")):
        told = shared.text("exec", f"in-{name}", "ping", "-c1", "-W1", addresses[other], status=1)
        assert "0 packets received" in told


def test_networks_that_cannot_be_are_refused(shared: Client) -> None:
    shared.run("network", "create", "first", "--subnet", "10.77.0.0/24", "-o", "com.docker.network.bridge.name=shop0")
    for words, text in (
        (("first",), "network with name first already exists"),
        (("--subnet", "10.77.0.0/16", "more"), "Pool overlaps with other one on this address space"),
        (("--subnet", "10.78.0.0/33", "more"), "invalid subnet 10.78.0.0/33"),
        (("--subnet", "10.78.0.5/24", "more"), "invalid subnet 10.78.0.5/24: it should be 10.78.0.0/24"),
        (("--subnet", "10.78.0.0/24", "--subnet", "10.79.0.0/24", "more"), "doesn't support multiple subnets"),
        (("-o", "com.docker.network.bridge.name=shop0", "more"), "networks have same bridge name"),
        (("-d", "nosuch", "more"), 'plugin "nosuch" not found'),
        (("-d", "host", "more"), 'only one instance of "host" network is allowed'),
        (("-d", "null", "more"), 'only one instance of "null" network is allowed'),
        (("-d", "overlay", "more"), "This node is not a swarm manager"),
        (("--scope", "swarm", "more"), "cannot create a swarm scoped network when swarm is not active"),
        (("--ipam-driver", "nosuch", "more"), 'plugin "nosuch" not found'),
    ):
        assert text in shared.fails("network", "create", *words)
    assert names(shared, "type=custom") == ["first"]


def test_lists_take_templates_and_filters(shared: Client) -> None:
    shared.run("network", "create", "--label", "a=b", "--label", "c", "labelled")
    for filters in (("label=a",), ("label=a=b", "label=c"), ("name=^lab",), ("dangling=true", "driver=bridge")):
        assert names(shared, *filters) == ["labelled"]
    for filters in (("label=a=z",), ("label=a", "label=z"), ("scope=swarm",), ("name=zzz",)):
        assert names(shared, *filters) == []
    line = shared.text(
        "network", "ls", "-f", "label=a", "--format", '{{.Labels}} {{.Label "a"}} {{.IPv6}} {{.Internal}}'
    )
    assert line == "a=b,c= b false false\n"
    row = json.loads(shared.text("network", "ls", "-f", "label=a", "--format", "json"))
    assert (row["Name"], row["Driver"], row["Scope"]) == ("labelled", "bridge", "local")
    for wrong in ("nosuch=1", "type=bogus", "dangling=maybe"):
        assert "invalid filter '" in shared.fails("network", "ls", "-f", wrong)
