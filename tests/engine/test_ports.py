"""Published ports: what is wanted, and which host port answers."""

import asyncio
from collections.abc import Sequence

import pytest

from wherry.errors import Conflict, Failed
from wherry.model.configs import Config, HostConfig, PortBinding
from wherry.model.networks import PortMapping
from wherry_engine.engine.ports import PortChooser, check_bindings, wanted


class Host:
    """Host ports, some of them taken."""

    def __init__(self, *taken: int) -> None:
        self.taken = set(taken)

    async def reserve(self, ports: Sequence[PortMapping]) -> None:
        if any(port.host_port in self.taken for port in ports):
            raise Conflict("address already in use")
        self.taken.update(port.host_port for port in ports)


def bindings(**ports: str) -> HostConfig:
    made = {key.removeprefix("p") + "/tcp": (PortBinding(host_port=value),) for key, value in ports.items()}
    return HostConfig(port_bindings=made)


def chosen(host: HostConfig, on: Host, chooser: PortChooser | None = None) -> list[tuple[int, int]]:
    ports = asyncio.run((chooser or PortChooser()).reserve(wanted(Config(), host), on.reserve))
    return sorted((port.host_port, port.container_port) for port in ports)


def test_a_fixed_port_is_reserved_as_it_is() -> None:
    assert chosen(bindings(p80="8080"), Host()) == [(8080, 80)]


def test_a_taken_port_is_refused() -> None:
    with pytest.raises(Conflict):
        chosen(bindings(p80="8080"), Host(8080))


def test_an_empty_host_port_comes_from_the_ephemeral_range_and_skips_taken_ones() -> None:
    chooser, on = PortChooser(), Host()
    first = chosen(bindings(p80=""), on, chooser)[0][0]
    on.taken.add(first + 1)
    assert chosen(bindings(p80=""), on, chooser)[0][0] == first + 2


def test_a_range_takes_the_first_free_port_after_the_last_used() -> None:
    chooser, on = PortChooser(), Host()
    host = bindings(p80="8000-8002")
    assert [chosen(host, on, chooser)[0][0] for _ in range(3)] == [8000, 8001, 8002]
    with pytest.raises(Failed, match="8000-8002"):
        chosen(host, on, chooser)
    on.taken.clear()
    assert chosen(host, on, chooser)[0][0] == 8000


def test_publish_all_uses_the_exposed_ports() -> None:
    config = Config(exposed_ports=("80/tcp", "53/udp"))
    found = wanted(config, HostConfig(publish_all_ports=True))
    assert {(m.container_port, m.protocol) for (m,), _ in found} == {(80, "tcp"), (53, "udp")}


def test_a_port_without_an_address_is_on_all_of_them_under_one_number() -> None:
    asked = wanted(Config(), bindings(p80=""), ("0.0.0.0", "::"))
    four, six = asyncio.run(PortChooser().reserve(asked, Host().reserve))
    assert (four.host_address, six.host_address) == ("0.0.0.0", "::")
    assert four.host_port == six.host_port != 0
    asked = wanted(Config(), bindings(p80="8080"), ("::",))
    assert [(port.host_address, port.host_port) for port in asked[0][0]] == [("::", 8080)]


def test_an_address_of_ipv6_may_be_asked_for_in_any_spelling() -> None:
    host = HostConfig(port_bindings={"80/tcp": (PortBinding(host_ip="0:0::1", host_port="8080"),)})
    assert check_bindings(Config(), host) == []
    ((mapping,), _) = wanted(Config(), host, ("0.0.0.0",))[0]
    assert (mapping.host_address, mapping.version) == ("::1", 6)


@pytest.mark.parametrize(
    ("port", "binding"),
    [
        ("0/tcp", PortBinding()),
        ("80/xyz", PortBinding()),
        ("80/tcp", PortBinding(host_port="70000")),
        ("80/tcp", PortBinding(host_port="90-80")),
        ("80/tcp", PortBinding(host_ip="nowhere")),
    ],
)
def test_bad_ports_are_told(port: str, binding: PortBinding) -> None:
    assert check_bindings(Config(), HostConfig(port_bindings={port: (binding,)}))
