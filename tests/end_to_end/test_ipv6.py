"""IPv6 as a Docker client sees it: networks, addresses, names and published ports."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.end_to_end.network_kit import SERVE, Docker, own_engine, served, soon

from wherry.testing.ledger import Ledger

pytestmark = [pytest.mark.root, pytest.mark.peer]
SUBNETS = ("--subnet", "10.66.0.0/24", "--subnet", "fd00:66::/64")
GET = r'printf "GET /busybox HTTP/1.0\r\n\r\n" | nc -w 2 %s 80 | wc -c'


@pytest.fixture
def docker(host_ledger: Ledger) -> Iterator[Docker]:
    with own_engine() as client:
        yield client


def network(docker: Docker, name: str) -> Any:
    return json.loads(docker("network", "inspect", name))[0]


def place(docker: Docker, container: str, name: str) -> Any:
    return docker.settings(container)["Networks"][name]


def test_a_network_gets_a_ula_of_its_own_and_shows_both_subnets(docker: Docker) -> None:
    docker("network", "create", "--ipv6", "one")
    docker("network", "create", "--ipv6", "two")
    docker("network", "create", "plain")
    chosen = []
    for name in ("one", "two"):
        found = network(docker, name)
        assert (found["EnableIPv4"], found["EnableIPv6"]) == (True, True)
        four, six = found["IPAM"]["Config"]
        subnet = ipaddress.IPv6Network(six["Subnet"])
        assert subnet.prefixlen == 64
        assert subnet.subnet_of(ipaddress.IPv6Network("fd00::/8"))
        assert six["Gateway"] == str(subnet[1])
        assert "." in four["Gateway"]
        chosen.append(subnet)
    assert chosen[0] != chosen[1]
    assert not network(docker, "plain")["EnableIPv6"]
    told = docker.wherry("network", "ls", "--filter", "name=two", "--format", "{{.Name}} {{.IPv6}}")
    assert told.stdout == "two true\n"


def test_a_container_has_its_address_route_lines_and_names_at_once(docker: Docker) -> None:
    docker("network", "create", "--ipv6", *SUBNETS, "six")
    docker.start("web", "--network", "six", "--ip6", "fd00:66::50", "--hostname", "shop", *SERVE)
    found = place(docker, "web", "six")
    assert found["IPAMConfig"] == {"IPv6Address": "fd00:66::50"}
    shown = [found[key] for key in ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway", "IPAddress")]
    assert shown == ["fd00:66::50", 64, "fd00:66::1", "10.66.0.2"]
    (member,) = network(docker, "six")["Containers"].values()
    assert (member["IPv4Address"], member["IPv6Address"]) == ("10.66.0.2/24", "fd00:66::50/64")
    hosts = docker("exec", "web", "cat", "/etc/hosts").splitlines()
    assert hosts[-2:] == ["10.66.0.2\tshop", "fd00:66::50\tshop"]
    inside = docker.inside("web", "ip", "-6", "addr", "show", "dev", "eth0")
    assert "inet6 fd00:66::50/64 scope global" in inside
    assert "tentative" not in inside
    assert "default via fd00:66::1 dev eth0" in docker.inside("web", "ip", "-6", "route")
    script = f"ping -6 -c 1 -W 1 web && nslookup fd00:66::50 && nslookup web && {GET % 'fd00:66::50'}"
    told = docker("run", "--rm", "--network", "six", "busybox", "sh", "-c", script)
    assert "64 bytes from fd00:66::50" in told
    assert "name = web.six" in told
    assert {"Address: fd00:66::50", "Address: 10.66.0.2"} <= set(told.splitlines())
    assert int(told.splitlines()[-1]) > 100_000


def test_published_ports_are_on_both_ips_under_one_number(docker: Docker) -> None:
    docker("network", "create", "--ipv6", *SUBNETS, "six")
    docker.start("web", "--network", "six", "-p", "18080:80", "-p", "80", *SERVE)
    assert soon(lambda: served(18080, "::1"))
    ports = docker("port", "web").splitlines()
    numbers = {line.rpartition(":")[2] for line in ports}
    assert {line.rpartition(":")[0] for line in ports} == {"80/tcp -> 0.0.0.0", "80/tcp -> [::]"}
    assert len(ports) == 4
    assert len(numbers) == 2
    for number in map(int, numbers):
        for address in ("127.0.0.1", "::1", "10.66.0.1", "fd00:66::1"):
            assert served(number, address), (address, number)
    shown = docker("ps", "--format", "{{.Ports}}")
    assert "0.0.0.0:18080->80/tcp" in shown
    assert "[::]:18080->80/tcp" in shown
    text = docker.refused("run", "-d", "-p", "[::]:18080:80", "--network", "six", *SERVE)
    assert "Bind for :::18080 failed: port is already allocated" in text
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["busybox", "timeout", "1", "nc", "-l", "-p", "18080", "-s", "::"], check=True, stderr=-3)
    docker("restart", "web")
    assert soon(lambda: served(18080, "::1"))


def test_a_port_of_one_ip_is_published_on_that_alone(docker: Docker) -> None:
    docker("network", "create", "--ipv6", *SUBNETS, "six")
    docker.start("web", "--network", "six", "-p", "[::1]:18080:80", "-p", "0.0.0.0:18081:80", *SERVE)
    assert soon(lambda: served(18080, "::1"))
    assert served(18081)
    assert not served(18080)
    assert not served(18081, "::1")
    text = docker.refused("run", "--rm", "-p", "[::1]:18090:80", "busybox", "true")
    assert "80/tcp cannot be published on ::1, as the container has no IPv6 address" in text


def test_ports_follow_what_leads_out_for_each_ip(docker: Docker) -> None:
    docker("network", "create", "alpha")
    docker("network", "create", "--ipv6", *SUBNETS, "six")
    docker.start("web", "--network", "six", "-p", "18080:80", *SERVE)
    assert soon(lambda: served(18080, "::1"))
    docker("network", "connect", "alpha", "web")  # leads out by IPv4 now
    assert "default via 10.66.0.1" not in docker.inside("web", "ip", "route")
    assert "default via fd00:66::1" in docker.inside("web", "ip", "-6", "route")
    assert served(18080)
    assert served(18080, "::1")
    docker("network", "disconnect", "six", "web")
    assert served(18080)
    assert not served(18080, "::1")
    docker("network", "connect", "six", "web", "--ip6", "fd00:66::77")
    assert place(docker, "web", "six")["GlobalIPv6Address"] == "fd00:66::77"
    assert served(18080, "::1")
    docker("network", "disconnect", "alpha", "web")
    assert served(18080)
    assert served(18080, "::1")


def test_an_address_that_cannot_be_had_is_refused_and_frees_the_other_one(docker: Docker) -> None:
    docker("network", "create", "--ipv6", *SUBNETS, "six")
    docker.start("web", "--network", "six", "--ip6", "fd00:66::50", *SERVE)
    text = docker.refused("run", "--rm", "--network", "six", "--ip6", "fd00:66::50", "busybox", "true")
    assert "Address already in use: fd00:66::50 of network six is held by" in text
    text = docker.refused("run", "--rm", "--network", "six", "--ip6", "fd00:67::50", "busybox", "true")
    assert "no configured subnet or ip-range contain the IP address fd00:67::50" in text
    docker.start("next", "--network", "six", *SERVE)
    assert place(docker, "next", "six")["IPAddress"] == "10.66.0.3"


def test_an_internal_network_has_no_gateway_and_one_of_ipv6_alone_no_ipv4(docker: Docker) -> None:
    docker("network", "create", "--ipv6", "--internal", *SUBNETS, "inner")
    docker("network", "create", "--ipv6", "--ipv4=false", "only")
    docker.start("secret", "--network", "inner", "-p", "18080:80", *SERVE)
    assert place(docker, "secret", "inner")["IPv6Gateway"] == ""
    assert "default" not in docker.inside("secret", "ip", "-6", "route")
    assert docker("port", "secret") == ""
    docker.start("six", "--network", "only", "-p", "18081:80", *SERVE)
    found = place(docker, "six", "only")
    assert (found["IPAddress"], found["Gateway"]) == ("", "")
    assert "inet " not in docker.inside("six", "ip", "addr", "show", "dev", "eth0")
    assert docker("port", "six") == "80/tcp -> [::]:18081"
    assert soon(lambda: served(18081, "::1"))
    assert "64 bytes" in docker("run", "--rm", "--network", "only", "busybox", "ping", "-c", "1", "-W", "1", "six")


def test_a_subnet_of_ipv6_without_ipv6_is_kept_and_told(docker: Docker) -> None:
    done = docker.wherry("network", "create", "--subnet", "fd00:66::/64", "plain")
    assert "subnet fd00:66::/64 is not used: the network has no IPv6" in done.stderr
    found = network(docker, "plain")
    assert found["IPAM"]["Config"][1] == {"Subnet": "fd00:66::/64"}
    docker.start("web", "--network", "plain", "--ip6", "fd00:66::50", *SERVE)
    found = place(docker, "web", "plain")
    assert found["IPAMConfig"] == {"IPv6Address": "fd00:66::50"}
    assert (found["GlobalIPv6Address"], found["IPv6Gateway"]) == ("", "")
    docker("network", "create", "--ipv6", *SUBNETS, "six")  # nobody holds the subnet
    assert "IPv4 or IPv6 must be enabled" in docker.refused("network", "create", "--ipv4=false", "neither")


def test_what_others_break_of_ipv6_is_mended(docker: Docker) -> None:
    docker("network", "create", "--ipv6", *SUBNETS, "six")
    docker.start("web", "--network", "six", "-p", "18080:80", *SERVE)
    assert soon(lambda: served(18080, "::1"))
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    assert soon(lambda: served(18080, "::1"), 1.0)
    bridge = f"wbr{network(docker, 'six')['Id'][:12]}"
    subprocess.run(["ip", "link", "del", bridge], check=True)
    assert soon(lambda: served(18080, "::1"), 1.0)
