"""The three drivers as the engine meets them: through their entry points, with options as texts, inside steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.plugins.network.world import World

from wherry.errors import Invalid
from wherry.linux.namespaces import set_sysctl
from wherry.linux.steps import PREFIX, current, step
from wherry.spec.network import Context, NetworkDriver, PortMapping
from wherry.toolkit.options import parse_options
from wherry_engine.loader.load import Driver, load_driver
from wherry_network.bridge.options import BridgeOptions

outside: list[str] = []
watching = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching and event.startswith(PREFIX) and current() is None:
        outside.append(f"{event} {arguments}")


def load(name: str, folder: Path) -> Driver[NetworkDriver]:
    return load_driver(NetworkDriver, name, lambda config: Context(folder, folder, "one", config))


@pytest.mark.root
@pytest.mark.parametrize("name", ["host", "none"])
def test_host_and_none_have_nothing_to_make(name: str, world: World) -> None:
    driver, network = load(name, world.folder), world.network()
    before = world.host.run("ip link") + world.host.run("nft list ruleset")
    driver.hook.create_network(network=network)
    endpoint = world.endpoint(network)
    netns = world.place(endpoint).netns
    assert driver.hook.attach(network=network, endpoint=endpoint, netns=netns) is None
    assert not driver.hook.list_networks()
    assert not driver.hook.list_endpoints()
    driver.hook.detach(network=network, endpoint=endpoint, netns=None)
    driver.hook.delete_network(network=network)
    assert world.host.run("ip link") + world.host.run("nft list ruleset") == before
    assert not driver.cls.ADDRESSES
    assert {"host": "host", "none": "own"}[name] == driver.cls.SANDBOX


@pytest.mark.root
def test_the_bridge_driver_works_through_its_relay_and_can_publish_and_reconcile(world: World) -> None:
    driver, network = load("bridge", world.folder), world.network()
    assert driver.has("publish")
    assert driver.has("reconcile")
    assert not driver.has("set_peers")
    driver.hook.create_network(network=network)
    endpoint = world.endpoint(network)
    place = world.place(endpoint)
    attachment = driver.hook.attach(network=network, endpoint=endpoint, netns=place.netns)
    assert attachment is not None
    assert (attachment.mac, attachment.gateways, attachment.routes) == (endpoint.mac, ("10.91.1.1",), ())
    driver.hook.detach(network=network, endpoint=endpoint, netns=place.netns)
    driver.hook.delete_network(network=network)


@pytest.mark.root
def test_every_effect_is_announced_within_the_callers_step(world: World) -> None:
    global watching
    sys.addaudithook(watch)
    set_sysctl("net/ipv4/ip_forward", "0")
    driver, network = world.driver(), world.network()
    watching = True
    try:
        with step("test.network"):
            endpoint = world.endpoint(network)
            netns = world.place(endpoint).netns
            driver.create_network(network)
            driver.attach(network, endpoint, netns)
            driver.publish(network, endpoint, [PortMapping("udp", "0.0.0.0", 8053, 53)])
            driver.detach(network, endpoint, netns)
            driver.delete_network(network)
            world.sandboxes.remove(endpoint.container_id)
        assert outside == []
        driver.create_network(network)
        assert {line.split()[0] for line in outside} == {PREFIX + kind for kind in ("nft", "netlink", "sysctl")}
    finally:
        watching = False
        outside.clear()


def test_the_libraries_come_with_the_first_use_and_not_with_the_driver() -> None:
    program = "import sys, wherry_network.bridge; print({'nftables', 'pyroute2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_all_wrong_options_are_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        parse_options(
            BridgeOptions,
            {
                "com.docker.network.bridge.name": 'a" }; flush ruleset',
                "com.docker.network.bridge.enable_icc": "perhaps",
                "com.docker.network.bridge.host_binding_ipv4": "::1",
                "com.docker.network.driver.mtu": "12",
                "com.docker.network.container_iface_prefix": "averylongprefix",
            },
        )
    assert caught.value.text.count("is not accepted") == 5


def test_options_have_dockers_defaults() -> None:
    options = parse_options(BridgeOptions, {})
    assert options.icc
    assert options.masquerade
    assert (options.bridge_name, options.host_binding, options.mtu, options.interface_prefix) == (
        "",
        "0.0.0.0",
        0,
        "eth",
    )
