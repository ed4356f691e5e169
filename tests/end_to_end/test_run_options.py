"""The options of `docker run` that people use every day, each by what it does to a real container."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.end_to_end.conftest import Client

from wherry.linux import cgroups

pytestmark = [pytest.mark.root, pytest.mark.peer]
QUICK = ("--stop-signal", "KILL")
FOR_EVER = ("busybox", "sleep", "1000")


def output(docker: Client, *words: str) -> str:
    """What a container prints that is gone afterwards."""
    return docker.text("run", "--rm", *words).strip()


def page(port: int, path: str = "") -> str:
    """What a port of the host serves, as soon as it does."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError(f"nothing serves port {port}")


def limit(docker: Client, name: str, first: str, second: str) -> str:
    """A control group's file of a running container: its name in version 1, and in version 2."""
    pid = docker.text("inspect", name, "-f", "{{.State.Pid}}").strip()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if cgroups.version() == 1 and first.split(".")[0] in controllers.split(","):
            return (Path("/sys/fs/cgroup") / first.split(".")[0] / group.lstrip("/") / first).read_text().strip()
        if cgroups.version() == 2 and not controllers:
            return (Path("/sys/fs/cgroup") / group.lstrip("/") / second).read_text().strip()
    raise AssertionError(f"container {name} has no control group")


def test_a_detached_run_prints_the_id_and_goes_on(shared: Client) -> None:
    id = shared.text("run", "-d", "--name", "web", *QUICK, *FOR_EVER).strip()
    assert len(id) == 64
    assert shared.text("ps", "-q", "--no-trunc").strip() == id
    assert shared.inspect("web")["State"]["Running"]


