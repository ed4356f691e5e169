"""The configuration: what flags and file may say together, what is refused, and with which words."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import attrs
import pytest
from scripts.engine import ROOT

from wherry.errors import Invalid
from wherry.model.configs import Ulimit
from wherry.model.runtimes import RuntimeProgram
from wherry_engine.daemon.config import Config
from wherry_engine.daemon.config_keys import KEYS, REFUSED, SECTIONS
from wherry_engine.daemon.config_load import load

WHERRYD = (str(ROOT / ".venv/bin/wherryd"),)
POOLS = '[{"base": "10.10.0.0/16", "size": 24}]'


def in_file(folder: Path, values: object, *flags: str) -> Config:
    """What a file with these values comes to."""
    (folder / "daemon.json").write_text(values if isinstance(values, str) else json.dumps(values))
    return load(["--config-file", str(folder / "daemon.json"), *flags])


def refusal(folder: Path, values: object, *flags: str) -> str:
    with pytest.raises(Invalid) as caught:
        in_file(folder, values, *flags)
    return caught.value.text


def test_every_key_sets_a_field_of_its_own_and_every_field_has_one() -> None:
    fields = {field.name for field in attrs.fields(Config)}
    assert sorted(key.sets for key in KEYS.values()) == sorted(fields - {"idle", "insecure_tcp"})
    assert sum(len(keys) for keys in SECTIONS.values()) == len(KEYS)
    assert not REFUSED.keys() & KEYS.keys()


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"log-opts": {"max-file": 3}}, 'log-opts: the values must be texts, as in {"max-file": "3"}; max-file is not'),
        ({"default-ulimits": {"nofile": 5}}, "default-ulimits: each is"),
        ({"default-shm-size": "lots"}, "default-shm-size: a size is"),
        ({"default-shm-size": []}, "default-shm-size: it must be a text"),
        ({"init": "yes"}, "init: it must be true or false"),
        ({"hosts": "unix:///x"}, "hosts: it must be a list of texts"),
        ({"log-level": "loud"}, "log-level: it must be one of debug, info, warn, error, fatal, not 'loud'"),
        ({"log-format": "xml"}, "log-format: it must be one of text, json"),
        ({"shutdown-timeout": -1}, "shutdown-timeout: it must be a whole number, 0 or more"),
        ({"max-concurrent-downloads": 0}, "max-concurrent-downloads: it must be a whole number, 1 or more"),
        ({"mtu": 20}, "mtu: it must be a number from 68 to 65535"),
        ({"ip": "::1"}, "ip: it must be an IPv4 address"),
        ({"bip": "172.20.0.0/16"}, "bip: write an IPv4 address with its prefix, as 172.17.0.1/16"),
        ({"bip": "172.20.0.1"}, "bip: write an IPv4 address with its prefix"),
        ({"fixed-cidr": "172.20.0.1/16"}, "fixed-cidr: it must be an IPv4 subnet"),
        ({"bip": "10.1.0.1/24", "fixed-cidr": "10.2.0.0/25"}, "fixed-cidr 10.2.0.0/25 is not in the subnet 10.1.0.0/24"),
        ({"bip": "10.1.0.1/24", "default-gateway": "10.2.0.9"}, "default-gateway 10.2.0.9 is not in the subnet"),
        ({"default-gateway": "10.2.0.9"}, "default-gateway needs bip as well"),
        ({"bridge": "none", "bip": "10.1.0.1/24"}, "bridge none and bip exclude each other"),
        ({"bridge": "br0"}, "docker network create -o com.docker.network.bridge.name=br0"),
        ({"default-address-pools": [{"base": "10.0.0.0/16"}]}, f"default-address-pools: it must be a list as {POOLS}"),
        ({"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}, "subnets of size 8 do not fit into 10.0.0.0/16"),
        ({"labels": ["a=1", "a=2"]}, "conflict labels for a=1 and a=2"),
        ({"labels": ["a"]}, "bad attribute format: a"),
        ({"runtimes": {"runc": {"path": "x"}}}, "runtime name 'runc' is reserved"),
        ({"runtimes": {"x": {"runtimeType": "io"}}}, "runtimeType of x is not supported"),
        ({"runtimes": {"x": {}}}, "x needs the path of an OCI runtime's program"),
        ({"exec-opts": ["native.cgroupdriver=systemd"]}, "use native.cgroupdriver=cgroupfs"),
        ({"exec-opts": ["other=1"]}, "unknown option other: there is native.cgroupdriver"),
        ({"storage-opts": ["size=1"]}, "'size=1' must be DRIVER.KEY=VALUE"),
        ({"registry-mirrors": ["example.com"]}, 'invalid mirror: "example.com": write http:// or https://'),
        ({"registry-mirrors": ["https://example.com/a"]}, "no user, path, query or fragment may follow the host"),
        ({"insecure-registries": ["http://example.com"]}, "should not contain '://'"),
        ({"features": {"containerd-snapshotter": True}}, "containerd-snapshotter cannot be switched on"),
        ({"proxies": {"ftp-proxy": "x"}}, "ftp-proxy is unknown: there are http-proxy, https-proxy, no-proxy"),
        ({"iptables": False}, "iptables: false is not supported: this engine's rules are nftables'"),
        ({"seccomp-profile": "/nowhere"}, "the profile /nowhere cannot be read"),
        ({"dns": ["dns.example"]}, "bad nameserver address dns.example"),
        ({"cgroup-parent": "/../x"}, "it must be the path of a control group"),
        ({"graph": "/x"}, "graph is not supported: it is called data-root"),
        ({"userns-remap": "default"}, "userns-remap is not supported: containers have the host's user ids"),
        ({"lables": ["a=1"]}, "configuration option: lables (did you mean labels"),
        ("{nonsense", "cannot be read: Expecting property name"),
        ("[]", "must hold one JSON object"),
    ],
)  # fmt: skip
def test_a_faulty_value_is_named_with_what_would_have_been_right(tmp_path: Path, values: object, fault: str) -> None:
    assert fault in refusal(tmp_path, values)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, {"mtu": 1, "init": 3, "labels": ["x"]})
    assert all(f"{name}: " in text for name in ("mtu", "init", "labels"))


@pytest.mark.parametrize("text", ["", "{}", "\ufeff{}", " \n"])
def test_a_file_may_say_nothing(tmp_path: Path, text: str) -> None:
    assert in_file(tmp_path, text) == Config()


def test_keys_that_ask_for_nothing_new_are_accepted(tmp_path: Path) -> None:
    quiet = {
        "iptables": True,
        "ip6tables": True,
        "selinux-enabled": False,
        "authorization-plugins": [],
        "userns-remap": "",
    }
    assert in_file(tmp_path, quiet) == Config()


def test_what_flag_and_file_both_say_is_refused_but_for_runtimes(tmp_path: Path) -> None:
    text = refusal(tmp_path, {"labels": ["a=1"], "mtu": 1400}, "--label", "b=2", "--mtu", "1400")
    assert "the following directives are specified both as a flag and in the configuration file" in text
    assert 'labels: (from flag: ["b=2"], from file: ["a=1"])' in text
    assert "mtu: (from flag: 1400, from file: 1400)" in text
    config = in_file(tmp_path, {"runtimes": {"a": {"path": "/a", "runtimeArgs": ["-v"]}}}, "--add-runtime", "b=/b")
    assert config.runtimes == {"a": RuntimeProgram("/a", ("-v",)), "b": RuntimeProgram("/b")}


def test_flags_say_what_the_file_says() -> None:
    flags = [
        "--default-ulimit", "nofile=1:2", "--default-ulimit", "nproc=5", "--log-opt", "max-size=1m",
        "--default-address-pool", "base=10.10.0.0/16,size=24", "--debug", "--live-restore=false", "--mtu", "1400",
        "--storage-opt", "overlay2.x=1", "--storage-opt", "overlay2.y=2", "--registry-mirror", "https://m.example",
    ]  # fmt: skip
    config = load(flags)
    assert config.default_ulimits == (Ulimit(name="nofile", soft=1, hard=2), Ulimit(name="nproc", soft=5, hard=5))
    assert (config.log_opts, config.default_address_pools) == ({"max-size": "1m"}, (("10.10.0.0/16", 24),))
    assert (config.debug, config.live_restore, config.mtu) == (True, False, 1400)
    assert config.driver_configs == {"storage/overlay2": {"x": "1", "y": "2"}}
    assert (config.registry_mirrors, config.idle) == (("https://m.example/",), ("registry-mirrors",))
    for flag, word, fault in (
        ("--default-ulimit", "nofile", "--default-ulimit: 'nofile' must be NAME=VALUE"),
        ("--default-ulimit", "nofile=x", "--default-ulimit: nofile=x must be NAME=SOFT or NAME=SOFT:HARD"),
        ("--default-address-pool", "10.0.0.0/8", "--default-address-pool: '10.0.0.0/8' must be NAME=VALUE"),
        ("--default-address-pool", "base=1", "--default-address-pool: 'base=1' must be as base=10.10.0.0/16,size=24"),
    ):
        with pytest.raises(Invalid) as caught:
            load([flag, word])
        assert fault in caught.value.text


def test_a_configuration_is_validated_without_starting_anything(tmp_path: Path) -> None:
    def validate(text: str) -> tuple[int, str, str]:
        (tmp_path / "daemon.json").write_text(text)
        command = [*WHERRYD, "--validate", "--config-file", str(tmp_path / "daemon.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout, done.stderr

    assert validate('{"mtu": 1400}') == (0, "configuration OK\n", "")
    status, out, complaint = validate('{"mut": 1400}')
    assert (status, out) == (1, "")
    assert "don't match any configuration option: mut (did you mean mtu" in complaint
    missing = subprocess.run(
        [*WHERRYD, "--validate", "--config-file", "/nowhere"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (missing.returncode, missing.stderr) == (1, "wherryd: the configuration file /nowhere does not exist\n")
