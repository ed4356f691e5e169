"""What run and create make of their flags; the same lines are given to Docker's own client in test_against_docker."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.cli.client import Client
from tests.cli.fake_daemon import FakeDaemon, Reply
from tests.cli.fake_data import ident


@pytest.fixture(autouse=True)
def _creates(daemon: FakeDaemon) -> None:
    daemon.on("POST", "/containers/create", Reply(201, {"Id": ident("1"), "Warnings": []}))


def made(daemon: FakeDaemon, wherry: Client, *words: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    ran = wherry("create", *words, "busybox", environment=environment)
    assert (ran.status, ran.out, ran.err) == (0, ident("1") + "\n", "")
    body: dict[str, Any] = daemon.last("POST", "/containers/create").json
    return body


def host(daemon: FakeDaemon, wherry: Client, *words: str) -> dict[str, Any]:
    config: dict[str, Any] = made(daemon, wherry, *words)["HostConfig"]
    return config


def test_only_what_was_said_is_sent(daemon: FakeDaemon, wherry: Client) -> None:
    assert made(daemon, wherry) == {
        "Image": "busybox",
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"NetworkMode": "default", "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
    }


def test_the_command_follows_the_image_with_its_own_flags(daemon: FakeDaemon, wherry: Client) -> None:
    wherry("create", "--name", "n", "--platform", "linux/amd64", "busybox", "ls", "-l", "--all")
    request = daemon.last("POST", "/containers/create")
    assert request.json["Cmd"] == ["ls", "-l", "--all"]
    assert request.query == {"name": "n", "platform": "linux/amd64"}


def test_variables_come_from_files_flags_and_this_shell(daemon: FakeDaemon, wherry: Client, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text('\ufeff# comment\nA=1\n\n  B=two words \nHERE\nNOT_HERE\nQ="x"\n')
    found = made(
        daemon,
        wherry,
        "--env-file",
        str(file),
        "-e",
        "A=3",
        "-e",
        "HERE",
        "-e",
        "NOT_HERE",
        "-e",
        "E=",
        environment={"HERE": "yes"},
    )
    assert found["Env"] == ["A=1", "B=two words ", "HERE=yes", 'Q="x"', "A=3", "HERE=yes", "NOT_HERE", "E="]


def test_ports_are_published_alone_in_ranges_and_on_addresses(daemon: FakeDaemon, wherry: Client) -> None:
    words = [
        "-p",
        "80",
        "-p",
        "127.0.0.1:8081:81/udp",
        "-p",
        "[::1]:82:82",
        "-p",
        "100-101:200-201",
        "-p",
        "300-310:53",
        "--expose",
        "7-8",
    ]
    found = made(daemon, wherry, *words)
    assert found["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": ""}],
        "81/udp": [{"HostIp": "127.0.0.1", "HostPort": "8081"}],
        "82/tcp": [{"HostIp": "::1", "HostPort": "82"}],
        "200/tcp": [{"HostIp": "", "HostPort": "100"}],
        "201/tcp": [{"HostIp": "", "HostPort": "101"}],
        "53/tcp": [{"HostIp": "", "HostPort": "300-310"}],
    }
    assert set(found["ExposedPorts"]) == {
        "80/tcp",
        "81/udp",
        "82/tcp",
        "200/tcp",
        "201/tcp",
        "53/tcp",
        "7/tcp",
        "8/tcp",
    }


def test_volumes_are_binds_or_anonymous(daemon: FakeDaemon, wherry: Client) -> None:
    found = made(
        daemon, wherry, "-v", "data:/srv:ro", "-v", "/anonymous", "-v", "./here:/there", "--tmpfs", "/t:size=1m"
    )
    assert found["HostConfig"]["Binds"] == ["data:/srv:ro", f"{Path.cwd()}/here:/there"]
    assert found["Volumes"] == {"/anonymous": {}}
    assert found["HostConfig"]["Tmpfs"] == {"/t": "size=1m"}


def test_mounts_are_read_with_their_options(daemon: FakeDaemon, wherry: Client) -> None:
    words = ["--mount", "type=bind,src=/a,dst=/b,ro,bind-propagation=rslave"]
    words += ["--mount", "source=v,target=/v,volume-nocopy,volume-label=a=b,volume-driver=d,volume-opt=o=x"]
    words += ["--mount", "type=tmpfs,dst=/t,tmpfs-size=10m,tmpfs-mode=1770"]
    assert host(daemon, wherry, *words)["Mounts"] == [
        {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}},
        {
            "Type": "volume",
            "Source": "v",
            "Target": "/v",
            "VolumeOptions": {
                "NoCopy": True,
                "Labels": {"a": "b"},
                "DriverConfig": {"Name": "d", "Options": {"o": "x"}},
            },
        },
        {"Type": "tmpfs", "Source": "", "Target": "/t", "TmpfsOptions": {"SizeBytes": 10485760, "Mode": 0o1770}},
    ]


def test_networks_bring_their_endpoints(daemon: FakeDaemon, wherry: Client) -> None:
    found = made(daemon, wherry, "--network", "n", "--ip", "10.0.0.5", "--network-alias", "a", "--link", "c:d")
    assert found["HostConfig"]["NetworkMode"] == "n"
    assert found["NetworkingConfig"]["EndpointsConfig"] == {
        "n": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}, "Links": ["c:d"]}
    }
    found = made(daemon, wherry, "--network", "name=x,alias=a1,ip=10.0.0.2,driver-opt=k=v,gw-priority=5", "--net", "y")
    assert found["HostConfig"]["NetworkMode"] == "x"
    endpoint = {"Aliases": ["a1"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}, "DriverOpts": {"k": "v"}, "GwPriority": 5}
    assert found["NetworkingConfig"]["EndpointsConfig"] == {"x": endpoint, "y": {}}


def test_limits_reach_the_host_configuration(daemon: FakeDaemon, wherry: Client) -> None:
    line = "-m 512m --memory-swap -1 --cpus 0.5 -c 512 --cpuset-cpus 0-1 --pids-limit -1 --memory-swappiness 0 --shm-size 1g"
    line += " --ulimit nofile=100:200 --ulimit core=-1 --device /dev/null:/dev/n:r"
    found = host(daemon, wherry, *shlex.split(line))
    expected = {"Memory": 512 << 20, "MemorySwap": -1, "NanoCpus": 500_000_000, "CpuShares": 512, "CpusetCpus": "0-1"}
    expected |= {"PidsLimit": -1, "MemorySwappiness": 0, "ShmSize": 1 << 30}
    assert {name: found[name] for name in expected} == expected
    assert found["Ulimits"] == [{"Name": "core", "Soft": -1, "Hard": -1}, {"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert found["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}]


def test_security_options_carry_the_profiles_content(daemon: FakeDaemon, wherry: Client, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{\n "defaultAction": "SCMP_ACT_ALLOW"\n}')
    words = [
        "--security-opt",
        f"seccomp={profile}",
        "--security-opt",
        "no-new-privileges",
        "--security-opt",
        "systempaths=unconfined",
    ]
    found = host(daemon, wherry, *words, "--cap-add", "net_admin", "--cap-drop", "ALL", "--privileged")
    assert found["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}', "no-new-privileges"]
    assert (found["MaskedPaths"], found["ReadonlyPaths"]) == ([], [])
    assert (found["CapAdd"], found["CapDrop"], found["Privileged"]) == (["CAP_NET_ADMIN"], ["ALL"], True)


def test_entry_points_can_be_replaced_and_removed(daemon: FakeDaemon, wherry: Client) -> None:
    assert made(daemon, wherry, "--entrypoint", "sh")["Entrypoint"] == ["sh"]
    assert made(daemon, wherry, "--entrypoint", "")["Entrypoint"] == [""]
    assert "Entrypoint" not in made(daemon, wherry)


def test_health_checks_are_in_nanoseconds(daemon: FakeDaemon, wherry: Client) -> None:
    found = made(daemon, wherry, "--health-cmd", "true", "--health-interval", "5s", "--health-retries", "2")
    assert found["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000, "Retries": 2}
    assert made(daemon, wherry, "--no-healthcheck")["Healthcheck"] == {"Test": ["NONE"]}


def test_restart_policies_count(daemon: FakeDaemon, wherry: Client) -> None:
    assert host(daemon, wherry, "--restart", "on-failure:3")["RestartPolicy"] == {
        "Name": "on-failure",
        "MaximumRetryCount": 3,
    }


def test_logging_options_go_with_their_driver(daemon: FakeDaemon, wherry: Client) -> None:
    found = host(daemon, wherry, "--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3")
    assert found["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-p", "foo"], "invalid containerPort: foo"),
        (["-p", "x:80"], "invalid hostPort: x"),
        (["-p", "80-81:90-95"], "invalid ranges specified for container and host Ports: 90-95 and 80-81"),
        (["-p", "80/icmp"], "invalid proto: icmp"),
        (["-p", "1.2.3.400:80:80"], "invalid IP address: 1.2.3.400"),
        (
            ["-v", "a:b", "--mount", "type=bind,src=/x"],
            'invalid argument "type=bind,src=/x" for "--mount" flag: target is required',
        ),
        (["--mount", "type=bind,dst=/x,volume-nocopy"], "cannot mix 'volume-*' options with mount type 'bind'"),
        (["--mount", "dst=/x,foo=bar"], "unexpected key 'foo' in 'foo=bar'"),
        (["--rm", "--restart", "always"], "conflicting options: cannot specify both --restart and --rm"),
        (["--cpus", "x"], 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'),
        (["--ulimit", "nope=1"], "invalid ulimit type: nope"),
        (["--ulimit", "core=5:3"], "ulimit soft limit must be less than or equal to hard limit: 5 > 3"),
        (["--env-file", "/nonexistent"], "open /nonexistent: no such file or directory"),
        (["--network", "a", "--network", "a"], 'network "a" is specified multiple times'),
        (
            ["--network", "name=a,alias=x", "--network-alias", "y"],
            "cannot specify both --network-alias and per-network alias",
        ),
        (["--network", "host", "--network", "a"], "conflicting options"),
        (["--add-host", "x"], 'bad format for add-host: "x"'),
        (["--security-opt", "seccomp=/nonexistent"], "opening seccomp profile (/nonexistent) failed"),
        (["--device", "a:b:c:d"], "invalid device specification"),
        (["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-* options"),
        (["--restart", ":3"], "no policy provided before colon"),
        (["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (["--memory-swappiness", "101"], "Valid memory swappiness range is 0-100"),
        (["-a", "STDWHAT"], "valid streams are STDIN, STDOUT and STDERR"),
    ],
)
def test_wrong_values_end_in_125_before_anything_is_asked(
    daemon: FakeDaemon, wherry: Client, words: list[str], text: str
) -> None:
    ran = wherry("run", *words, "busybox")
    assert ran.status == 125
    assert text in ran.err
    assert daemon.requests == []
