"""What a container finds in /etc/hosts, /etc/hostname and /etc/resolv.conf, and what of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from wherry.errors import Conflict, Invalid, NotFound
from wherry.model.configs import Config, HostConfig
from wherry.model.containers import Container, State
from wherry.model.networks import EndpointRecord, EndpointSpec, NetworkRecord, NetworkSpec
from wherry.model.sandboxes import NameServer
from wherry_engine.daemon.config_load import load
from wherry_engine.engine import container_files, links, resolv_conf, sandbox_views
from wherry_engine.engine.container_files import Folders, Surroundings, hosts
from wherry_engine.engine.resolv_conf import ResolvConf, parse

ID = "abcdef123456" + "0" * 52


def container(name: str = "web", *, host: HostConfig | None = None, running: bool = True, **config: Any) -> Container:
    return Container(
        id=ID, name=name, created_ns=0, config=Config(**({"hostname": ID[:12]} | config)), host=host or HostConfig(network_mode="bridge"),
        image_id="", storage_driver="", log_driver="", runtime="", path="true", networks={"bridge": record("172.17.0.2/16")},
        state=State(status="running" if running else "exited"),
    )  # fmt: skip


def record(address: str, **more: Any) -> EndpointRecord:
    return EndpointRecord(network_id="n", spec=EndpointSpec(), address=address, **more)


def own_lines(given: Container, *addresses: str, linked: tuple[tuple[str, str], ...] = ()) -> list[str]:
    around = Surroundings(ResolvConf(), "172.17.0.1", linked)
    networks = {address: record(address) for address in addresses}
    return hosts(given, networks, around).splitlines()


# --- hosts ---


def test_a_container_finds_itself_at_each_of_its_addresses() -> None:
    assert own_lines(container(), "172.17.0.2/16", "10.0.0.2/24") == [
        "172.17.0.2\tabcdef123456",
        "10.0.0.2\tabcdef123456",
    ]
    assert own_lines(container(), "") == []


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (Config(hostname="h"), "h"),
        (Config(hostname="h", domainname="example.org"), "h.example.org h"),
        (Config(hostname="h.example.org"), "h.example.org h"),
    ],
)
def test_a_full_name_comes_with_its_first_part(config: Config, names: str) -> None:
    given = attrs.evolve(container(), config=config)
    assert own_lines(given, "10.0.0.2/24") == [f"10.0.0.2\t{names}"]


def test_added_hosts_come_first_and_may_mean_the_host() -> None:
    asked = ("one:1.2.3.4", "two=::1", "three=[fe80::1]", "host.docker.internal:host-gateway")
    given = container(host=HostConfig(extra_hosts=asked))
    lines = own_lines(given, "10.0.0.2/24", linked=(("172.17.0.9", "db other"),))
    expected = [
        "1.2.3.4\tone",
        "::1\ttwo",
        "fe80::1\tthree",
        "172.17.0.1\thost.docker.internal",
        "172.17.0.9\tdb other",
    ]
    assert lines == [*expected, "10.0.0.2\tabcdef123456"]


def test_a_container_in_the_hosts_network_has_the_hosts_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost me\n")
    monkeypatch.setattr(container_files, "HOST_HOSTS", tmp_path / "hosts")
    given = container(hostname="", host=HostConfig(network_mode="host", extra_hosts=("one:1.2.3.4",)))
    folders = Folders(tmp_path, tmp_path)
    folders.container(given.id).mkdir(parents=True)
    container_files.write_files(folders, given, {}, Surroundings(ResolvConf(("9.9.9.9",)), "172.17.0.1"))
    files = folders.files(given)
    assert Path(files.hosts).read_text() == "127.0.0.1 localhost me\n1.2.3.4\tone\n"
    assert Path(files.resolv_conf).read_text() == "nameserver 9.9.9.9\n"


def test_the_files_of_a_container_in_anothers_network_are_that_ones() -> None:
    folders = Folders(Path("/data"), Path("/run"))
    given = container(host=HostConfig(network_mode="container:other"))
    assert folders.files(given).hosts == "/data/containers/other/hosts"
    assert folders.files(container()).hosts == f"/data/containers/{ID}/hosts"


@pytest.mark.parametrize(
    "host",
    [
        HostConfig(extra_hosts=("one",)),
        HostConfig(extra_hosts=(":1.2.3.4",)),
        HostConfig(extra_hosts=("one:1.2.3.4\n6.6.6.6 bank",)),
        HostConfig(extra_hosts=("one two:1.2.3.4",)),
        HostConfig(extra_hosts=("one:1.2.3",)),
        HostConfig(dns=("9.9.9.9\noptions x",)),
        HostConfig(dns=("dns.example",)),
        HostConfig(dns_search=("a b",)),
        HostConfig(dns_search=("",)),
        HostConfig(dns_options=("ndots:1\nnameserver 6.6.6.6",)),
    ],
)
def test_values_that_are_not_one_word_are_refused(host: HostConfig) -> None:
    assert len([*container_files.faults(Config(), host), *resolv_conf.faults(host)]) == 1


@pytest.mark.parametrize("name", ["a b", "a\nb", "-a", "a/b", "ä", "x" * 65])
def test_a_host_name_must_be_one(name: str) -> None:
    assert list(container_files.faults(Config(hostname=name), HostConfig())) == [f"invalid hostname format: {name}"]
    assert list(container_files.faults(Config(hostname="ok-1.x_y"), HostConfig())) == []


# --- resolv.conf ---


@pytest.fixture
def of_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resolv_conf, "HOST", tmp_path / "resolv.conf")
    monkeypatch.setattr(resolv_conf, "BEHIND_STUB", tmp_path / "behind")
    (tmp_path / "resolv.conf").write_text(
        "# who\n; what\nnameserver 192.0.2.53\nnameserver 127.0.0.1\nnameserver ::1\nnameserver fe80::1%eth0\n"
        "nameserver 2001:db8::53\nsearch old.example\nsearch corp.example home.example\noptions edns0 timeout:1\n"
    )
    return tmp_path


def test_without_names_a_container_gets_the_hosts_servers_that_it_can_reach(of_host: Path) -> None:
    text = resolv_conf.direct(HostConfig()).text()
    assert text == "nameserver 192.0.2.53\nsearch corp.example home.example\noptions edns0 timeout:1\n"


def test_a_host_that_names_only_itself_leaves_public_servers(of_host: Path) -> None:
    (of_host / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    assert resolv_conf.direct(HostConfig()).servers == ("8.8.8.8", "8.8.4.4")
    (of_host / "resolv.conf").unlink()
    assert resolv_conf.direct(HostConfig()).servers == ("8.8.8.8", "8.8.4.4")


def test_behind_systemds_stub_are_the_servers_that_it_asks(of_host: Path) -> None:
    (of_host / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    (of_host / "behind").write_text("nameserver 192.0.2.1\nsearch lan\n")
    assert resolv_conf.direct(HostConfig()) == ResolvConf(("192.0.2.1",), ("lan",))


def test_what_was_asked_for_replaces_what_the_host_has(of_host: Path) -> None:
    host = HostConfig(dns=("127.0.0.1", "::1"), dns_search=("x.example",), dns_options=("ndots:3",))
    for found in (resolv_conf.direct(host), resolv_conf.of_host(host)):
        assert found == ResolvConf(("127.0.0.1", "::1"), ("x.example",), ("ndots:3",))
    assert resolv_conf.direct(HostConfig(dns_search=(".",))).search == ()


def test_the_hosts_network_has_the_hosts_servers(of_host: Path) -> None:
    assert resolv_conf.of_host(HostConfig()) == parse((of_host / "resolv.conf").read_text())


def test_with_names_our_resolver_is_asked_and_knows_whom_to_ask(of_host: Path) -> None:
    assert resolv_conf.by_resolver(HostConfig()).text() == (
        "nameserver 127.0.0.11\nsearch corp.example home.example\noptions edns0 timeout:1 ndots:0\n"
    )
    assert resolv_conf.by_resolver(HostConfig(dns_options=("ndots:2",))).options == ("ndots:2",)
    assert resolv_conf.upstream(HostConfig())[:3] == (
        NameServer("192.0.2.53"), NameServer("127.0.0.1", True), NameServer("::1", True),
    )  # fmt: skip
    assert resolv_conf.upstream(HostConfig(dns=("127.0.0.1",))) == (NameServer("127.0.0.1"),)
    assert resolv_conf.keeps_short_names(HostConfig(dns_options=("ndots:2",)))
    assert not resolv_conf.keeps_short_names(HostConfig(dns_options=("ndots:0",)))


def test_the_daemons_servers_are_for_those_that_name_none(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text('{"dns": ["192.0.2.9"], "dns-opts": ["ndots:3"]}')
    config = load(
        ["--config-file", str(tmp_path / "daemon.json"), "--dns-search", "a.example", "--dns-search", "b.example"]
    )
    defaults = ResolvConf(config.dns, config.dns_search, config.dns_opts)
    assert defaults == ResolvConf(("192.0.2.9",), ("a.example", "b.example"), ("ndots:3",))
    own = resolv_conf.with_defaults(HostConfig(dns=("9.9.9.9",)), defaults)
    assert resolv_conf.direct(own) == ResolvConf(("9.9.9.9",), ("a.example", "b.example"), ("ndots:3",))
    with pytest.raises(Invalid, match=r"bad nameserver address dns.example"):
        load(["--dns", "dns.example"])


# --- links ---


def linking(*texts: str, mode: str = "bridge") -> Container:
    return container("web", host=HostConfig(network_mode=mode, links=texts))


def test_a_link_gives_lines_and_variables() -> None:
    other = container("db", env=("SECRET=1", "PATH=/bin", "HOME=/"), exposed_ports=("5432/tcp", "53/udp"), hostname="h")
    (each,) = links.linked(linking("/db:the-db"), lambda _: other)
    assert links.host_line(each) == ("172.17.0.2", "the-db h db")
    assert list(links.variables(linking(), each)) == [
        "THE_DB_PORT=udp://172.17.0.2:53",
        "THE_DB_PORT_53_UDP=udp://172.17.0.2:53",
        "THE_DB_PORT_53_UDP_ADDR=172.17.0.2",
        "THE_DB_PORT_53_UDP_PORT=53",
        "THE_DB_PORT_53_UDP_PROTO=udp",
        "THE_DB_PORT_5432_TCP=tcp://172.17.0.2:5432",
        "THE_DB_PORT_5432_TCP_ADDR=172.17.0.2",
        "THE_DB_PORT_5432_TCP_PORT=5432",
        "THE_DB_PORT_5432_TCP_PROTO=tcp",
        "THE_DB_NAME=/web/the-db",
        "THE_DB_ENV_SECRET=1",
    ]


def test_a_link_needs_a_container_that_runs_in_the_default_network() -> None:
    with pytest.raises(Conflict, match=r"Cannot link to a non running container: /db AS /web/x"):
        links.linked(linking("db:x"), lambda _: container("db", running=False))

    def nobody(name: str) -> Container:
        raise NotFound(f"No such container: {name}")

    with pytest.raises(Invalid, match="could not get container for db: No such container: db"):
        links.check(linking("db"), nobody)


def test_a_link_in_a_network_with_names_is_a_name() -> None:
    network = NetworkRecord(id="n", created_ns=0, spec=NetworkSpec(name="net"))
    given = linking("/db:x", "other", mode="net")
    assert links.pairs(given) == []
    seen = sandbox_views.view(given, {"net": record("10.0.0.2/24", dns_names=("web",))}, Path("/ns"), lambda _: network)
    assert seen.places[0].links == {"x": "db", "other": "other"}
    assert (seen.places[0].address, seen.places[0].names, seen.servers) == ("10.0.0.2", ("web",), ())


def test_the_predefined_networks_have_no_names_but_may_lead_to_servers(of_host: Path) -> None:
    network = NetworkRecord(id="n", created_ns=0, spec=NetworkSpec(name="bridge"), predefined=True)
    records = {"bridge": record("172.17.0.2/16", gateway="172.17.0.1")}
    seen = sandbox_views.view(container(), records, Path("/ns"), lambda _: network)
    assert seen.places == ()
    assert seen.servers[0] == NameServer("192.0.2.53")
    assert not sandbox_views.is_named(records, lambda _: network)
