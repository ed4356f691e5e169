"""Networks as a Docker client sees them: connecting and disconnecting what runs, published ports, refusals, mending."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from tests.end_to_end.network_kit import SERVE, Docker, own_engine, served, soon

from wherry.linux.namespaces import in_netns
from wherry.testing.ledger import Ledger

pytestmark = [pytest.mark.root, pytest.mark.peer]
MENDED = 1.0  # s within which what others broke works again


@pytest.fixture
def docker(host_ledger: Ledger) -> Iterator[Docker]:
    with own_engine() as client:
        yield client


def test_a_running_container_joins_and_leaves_networks_and_its_ports_go_with_it(docker: Docker) -> None:
    docker("network", "create", "alpha")
    docker("network", "create", "omega", "--subnet", "10.77.0.0/24")
    web = docker.start("web", "-p", "18080:80", *SERVE)
    assert soon(lambda: served(18080))
    docker("network", "connect", "omega", "web", "--ip", "10.77.0.50", "--alias", "shop")
    docker("network", "connect", "alpha", "web")
    found = docker.settings("web")["Networks"]
    assert found["omega"]["IPAddress"] == "10.77.0.50"
    assert found["omega"]["IPAMConfig"] == {"IPv4Address": "10.77.0.50"}
    assert found["omega"]["Aliases"] == ["shop"]
    assert found["omega"]["DNSNames"] == ["web", "shop", web[:12]]
    shown = docker.inside("web", "ip", "-br", "addr")
    for name, interface in (("bridge", "eth0"), ("omega", "eth1"), ("alpha", "eth2")):
        assert any(line.startswith(interface) and found[name]["IPAddress"] in line for line in shown.splitlines())
    # The network whose name comes first leads out, and published ports with it.
    assert f"default via {found['alpha']['Gateway']} dev eth2" in docker.inside("web", "ip", "route")
    assert served(18080)
    assert list(json.loads(docker("network", "inspect", "omega"))[0]["Containers"]) == [web]
    for gone, left in (("alpha", "bridge"), ("bridge", "omega")):
        docker("network", "disconnect", gone, "web")
        assert f"default via {found[left]['Gateway']}" in docker.inside("web", "ip", "route")
        assert served(18080)
    docker("network", "disconnect", "omega", "web")
    assert not served(18080)
    assert docker.settings("web")["Ports"] == {}
    docker("network", "connect", "bridge", "web")
    assert served(18080)
    docker("restart", "web")
    assert soon(lambda: served(18080))
    assert list(docker.settings("web")["Networks"]) == ["bridge"]
    now = f"{time.time():.9f}"
    told = docker("events", "--since", "1m", "--until", now, "--filter", "type=network", "--format", "{{json .}}")
    events = [json.loads(line) for line in told.splitlines()]
    changes = [(e["Action"], e["Actor"]["Attributes"]["name"]) for e in events if e["Action"] != "create"]
    assert changes[1:7] == [
        ("connect", "omega"),
        ("connect", "alpha"),
        ("disconnect", "alpha"),
        ("disconnect", "bridge"),
        ("disconnect", "omega"),
        ("connect", "bridge"),
    ]


def test_names_come_and_go_with_the_network_and_what_others_wrote_stays(docker: Docker) -> None:
    docker("network", "create", "shop")
    docker.start("till", "--network", "shop", "busybox", "sleep", "100")
    docker.start("box", "busybox", "sleep", "100")
    docker("exec", "box", "sh", "-c", "echo 192.0.2.7 mine >>/etc/hosts")
    files = ("exec", "box", "cat", "/etc/hosts", "/etc/resolv.conf")
    before = docker(*files)
    docker("network", "connect", "shop", "box", "--alias", "shelf")
    networks = docker.settings("box")["Networks"]
    name = docker("inspect", "box", "-f", "{{.Config.Hostname}}")
    assert f"{networks['shop']['IPAddress']}\t{name}" in docker(*files)
    assert "nameserver 127.0.0.11" in docker(*files)
    assert docker.settings("till")["Networks"]["shop"]["IPAddress"] in docker("exec", "box", "nslookup", "till")
    assert networks["shop"]["IPAddress"] in docker("exec", "till", "nslookup", "shelf")
    docker("network", "disconnect", "shop", "box")
    assert docker(*files) == before
    assert networks["shop"]["IPAddress"] not in docker.run("exec", "till", "nslookup", "shelf").stdout


def test_the_gateway_priority_decides_who_leads_out(docker: Docker) -> None:
    docker("network", "create", "alpha")
    docker.start("box", "busybox", "sleep", "100")
    docker("network", "connect", "alpha", "box", "--gw-priority", "-1")
    networks = docker.settings("box")["Networks"]
    assert f"via {networks['bridge']['Gateway']} " in docker.inside("box", "ip", "route", "show", "default")
    docker("network", "disconnect", "alpha", "box")
    docker("network", "connect", "alpha", "box", "--gw-priority", "1")
    networks = docker.settings("box")["Networks"]
    assert networks["alpha"]["GwPriority"] == 1
    assert f"via {networks['alpha']['Gateway']} " in docker.inside("box", "ip", "route", "show", "default")


def test_what_cannot_be_is_refused_in_dockers_words(docker: Docker) -> None:
    docker("network", "create", "net", "--subnet", "10.77.0.0/24")
    box = docker.start("box", "--network", "net", "--ip", "10.77.0.9", "busybox", "sleep", "100")
    docker.start("lone", "--network", "none", "busybox", "sleep", "100")
    docker.start("open", "--network", "host", "busybox", "sleep", "100")
    shared = (
        "container sharing network namespace with another container or host cannot be connected to any other network"
    )
    lonely = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    outside = "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.9.9.9"
    cases = {
        ("network", "connect", "net", "box"): "endpoint with name box already exists in network net",
        (
            "network",
            "connect",
            "host",
            "box",
        ): "cannot connect container to host network - container must be created in host network mode",
        ("network", "disconnect", "host", "open"): "cannot disconnect container from host network - container must be "
        "created in host network mode",
        ("network", "connect", "net", "open"): shared,
        ("network", "connect", "net", "lone"): lonely,
        ("network", "connect", "none", "box"): lonely,
        ("network", "connect", "nowhere", "box"): "network nowhere not found",
        ("network", "connect", "net", "nobody"): "No such container: nobody",
        ("network", "disconnect", "bridge", "box"): f"container {box} is not connected to network bridge",
        ("network", "create", "net"): "network with name net already exists",
        ("network", "create", "host"): "operation is not permitted on predefined host network",
        ("network", "rm", "bridge"): "bridge is a pre-defined network and cannot be removed",
        ("network", "create", "more", "--subnet", "10.77.0.0/33"): "invalid network config:\n"
        "invalid subnet 10.77.0.0/33: invalid CIDR block notation",
        ("run", "--network", "net", "--ip", "10.9.9.9", "busybox"): f"invalid config for network net: {outside}",
        ("run", "--ip", "10.9.9.9", "busybox"): "invalid config for network bridge: invalid endpoint settings:\n"
        "user specified IP address is supported on user defined networks only",
        ("run", "--network", "nowhere", "busybox"): "failed to set up container networking: network nowhere not found",
    }
    for words, text in cases.items():
        assert docker.refused(*words) == text, words
    assert docker.refused("network", "rm", "net").startswith(
        'error while removing network: network net has active endpoints (name:"box" id:"'
    )
    assert docker.refused("network", "create", "more", "--subnet", "10.77.0.128/25").startswith(
        "invalid pool request: Pool overlaps with other one on this address space"
    )
    assert docker.refused("network", "create", "more", "-d", "nothing").startswith('plugin "nothing" not found')
    assert docker.refused("run", "--network", "net", "--ip", "10.77.0.9", "busybox").startswith(
        "failed to set up container networking: Address already in use"
    )
    docker("network", "disconnect", "none", "lone")
    docker("network", "connect", "net", "lone")


def test_options_of_a_network_are_kept_and_shown(docker: Docker) -> None:
    options = {
        "com.docker.network.bridge.name": "shop0",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1",
    }
    pool = {"--subnet": "10.77.0.0/24", "--ip-range": "10.77.0.128/25", "--gateway": "10.77.0.254"}
    words = [word for pair in pool.items() for word in pair]
    words += [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    docker("network", "create", "shop", *words, "--aux-address", "printer=10.77.0.128", "--label", "a=b")
    docker.start("web", "--network", "shop", "--mac-address", "02:42:00:00:00:99", "-p", "18080:80", *SERVE)
    (found,) = json.loads(docker("network", "inspect", "shop"))
    assert found["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [
            {
                "Subnet": "10.77.0.0/24",
                "IPRange": "10.77.0.128/25",
                "Gateway": "10.77.0.254",
                "AuxiliaryAddresses": {"printer": "10.77.0.128"},
            }
        ],
    }
    assert (found["Options"], found["Labels"]) == (options, {"a": "b"})
    ((_, member),) = found["Containers"].items()
    assert (member["Name"], member["IPv4Address"]) == ("web", "10.77.0.129/24")
    assert member["MacAddress"] == "02:42:00:00:00:99"
    assert docker.settings("web")["Ports"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]}
    assert soon(lambda: served(18080))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("10.77.0.254", 18080), 1).close()


def test_lists_are_filtered_and_what_is_not_used_is_pruned(docker: Docker) -> None:
    for name, label in (("kept", "keep=yes"), ("used", "keep=no"), ("spare", "keep=no")):
        docker("network", "create", name, "--label", label)
    docker.start("box", "--network", "used", "busybox", "sleep", "100")

    def listed(*filters: str) -> list[str]:
        words = [word for each in filters for word in ("--filter", each)]
        return docker("network", "ls", "--format", "{{.Name}}", *words).split()

    assert listed("type=custom") == ["kept", "spare", "used"]
    assert listed("driver=bridge", "type=builtin") == ["bridge"]
    assert listed("dangling=true") == ["kept", "spare"]
    assert listed("dangling=false", "type=custom") == ["used"]
    assert listed("label=keep=no", "name=sp") == ["spare"]
    assert docker.refused("network", "ls", "--filter", "colour=red") == "invalid filter 'colour'"
    assert docker("network", "prune", "-f", "--filter", "label!=keep=yes").split("\n")[1:] == ["spare"]
    assert docker("network", "prune", "-f", "--filter", "until=1h") == ""
    docker("rm", "-f", "box")
    assert docker("network", "prune", "-f").split("\n")[1:] == ["kept", "used"]
    assert listed() == ["bridge", "host", "none"]


def test_ports_are_published_as_asked_and_taken_ones_refused(docker: Docker) -> None:
    docker.start("one", "-p", "18000-18010:8000-8010/udp", "-p", "127.0.0.1::80", "-p", "18080:80", *SERVE)
    ports = docker.settings("one")["Ports"]
    for number in range(11):
        assert ports[f"{8000 + number}/udp"] == [{"HostIp": "0.0.0.0", "HostPort": str(18000 + number)}]
    fixed, chosen = ports["80/tcp"]
    assert (fixed["HostIp"], fixed["HostPort"]) == ("0.0.0.0", "18080")
    assert chosen["HostIp"] == "127.0.0.1"
    assert soon(lambda: served(int(chosen["HostPort"])))
    assert served(18080)
    with socket.create_server(("127.0.0.1", 18090)):
        for port, words in (
            ("18080", "Bind for 0.0.0.0:18080 failed: port is already allocated"),
            ("18090", "failed to bind host port 0.0.0.0:18090/tcp: address already in use"),
        ):
            text = docker.refused("run", "--name", f"of-{port}", "-p", f"{port}:80", *SERVE)
            assert text.startswith(
                f"failed to set up container networking: driver failed programming external connectivity on endpoint of-{port} ("
            )
            assert text.endswith(words)
            assert docker("inspect", f"of-{port}", "-f", "{{.State.Status}} {{.State.ExitCode}}") == "created 128"
            assert docker("inspect", f"of-{port}", "-f", "{{.State.Error}}") == text
    docker("start", "of-18090")  # the port is free again
    assert soon(lambda: served(18090))
    assert docker("inspect", "of-18090", "-f", "{{.State.Status}} {{.State.ExitCode}}{{.State.Error}}") == "running 0"
    with pytest.raises(OSError, match="in use"), socket.socket() as rival:
        rival.bind(("0.0.0.0", 18080))


def listening(docker: Docker, name: str, port: int) -> socket.socket:
    """A UDP socket in the container's network namespace."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", port))
        made.settimeout(MENDED)
        return made

    with open(f"/proc/{docker('inspect', name, '-f', '{{.State.Pid}}')}/ns/net") as namespace:
        return in_netns(namespace.fileno(), make)


