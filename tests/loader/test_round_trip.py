"""Every hook of every family can be called from another process: arguments and results survive JSON and come back equal."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, get_type_hints

import attrs
import cattrs.preconf.json
import pytest

from wherry.model.logs import LocalLog, LogInfo, Record
from wherry.model.mounts import Change, Mount, Snapshot, Usage
from wherry.model.networks import Attachment, Endpoint, EndpointState, Network, PortMapping
from wherry.model.runtimes import Runtime
from wherry.spec.base import DriverSpec
from wherry.toolkit.options import parse_options
from wherry_engine.loader.catalog import catalog
from wherry_engine.loader.families import FAMILIES
from wherry_engine.loader.load import SCOPES, load_class

CONVERTER = cattrs.preconf.json.make_converter()
# What the options of each family's driver are in the samples: of a built-in driver, as its user writes them.
OPTIONS: Mapping[str, tuple[str, Mapping[str, Mapping[str, str]]]] = {
    "network": (
        "bridge",
        {
            "OPTIONS": {"com.docker.network.bridge.name": "br9", "com.docker.network.bridge.enable_icc": "false"},
            "ENDPOINT_OPTIONS": {},
        },
    ),
    "volume": ("local", {"OPTIONS": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5"}}),
    "log": ("json-file", {"OPTIONS": {"max-size": "10m", "max-file": "3", "labels": "a,b", "compress": "true"}}),
}


def options(family: str, scope: str = "OPTIONS") -> Any:
    name, given = OPTIONS[family]
    return parse_options(schema(family, name, scope), given[scope])


def schema(family: str, name: str, scope: str) -> Any:
    entry = next(e for e in catalog() if (e.family, e.name, e.distribution) == (family, name, "wherry"))
    return getattr(load_class(entry), scope)


def samples() -> dict[str, tuple[dict[str, Any], Any]]:
    """By "family.hook": arguments and a result, every field filled."""
    network = Network(
        id="n1",
        name="net",
        subnets=("172.18.0.0/16",),
        gateways=("172.18.0.1",),
        internal=True,
        options=options("network"),
    )
    endpoint = Endpoint(
        id="e1", network_id="n1", container_id="c1", interface="eth0", addresses=("172.18.0.2/16",), mac="02:42:ac:12:00:02",
        options=options("network", "ENDPOINT_OPTIONS"),
    )  # fmt: skip
    port = PortMapping("udp", "127.0.0.1", 53, 5353)
    attachment = Attachment("02:42:ac:12:00:02", ("172.18.0.1",), (("10.0.0.0/8", "172.18.0.9"), ("10.1.0.0/16", "")))
    mounts = [Mount("overlay", "overlay", ("lowerdir+=/a", "lowerdir+=/b"), ("password=x",))]
    log = LogInfo(
        container_id="c1", container_name="web", image_name="nginx", image_id="sha256:1", command=("nginx", "-g"),
        labels={"a": "1"}, env={"E": "2"},
    )  # fmt: skip
    local = LocalLog(
        format="json-file", max_size=5, max_files=2, compress=True, attributes={"tag": "t"}, non_blocking=True, buffer=7
    )
    records = [Record(5, "stderr", b"\xff\x00line\n", ("id", 2, True)), Record(6, "stdout", b"", None)]
    config = {"process": {"args": ["a"], "env": []}, "linux": {"seccomp": None}, "n": [1, 2.5, True]}
    pairs = [("Backing Filesystem", "extfs")]
    return {
        **{f"{family}.status": ({}, pairs) for family in FAMILIES},
        "storage.prepare": ({"key": "k", "parent": None, "writable": True, "quota": 1 << 40}, mounts),
        "storage.commit": ({"key": "k", "name": "n"}, None),
        "storage.remove": ({"key": "k"}, None),
        "storage.list_snapshots": ({}, [Snapshot("a", None, True), Snapshot("b", "a", False)]),
        "storage.usage": ({"key": "k"}, Usage(5, 6)),
        "storage.parts": ({"key": "k"}, {"LowerDir": "/a:/b", "UpperDir": "/c"}),
        "storage.changes": ({"key": "k"}, [Change("/a", "added"), Change("/b", "deleted")]),
        "network.create_network": ({"network": network}, None),
        "network.delete_network": ({"network": network}, None),
        "network.attach": ({"network": network, "endpoint": endpoint, "netns": 7}, attachment),
        "network.detach": ({"network": network, "endpoint": endpoint, "netns": None}, None),
        "network.list_networks": ({}, ["n1"]),
        "network.list_endpoints": ({}, [("n1", "e1")]),
        "network.publish": ({"network": network, "endpoint": endpoint, "ports": [port]}, None),
        "network.reconcile": ({"networks": [network], "endpoints": [EndpointState(endpoint, (port,))]}, None),
        "network.differences": (
            {"networks": [network], "endpoints": [EndpointState(endpoint, (port,))]},
            ["a rule is missing"],
        ),
        "network.watch": ({}, 7),
        "network.check": ({}, ["a chain drops"]),
        "network.set_peers": ({"network_id": "n1", "peers": [("a", "m", "n")]}, None),
        "volume.create": ({"name": "v", "options": options("volume")}, "/data/v"),
        "volume.remove": ({"name": "v"}, None),
        "volume.attach": ({"name": "v", "options": options("volume")}, mounts),
        "volume.list_volumes": ({}, ["v"]),
        "volume.detach": ({"name": "v"}, None),
        "volume.usage": ({"name": "v"}, Usage(5, 6)),
        "log.start": ({"log": log, "options": options("log")}, local),
        "log.stop": ({"container_id": "c1"}, None),
        "log.send": ({"container_id": "c1", "records": records}, None),
        "runtime.probe": ({}, Runtime(("/usr/bin/crun", "--x"), "1.8", True)),
        "runtime.recognize": ({"argv": ("/usr/bin/crun", "--x")}, Runtime(("/usr/bin/crun", "--x"), "1.8")),
        "runtime.adapt": ({"config": config}, config),
    }


def hooks(spec: type[DriverSpec]) -> set[str]:
    return {name for name in dir(spec) if hasattr(getattr(spec, name), "wherry_spec")}


HOOKS = sorted(f"{family}.{hook}" for family, spec in FAMILIES.items() for hook in hooks(spec))


def test_every_hook_has_a_sample() -> None:
    assert set(samples()) == set(HOOKS)


def kinds_of(family: str, hook: str) -> dict[str, Any]:
    return get_type_hints(getattr(FAMILIES[family], hook))


def travel(value: Any, kind: Any, family: str) -> Any:
    """Through JSON to the other side, where it is structured by the hook's annotations."""
    return _with_options(CONVERTER.loads(CONVERTER.dumps(value, unstructure_as=kind), kind), family)