def test_variables_come_from_the_line_then_files_then_the_image(
    shared: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.run("create", "--name", "base", "busybox")
    changes = [word for text in ("ENV A=image", "ENV B=image", "ENV C=image") for word in ("-c", text)]
    shared.run("commit", *changes, "base", "with-variables")
    file = tmp_path / "config.env"
    file.write_text('# a comment\nA=file\nB=file with "quotes"\nCOPIED\nGONE\n\n')
    monkeypatch.setenv("COPIED", "the client's")
    monkeypatch.delenv("GONE", raising=False)
    shown = output(shared, "--env-file", str(file), "-e", "A=line", "-e", "EMPTY=", "with-variables", "env")
    variables = dict(line.split("=", 1) for line in shown.splitlines())
    found = {key: variables.get(key) for key in ("A", "B", "C", "COPIED", "GONE", "EMPTY")}
    assert found == {
        "A": "line", "B": 'file with "quotes"', "C": "image", "COPIED": "the client's", "GONE": None, "EMPTY": "",
    }  # fmt: skip
    assert "no such file" in shared.fails("run", "--env-file", str(tmp_path / "none"), "busybox", status=125)


def test_a_published_port_answers_on_the_host(shared: Client) -> None:
    shared.run("run", "-d", "--name", "web", *QUICK, "-p", "18080:80", "busybox", "httpd", "-f", "-h", "/etc")
    assert "root" in page(18080, "group")
    assert shared.text("port", "web").splitlines()[0] == "80/tcp -> 0.0.0.0:18080"
    shared.run("stop", "web")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen("http://127.0.0.1:18080/group", timeout=2)


def test_ports_take_ranges_addresses_protocols_and_chance(shared: Client) -> None:
    ports = ("-p", "18090-18092:90-92", "-p", "127.0.0.1:18081:81/udp", "-p", "127.0.0.1::83")
    shared.run("run", "-d", "--name", "web", *QUICK, *ports, *FOR_EVER)
    for number in range(90, 93):
        assert shared.text("port", "web", f"{number}/tcp").splitlines()[0] == f"0.0.0.0:18{number:03}"
    assert shared.text("port", "web", "81/udp") == "127.0.0.1:18081\n"
    chosen = shared.text("port", "web", "83").strip()
    assert chosen.startswith("127.0.0.1:")
    assert int(chosen.rpartition(":")[2]) > 1024
    shared.run("run", "-d", "--name", "next", *QUICK, "-p", "18090-18095:80", *FOR_EVER)
    assert shared.text("port", "next", "80").splitlines()[0] == "0.0.0.0:18093"
    shared.run("run", "-d", "--name", "all", *QUICK, "--expose", "70-71", "-P", *FOR_EVER)
    assert {line.split()[0] for line in shared.text("port", "all").splitlines()} == {"70/tcp", "71/tcp"}
    assert "No public port '99' published for web" in shared.fails("port", "web", "99")


def test_a_port_that_is_taken_leaves_the_container_created(shared: Client) -> None:
    shared.run("run", "-d", "--name", "one", *QUICK, "-p", "18080:80", *FOR_EVER)
    for address, name in (("", "two"), ("127.0.0.1:", "three")):
        told = shared.fails("run", "-d", "--name", name, "-p", f"{address}18080:80", *FOR_EVER, status=125)
        assert f"Bind for {address or '0.0.0.0:'}18080 failed: port is already allocated" in told
        assert shared.inspect(name)["State"]["Status"] == "created"
    twice = shared.fails("run", "-d", "-p", "18100:80", "-p", "18100:81", *FOR_EVER, status=125)
    assert "Bind for 0.0.0.0:18100 failed: port is already allocated" in twice
    shared.run("rm", "-f", "one")
    shared.run("start", "two")
    elsewhere = shared.fails("run", "-d", "-p", "192.0.2.77:18099:80", *FOR_EVER, status=125)
    assert "driver failed programming external connectivity on endpoint" in elsewhere
    assert "failed to bind host port 192.0.2.77:18099/tcp: cannot assign requested address" in elsewhere


def test_a_named_volume_keeps_its_data_for_the_next_container(shared: Client) -> None:
    shared.run("volume", "create", "my-data")
    output(shared, "-v", "my-data:/app/data", "busybox", "sh", "-c", "echo kept > /app/data/file")
    assert output(shared, "-v", "my-data:/app/data:ro", "busybox", "cat", "/app/data/file") == "kept"
    refused = shared.fails("run", "--rm", "-v", "my-data:/d:ro", "busybox", "touch", "/d/x", status=1)
    assert "Read-only file system" in refused


def test_a_folder_of_the_host_is_the_same_inside(shared: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host")
    assert output(shared, "-v", f"{tmp_path}:/in", "busybox", "cat", "/in/file") == "from the host"
    output(shared, "-v", f"{tmp_path}/made/here:/in", "busybox", "sh", "-c", "echo inside > /in/new")
    assert (tmp_path / "made" / "here" / "new").read_text() == "inside\n"
    missing = shared.fails(
        "run", "--rm", "--mount", f"type=bind,src={tmp_path}/none,dst=/in", "busybox", status=125
    )  # fmt: skip
    assert f"bind source path does not exist: {tmp_path}/none" in missing


def test_a_name_belongs_to_one_container(shared: Client) -> None:
    id = shared.text("run", "-d", "--name", "web", *QUICK, *FOR_EVER).strip()
    assert f'The container name "/web" is already in use by container "{id}"' in shared.fails(
        "run", "--name", "web", "busybox", status=125
    )
    assert "Invalid container name (bad name)" in shared.fails("run", "--name", "bad name", "busybox", status=125)


def test_a_container_is_in_the_network_that_is_named_with_the_address_that_is_asked_for(shared: Client) -> None:
    shared.run("network", "create", "--subnet", "10.77.0.0/24", "custom")
    shared.run("run", "-d", "--name", "web", *QUICK, "--network", "custom", "--ip", "10.77.0.10", *FOR_EVER)
    (place,) = shared.inspect("web")["NetworkSettings"]["Networks"].items()
    assert (place[0], place[1]["IPAddress"], place[1]["Gateway"]) == ("custom", "10.77.0.10", "10.77.0.1")
    assert "10.77.0.10/24" in shared.text("exec", "web", "ip", "-4", "addr", "show", "eth0")
    shared.run("network", "create", "unchosen")
    for network, address, text in (
        ("custom", "10.78.0.1", "no configured subnet or ip-range contain the IP address 10.78.0.1"),
        ("custom", "bogus", "invalid IPv4 address: bogus"),
        ("unchosen", "10.77.0.9", "supported only when connecting to networks with user configured subnets"),
        ("bridge", "172.17.0.9", "user specified IP address is supported on user defined networks only"),
    ):
        assert text in shared.fails("run", "--network", network, "--ip", address, "busybox", status=125)
    taken = shared.fails("run", "--network", "custom", "--ip", "10.77.0.10", "busybox", status=125)
    assert "Address already in use" in taken


def test_rm_takes_the_container_and_its_anonymous_volumes_alone(shared: Client) -> None:
    output(shared, "-v", "/anonymous", "-v", "named:/named", "--name", "gone", "busybox", "true")
    assert shared.text("ps", "-aq") == ""
    assert shared.text("volume", "ls", "-q") == "named\n"
    told = shared.fails("run", "--rm", "--restart", "always", "busybox", status=125)
    assert "conflicting options" in told


def test_memory_is_limited_and_who_takes_more_is_killed(shared: Client) -> None:
    shared.run("run", "-d", "--name", "web", *QUICK, "--memory", "512m", *FOR_EVER)
    assert limit(shared, "web", "memory.limit_in_bytes", "memory.max") == str(512 << 20)
    assert shared.inspect("web")["HostConfig"]["Memory"] == 512 << 20
    take = "x=$(dd if=/dev/zero bs=1M count=100 2>/dev/null | tr '\\0' a); echo ${#x}"
    shared.run("run", "--name", "greedy", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", take, status=137)
    state = shared.inspect("greedy")["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    for words, text in (
        (("-m", "1m"), "Minimum memory limit allowed is 6MB"),
        (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger than memory limit"),
    ):
        assert text in shared.fails("run", *words, "busybox", status=125)


def test_half_a_core_is_half_a_core(shared: Client) -> None:
    shared.run("run", "-d", "--name", "busy", *QUICK, "--cpus", "0.5", "busybox", "sh", "-c", "while :; do :; done")
    assert limit(shared, "busy", "cpu.cfs_quota_us", "cpu.max") in ("50000", "50000 100000")
    pid = shared.inspect("busy")["State"]["Pid"]

    def used() -> float:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / 100

    begun, before = time.monotonic(), used()
    time.sleep(1)
    assert used() - before <= 0.6 * (time.monotonic() - begun) + 0.1  # s; periods are of 0.1 s
    assert shared.inspect("busy")["HostConfig"]["NanoCpus"] == 500_000_000
    assert "range of CPUs is from 0.01" in shared.fails("run", "--cpus", "1000", "busybox", status=125)


def test_the_options_work_all_together(shared: Client) -> None:
    shared.run("create", "--name", "base", "busybox")
    command = 'CMD ["httpd", "-f", "-p", "80", "-h", "/var/www/html"]'
    shared.run("commit", "-c", command, "base", "myapp:1.0")
    shared.run("network", "create", "app-network")
    shared.run("run", "-d", "--name", "mysql", *QUICK, "--network", "app-network", *FOR_EVER)
    options = (
        "-p", "18080:80", "-v", "app-data:/var/www/html", "-e", "DB_HOST=mysql", "--network", "app-network",
        "--restart", "unless-stopped", "--memory", "512m", "--cpus", "0.5",
    )  # fmt: skip
    shared.run("run", "-d", "--name", "webapp", *QUICK, *options, "myapp:1.0")
    shared.run("exec", "webapp", "sh", "-c", "echo $DB_HOST > /var/www/html/index.html")
    assert page(18080) == "mysql\n"
    assert "ping statistics" in shared.text("exec", "webapp", "ping", "-c1", "-W2", "mysql")
    found = shared.inspect("webapp")
    host = found["HostConfig"]
    assert host["RestartPolicy"] == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert (host["Memory"], host["NanoCpus"], host["NetworkMode"]) == (512 << 20, 500_000_000, "app-network")
    assert [(each["Type"], each["Name"]) for each in found["Mounts"]] == [("volume", "app-data")]
    assert host["Binds"] == ["app-data:/var/www/html"]


def test_an_entrypoint_is_replaced_and_the_images_command_goes_with_it(shared: Client) -> None:
    shared.run("create", "--name", "base", "busybox")
    changes = ("-c", 'ENTRYPOINT ["echo", "entry"]', "-c", 'CMD ["command"]')
    shared.run("commit", *changes, "base", "with-entrypoint")
    assert output(shared, "with-entrypoint") == "entry command"
    assert output(shared, "with-entrypoint", "given") == "entry given"
    assert output(shared, "--entrypoint", "echo", "with-entrypoint") == ""
    assert output(shared, "--entrypoint", "", "with-entrypoint", "echo", "plain") == "plain"
    for program, status in (("/nosuch", 127), ("/etc/passwd", 126)):
        shared.run("run", "--rm", "--entrypoint", program, "busybox", status=status)


def test_a_tmpfs_is_memory_and_empty_after_each_start(shared: Client) -> None:
    script = "ls /app/temp; echo x > /app/temp/file; grep ' /app/temp ' /proc/mounts"
    shared.run("create", "--name", "box", "--tmpfs", "/app/temp:size=2m,mode=700", "busybox", "sh", "-c", script)
    for _ in range(2):
        (line,) = shared.text("start", "-a", "box").splitlines()
        assert line.startswith("tmpfs /app/temp tmpfs rw,nosuid,nodev,noexec")
        assert "size=2048k,mode=700" in line
    assert shared.inspect("box")["Mounts"] == []


def test_in_the_hosts_network_ports_are_the_hosts_and_publishing_is_warned_of(shared: Client) -> None:
    words = ("-d", "--name", "web", *QUICK, "--network=host", "-p", "18081:18080")
    done = shared.run("run", *words, "busybox", "httpd", "-f", "-p", "18080", "-h", "/etc")
    assert b"WARNING: Published ports are discarded when using host network mode" in done.stderr
    assert "root" in page(18080, "group")
    assert shared.text("port", "web") == ""


def test_without_network_there_is_the_loopback_alone(shared: Client) -> None:
    assert output(shared, "--network=none", "busybox", "ls", "/sys/class/net") == "lo"
    refused = ("run", "--rm", "--network=none", "busybox", "ping", "-c1", "-W1", "192.0.2.1")
    assert "Network is unreachable" in shared.fails(*refused)


def test_what_contradicts_anothers_network_is_refused(shared: Client) -> None:
    shared.run("run", "-d", "--name", "web", *QUICK, *FOR_EVER)
    for words, text in (
        (("-p", "80:80"), "port publishing and the container type network mode"),
        (("--expose", "80"), "port exposing and the container type network mode"),
        (("--hostname", "other"), "hostname and the network mode"),
        (("--dns", "192.0.2.1"), "dns and the network mode"),
        (("--add-host", "a:192.0.2.1"), "custom host-to-IP mapping and the network mode"),
    ):
        told = shared.fails("run", "--rm", "--network", "container:web", *words, "busybox", status=125)
        assert f"conflicting options: {text}" in told
    told = shared.fails("run", "--rm", "--network", "container:nobody", "busybox", status=125)
    assert "joining network namespace of container: No such container: nobody" in told
    assert "locally" not in told, "the client took it for the image that is missing"


def test_what_cannot_be_is_refused_and_not_ignored(shared: Client) -> None:
    for words, text in (
        (("--stop-signal", "BOGUS"), "invalid signal: BOGUS"),
        (("--isolation", "hyperv"), "invalid isolation"),
        (("--storage-opt", "size=10G"), "--storage-opt is supported only"),
        (("--health-cmd", "true", "--health-interval", "1ns"), "Interval in Healthcheck cannot be less than 1ms"),
        (("--log-opt", "bogus=1"), "unknown log opt 'bogus' for json-file log driver"),
        (("--volumes-from", "nobody"), "No such container: nobody"),
        (("-v", "data:/d:bogus"), "invalid mode: bogus"),
        (("-v", "data:d"), "invalid volume specification: 'data:d': invalid mount config for type \"volume\""),
    ):
        assert text in shared.fails("run", "--rm", *words, "busybox", "true", status=125)
    shared.run("tag", "busybox", "here")
    with pytest.raises(AssertionError, match="does not match"):
        shared.run("create", "--pull", "never", "--platform", "linux/s390x", "here")
    assert json.loads(shared.text("ps", "-aq") or "null") is None