def test_a_udp_sender_that_goes_on_reaches_the_container_after_its_restart(docker: Docker) -> None:
    docker.start("dns", "-p", "18053:53/udp", "busybox", "sleep", "100")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(MENDED)
        client.connect(("127.0.0.1", 18053))
        for _ in range(2):
            with listening(docker, "dns", 53) as server:
                client.send(b"?")
                question, sender = server.recvfrom(10)
                server.sendto(question, sender)
                assert client.recv(10) == b"?"
            docker("restart", "-t", "0", "dns")
            with contextlib.suppress(ConnectionRefusedError):  # what it sent while nobody listened
                client.send(b"!")
                client.send(b"!")


def test_what_others_break_works_again_within_a_second(docker: Docker) -> None:
    docker.start("web", "-p", "18080:80", *SERVE)
    assert soon(lambda: served(18080))
    (bridge,) = json.loads(docker("network", "inspect", "bridge"))
    subprocess.run(["nft", "add", "table", "inet", "theirs"], check=True)
    for number in range(2):
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        assert soon(lambda: served(18080), MENDED), f"flush {number}"
    endpoint = docker.settings("web")["Networks"]["bridge"]["EndpointID"]
    for link in (f"wv{endpoint[:12]}", f"wbr{bridge['Id'][:12]}"):
        subprocess.run(["ip", "link", "del", link], check=True)
        assert soon(lambda: served(18080), MENDED), link
    assert docker("inspect", "web", "-f", "{{.State.Running}}") == "true"


def test_a_firewall_that_drops_is_told_in_info_until_it_no_longer_does(docker: Docker) -> None:
    rules = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }"

    def told() -> bool:
        return "chain ip filter FORWARD (policy drop)" in docker("info", "--format", "{{json .Warnings}}")

    assert not told()
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        assert soon(told)
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "filter"], check=True)
    assert soon(lambda: not told())