def _with_options(value: Any, family: str) -> Any:
    """Structure the options inside, which the model calls Any, as the driver's own classes."""
    if isinstance(value, (list, tuple)) and not attrs.has(type(value)):
        return type(value)(_with_options(item, family) for item in value)
    if isinstance(value, EndpointState):
        return attrs.evolve(value, endpoint=_with_options(value.endpoint, family))
    if isinstance(value, (Network, Endpoint)):
        scope = "OPTIONS" if isinstance(value, Network) else "ENDPOINT_OPTIONS"
        return attrs.evolve(
            value, options=CONVERTER.structure(value.options, schema(family, OPTIONS[family][0], scope))
        )
    return value


def equal(first: Any, second: Any) -> bool:
    """Equal, where a sequence may come back as another kind of sequence."""
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(equal, first, second))
    return type(first) is type(second) and bool(first == second)


@pytest.mark.parametrize("name", HOOKS)
def test_arguments_and_results_survive_the_way_to_another_process(name: str) -> None:
    family, _, hook = name.partition(".")
    arguments, result = samples()[name]
    kinds = kinds_of(family, hook)
    assert set(arguments) == set(kinds) - {"return"}
    for argument, value in arguments.items():
        kind = kinds[argument]
        if kind is Any:  # options: the driver's own class
            kind = schema(family, OPTIONS[family][0], "OPTIONS")
        assert equal(travel(value, kind, family), value), argument
    if kinds["return"] is type(None):
        assert result is None
    else:
        assert equal(travel(result, kinds["return"], family), result)


def test_what_may_be_missing_may_come_back_missing() -> None:
    for name, value in (("network.attach", None), ("volume.create", None)):
        family, _, hook = name.partition(".")
        kind = kinds_of(family, hook)["return"]
        assert type(None) in typing.get_args(kind)
        assert travel(value, kind, family) is None


def test_the_options_of_every_built_in_driver_can_travel() -> None:
    for entry in catalog():
        if entry.distribution != "wherry" or entry.family not in FAMILIES:
            continue
        cls = load_class(entry)
        for scope in SCOPES:
            kind: Any = getattr(cls, scope, None)
            if kind is None or any(f.default is attrs.NOTHING for f in attrs.fields(kind)):
                continue
            assert travel(kind(), kind, entry.family) == kind()
