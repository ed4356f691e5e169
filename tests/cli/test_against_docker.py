"""The same command given to Docker's own client and to ours, on the same daemon: the same output, the same request."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.client import Client, Ran
from tests.cli.fake_daemon import FakeDaemon, Reply, Request, Session, frame
from tests.cli.fake_data import ago, ident, sample, sha

pytestmark = pytest.mark.peer

LINES = """
ps
ps -a --no-trunc
ps -s
ps -q
ps --format json
ps --format '{{.Names}} {{.Image}} {{.Ports}} {{.Mounts}} {{.Networks}} {{.LocalVolumes}} {{.CreatedAt}} {{.State}}'
ps --format 'table {{.Names}}\\t{{.Label "a"}}\\t{{json .Ports}}\\t{{.Label "com.example.some-label"}}'
ps --format '{{.Foo}}'
images --format '{{.Foo}}'
network ls --format '{{.Foo}}'
volume ls --format '{{.Foo}}'
tag box x:y:z
tag box x:
tag box a___b
tag box aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
network create --gateway 10.12.0.1 s4
network create --subnet 10.12.0.0/16 --gateway bogus s4
network create --subnet 10.12.0.0/16 --gateway 10.12.0.1 --gateway 10.12.0.2 s4
network create --subnet 10.12.0.0/16 --ip-range 10.13.0.0/24 s4
network create --subnet 10.12.0.0/16 --ip-range bogus s4
network create --subnet 10.12.0.0/16 --aux-address x=bogus s4
network create --label 'x y=z' s4
volume create --label =x v9
volume create --name a b
network rm -f nowhere
run --network-alias foo box-1
nosuchcommand
ps --format '{{.ID'
ps --format '{{foo}}'
ps --foo
ps -z
ps x
ps -f foo
images
images --digests
images --no-trunc
images -q
images --format json
images --format 'table {{.Repository}}:{{.Tag}}\\t{{.CreatedAt}}\\t{{.Size}}\\t{{.Digest}}'
network ls
network ls --no-trunc
network ls -q
network ls --format json
network ls --format 'table {{.Name}}\\t{{.Labels}}\\t{{.CreatedAt}}\\t{{.IPv6}}'
volume ls
volume ls -q
volume ls --format json
inspect box-1
inspect -f json box-1 bridge
inspect box-1 nosuch
inspect nosuch
inspect -f '{{.Name}} {{.Config.Cmd}} {{.HostConfig.Memory}} {{.State.Running}} {{.State.Health}}' box-1 box-1
inspect -f '{{range $p, $c := .NetworkSettings.Ports}}{{$p}} -> {{(index $c 0).HostPort}}{{end}}' box-1
inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{index .Config.Labels "a.b"}} {{len .Args}}' box-1
inspect -f '{{if eq .State.Status "running"}}{{upper .Name}}{{else}}no{{end}} {{join .Args ","}} {{json .State.Pid}}' box-1
inspect -f '{{printf "%s-%d" .Name 5}} {{println "x" 1}}{{title .Path}} {{split .Name "-"}} {{.Config.Labels}}' box-1
inspect -f '{{.Foo}}' box-1
inspect -f '{{.Name' box-1
inspect -f '{{foo .Name}}' box-1
inspect --type network nosuch
container inspect nosuch
network inspect bridge
image inspect nosuch
history busybox
history --no-trunc -H=false busybox
history --format json busybox
events
events --format json
events --format '{{.ID}} {{.Status}} {{.Actor.Attributes.name}} {{json .}}'
events --format '{{.Foo}}'
logs nosuch
rmi busybox
rm -f nosuch
rm nosuch
stop
wait box-1
tag a b
tag a B
load
import - me/app:1
run nosuch
create nosuch
run
run --foo x
run -e
run -m foo busybox
run -p foo busybox
run --mount type=foo busybox
run --rm -d --restart always busybox
run -d -a stdout busybox
run --dns nosuch busybox
run --sysctl vm.swappiness=1 busybox
run --sysctl nosuch busybox
run --pid foo busybox
run --pid container: busybox
run --uts foo busybox
run --userns foo busybox
run --cgroupns foo busybox
run --pull foo busybox
run --security-opt foo busybox
foo
ps -f ''
exec -e =x box-1 true
run -it busybox
run --cpus abc busybox
run -l =x busybox
start a b
pause box-1 nosuch
unpause box-1
pause
rename box-1 new
rename box-1 taken
rename box-1
rename box-1 ' '
top box-1
top box-1 -eo pid,comm
top nosuch
top
port box-1
port box-1 80
port box-1 81/tcp
port box-1 x
port nosuch
update
update box-1
update --memory 64m --cpus 1.5 --restart on-failure:3 box-1 nosuch
update --pids-limit=-1 --memory-swap -1 --cpuset-cpus 0-1 -c 512 box-1
update --restart :3 box-1
update --cpus x box-1
update --restart foo box-1
attach nosuch
exec
exec box-1
stats --no-stream box-1 web
stats --no-stream --no-trunc box-1
stats --no-stream --format json box-1
stats --no-stream --format 'table {{.Container}}\\t{{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}' box-1
stats --no-stream --format '{{.MemUsage}} {{.MemPerc}} {{.PIDs}}' box-1 web
stats --no-stream nosuch
stats --foo
exec nosuch true
exec box-1 sh -c 'echo $0'
exec -d box-1 true
exec -it box-1 sh
exec -i --foo box-1 sh
exec -e
exec --env-file /nonexistent box-1 sh
exec --detach-keys ctrl-xx box-1 sh
container foo
volume inspect nosuch
load -i /nonexistent
info --format '{{.Driver}} {{.NCPU}}'
version --format '{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}'
""".strip().splitlines()


@pytest.fixture(autouse=True)
def _more(daemon: FakeDaemon) -> None:
    def create(request: Request) -> Reply:
        missing = request.json["Image"].startswith("nosuch")
        return (
            Reply(404, {"message": "No such image: nosuch:latest"})
            if missing
            else Reply(201, {"Id": ident("1"), "Warnings": []})
        )

    step = {
        "Id": sha("a"),
        "Created": ago(4000),
        "CreatedBy": '/bin/sh -c #(nop)  CMD ["sh"]\tand a very long text',
        "Size": 0,
        "Comment": "",
        "Tags": None,
    }
    daemon.on(
        "GET", "/images/busybox/history", [step, {**step, "Id": "<missing>", "Size": 4261550, "Comment": "imported"}]
    )
    daemon.on("GET", "/events", _events)
    daemon.on("POST", "/containers/create", create)
    daemon.on("POST", "/images/create", _created)
    daemon.on(
        "POST",
        "/images/load",
        lambda r: iter(
            [
                b'{"status":"x","progress":"[=>]","progressDetail":{"current":1,"total":2},"id":"a"}\n{"stream":"Loaded image: busybox:latest\\n"}\n'
            ]
        ),
    )
    daemon.on("POST", "/images/a/tag", Reply(201))
    daemon.on("POST", "/containers/box-1/exec", Reply(201, {"Id": ident("e")}))
    daemon.on("POST", f"/exec/{ident('e')}/start", _exec_start)
    daemon.on("GET", f"/exec/{ident('e')}/json", {"ID": ident("e"), "Running": False, "ExitCode": 4})
    daemon.on("POST", "/containers/box-1/(un)?pause", Reply(204))
    daemon.on("POST", "/containers/box-1/update", {"Warnings": ["be careful"]})
    table = {"Titles": ["PID", "COMMAND"], "Processes": [["1", "sh"], ["4711", "a program with a long name"]]}
    daemon.on("GET", "/containers/box-1/top", table)
    daemon.on(
        "POST",
        "/containers/box-1/rename",
        lambda r: Reply(409, {"message": "Conflict."}) if r.query["name"] == "taken" else Reply(204),
    )
    daemon.on("GET", "/containers/[^/]+/stats", lambda r: Reply(200, sample(r.path.split("/")[2])))
    daemon.on("GET", "/containers/nosuch/stats", Reply(404, {"message": "No such container: nosuch"}))
    daemon.on("POST", "/containers/box-1/wait", lambda r: iter([b'{"StatusCode":3}\n']))
    daemon.on("DELETE", "/images/busybox", [{"Untagged": "busybox:latest"}, {"Deleted": sha("a")}])


def _exec_start(request: Request) -> Reply | Session:
    if request.json.get("Detach"):
        return Reply(200)
    return lambda peer: peer.sendall(frame(1, b"out\n") + frame(2, b"err\n"))


def _created(request: Request) -> Reply | Iterator[bytes]:
    if "fromSrc" in request.query:
        return iter([b'{"status":"sha256:abc"}\n'])
    return Reply(404, {"message": "pull access denied for nosuch"})


def _events(request: Request) -> Iterator[bytes]:
    actor = {"ID": "abc", "Attributes": {"name": "x", "image": "busy<box"}}
    event: dict[str, Any] = {
        "Type": "container",
        "Action": "create",
        "Actor": actor,
        "scope": "local",
        "time": 1714558272,
        "timeNano": 1714558272123456789,
    }
    yield json.dumps({"status": "create", "id": "abc", "from": "busybox", **event}).encode() + b"\n"
    yield (
        json.dumps({**event, "Type": "network", "Action": "connect", "Actor": {"ID": "n1", "Attributes": {}}}).encode()
        + b"\n"
    )


def renamed(ran: Ran) -> Ran:
    """What Docker's client says, with our program's name for its own."""
    err = re.sub(r"\bdocker\b", "wherry", ran.err)
    return Ran(ran.status, ran.out, err)


@pytest.mark.parametrize("line", LINES)
def test_output_is_dockers(wherry: Client, docker: Client, line: str) -> None:
    words = shlex.split(line)
    ours = wherry(*words)
    for _ in range(4):  # Docker's client prints labels and runtimes in the changing order of Go's maps
        if ours == renamed(docker(*words)):
            return
    assert wherry(*words) == renamed(docker(*words))


def test_the_servers_part_of_version_and_info_is_dockers(wherry: Client, docker: Client) -> None:
    for command in ("version", "info"):
        ours, theirs = wherry(command), docker(command)
        assert (ours.status, ours.err) == (theirs.status, theirs.err)
        server = ours.out.partition("\nServer")[2]
        # The runtimes stand in one line, in the changing order of Go's maps.
        assert sorted(server.split()) == sorted(theirs.out.partition("\nServer")[2].split()) != []


BODIES = """
-it
-i
-a stdout
-a stdin
--name x --platform linux/amd64
-e A=1 -e HERE -e NOT_HERE -e EMPTY= --env-file ENVIRONMENT
--entrypoint ""
--entrypoint sh
-h box --domainname d -u 1:2 -w /x --stop-signal TERM --stop-timeout 0
-l a=b -l c --annotation x=y --annotation z
-p 80 -p 8080:80/udp -p 127.0.0.1:90:90 -p [::1]:91:91 -p 100-102:200-202 -p 300-310:53 --expose 1000-1002 --expose 53/udp
-p published=8080,target=80,protocol=udp
-P
-v a:/b:ro -v /x
-v ./rel:/y --volumes-from c:ro --volume-driver v
--mount type=bind,src=/a,dst=/b,readonly --mount source=v,target=/v,volume-nocopy,volume-label=a=b,volume-driver=d,volume-opt=o=x
--mount type=bind,src=.,dst=/b,bind-propagation=rprivate,bind-recursive=disabled --mount type=tmpfs,dst=/t,tmpfs-size=10m,tmpfs-mode=1770
--mount dst=/anon --mount 'type=volume,dst=/q,"volume-opt=o=a,b"'
--tmpfs /t --tmpfs /u:size=1m,mode=1777 --shm-size 128m --read-only
--network net1 --ip 10.0.0.5 --network-alias al --network-alias al2
--network name=n1,alias=a1,ip=10.0.0.2,driver-opt=k=v,gw-priority=5 --network n2
--network host
--network container:x
--net none
--network n --mac-address 92:d0:c6:0a:29:33 --link-local-ip 169.254.1.1 --ip6 fe80::1
--link a:b --link c
--network n --link a:b
--dns 1.1.1.1 --dns-opt ndots:2 --dns-search x --add-host h:1.2.3.4 --add-host g=host-gateway --add-host v6:[::1]
-m 512m --memory-swap -1 --memory-reservation 100m --memory-swappiness 10 --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0-1 --cpuset-mems 0
--cpu-period 1000 --cpu-quota 2000 --pids-limit 100 --oom-kill-disable --oom-score-adj 10 --cpu-rt-period 5 --cpu-rt-runtime 4
--memory-swappiness 0 --oom-kill-disable=false --init=false
--init --privileged --cap-add NET_ADMIN --cap-drop ALL --security-opt seccomp=unconfined --security-opt no-new-privileges
--security-opt systempaths=unconfined --security-opt seccomp=PROFILE --security-opt label:disable
--device /dev/null --device /dev/zero:/dev/z:r --device /dev/full:rw --device-cgroup-rule "c 1:3 rwm" --device vendor.com/class=x
--gpus all
--gpus '"device=0,1",capabilities=utility'
--device-read-bps /dev/sda:1mb --device-write-iops /dev/sda:100 --blkio-weight 300 --blkio-weight-device /dev/sda:200
--ulimit nofile=100:200 --ulimit nproc=5 --sysctl net.core.somaxconn=5 --storage-opt size=10G
--restart on-failure:3 --log-driver json-file --log-opt max-size=10m --runtime crun
--restart ""
--rm
--ipc host --pid host --uts host --userns host --cgroupns private --group-add audio --group-add 5 --cgroup-parent /x --isolation default
--health-cmd "curl x" --health-interval 5s --health-retries 3 --health-timeout 1m --health-start-period 2s --health-start-interval 1s
--no-healthcheck
""".strip().splitlines()


def _said(value: Any) -> Any:
    """A body without what is empty, which the API takes as not said."""
    if isinstance(value, list):
        return [_said(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: _said(item) for name, item in value.items()}
    keep = ("MaskedPaths", "ReadonlyPaths", "MemorySwappiness", "StopTimeout", "Init", "OomKillDisable")
    return {
        name: item
        for name, item in found.items()
        if item not in (None, "", 0, [], {}, [0, 0]) or (name in keep and item is not None)
    }


def _body(daemon: FakeDaemon, client: Client, words: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    ran = client("create", *words, "busybox", environment={"HERE": "yes"})
    assert (ran.status, ran.err) == (0, "")
    request = daemon.last("POST", "/containers/create")
    body: dict[str, Any] = _said(request.json)
    return body, request.query


@pytest.mark.parametrize("line", BODIES)
def test_requests_are_dockers(daemon: FakeDaemon, wherry: Client, docker: Client, tmp_path: Path, line: str) -> None:
    (tmp_path / "env").write_text("# c\nA=1\n  B=two words\nHERE\nNOT_HERE\n")
    (tmp_path / "profile").write_text('{"defaultAction": "SCMP_ACT_ALLOW", "x": [1, 2]}')
    words = shlex.split(
        line.replace("ENVIRONMENT", str(tmp_path / "env")).replace("PROFILE", str(tmp_path / "profile"))
    )
    ours, theirs = _body(daemon, wherry, words), _body(daemon, docker, words)
    _without_defaults(ours[0])
    _without_defaults(theirs[0])
    assert ours == theirs


def _without_defaults(body: dict[str, Any]) -> None:
    """Take away what one client spells out and the other leaves to the engine, with the same meaning."""
    body.get("Env", []).sort()  # which of files and flags Docker's client sends first differs from run to run
    host = body["HostConfig"]
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]
    if host.get("OomKillDisable") is False:
        del host["OomKillDisable"]
    if not body.get("NetworkingConfig", {}).get("EndpointsConfig"):
        body.pop("NetworkingConfig", None)


EXECS = """
box-1 sh -c true
-i box-1 cat
-d box-1 sleep 5
-d -i -u 1:2 -w /x --privileged box-1 true
-e A=1 -e HERE -e NOT_HERE --env-file ENVIRONMENT --detach-keys ctrl-a,b box-1 env
-t box-1 sh
""".strip().splitlines()


@pytest.mark.parametrize("line", EXECS)
def test_requests_of_an_exec_are_dockers(
    daemon: FakeDaemon, wherry: Client, docker: Client, tmp_path: Path, line: str
) -> None:
    (tmp_path / "env").write_text("B=two words\nHERE\nNOT_HERE\n")
    words = shlex.split(line.replace("ENVIRONMENT", str(tmp_path / "env")))
    found = []
    for client in (wherry, docker):
        ran = client("exec", *words, environment={"HERE": "yes"})
        begun = daemon.last("POST", f"/exec/{ident('e')}/start")
        bodies = [_said(daemon.last("POST", "/containers/box-1/exec").json), _said(begun.json)]
        for body in bodies:
            body.get("Env", []).sort()
            found.append({name: value for name, value in body.items() if value is not False})
        found.append({"status": ran.status, "out": ran.out, "err": ran.err, "upgrade": begun.headers.get("upgrade")})
    assert found[:3] == found[3:]
