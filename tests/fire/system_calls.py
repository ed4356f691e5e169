"""Probe the system calls of containers and of execs in them, under Wherry by either runtime and under dockerd.

Started by test_system_calls.py in namespaces of its own; writes one JSON object: verdicts by engine, place and way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from scripts import images
from scripts.bench.engines import Subject, dockerd, wherry
from scripts.bench.main import isolate

from wherry.linux.seccomp.default import default_section
from wherry.linux.seccomp.numbers import tables
from wherry.testing.ledger import become_subreaper
from wherry_engine.engine.security import DEFAULT_CAPABILITIES

PROBE = Path(__file__).with_name("system_call_probe.py")
NEWEST = 456  # of the calls that libseccomp 2.5.4 knows, with which runc and dockerd make their filters on Debian 12
EPERM, ENOSYS = 1, 38

Verdicts = dict[str, dict[str, str]]


def verdicts(text: str) -> Verdicts:
    """Refused, unknown or let through: what a call that got through then says is the kernel's and depends on its luck."""
    found: dict[str, dict[str, int | str]] = json.loads(text)
    return {way: {number: _verdict(result) for number, result in calls.items()} for way, calls in found.items()}


def _verdict(result: int | str) -> str:
    return (
        {EPERM: "refused", ENOSYS: "unknown"}.get(result, "let through") if isinstance(result, int) else "let through"
    )


def profile(folder: Path) -> Path:
    """The default rules as a profile file, without the calls that the host's libseccomp cannot know."""
    section = default_section(DEFAULT_CAPABILITIES)
    known = {name for table in tables().values() for name, number in table.items() if number <= NEWEST or number >= 512}
    rules = [{**rule, "names": [name for name in rule["names"] if name in known]} for rule in section["syscalls"]]
    path = folder / "profile.json"
    path.write_text(json.dumps({**section, "syscalls": [rule for rule in rules if rule["names"]]}))
    return path


def probe(subject: Subject, *options: str) -> dict[str, Verdicts]:
    """What a container with these options, and an exec in it, may call."""
    python = Path(sys.executable).resolve()
    folders = {"/usr", "/lib", "/lib64", sys.base_prefix, str(PROBE.parent)}
    mounts = [word for folder in sorted(folders) for word in ("-v", f"{folder}:{folder}:ro")]
    command = (str(python), str(PROBE))
    image = "busybox"
    ran = subject.run("run", "--rm", "--network", "none", *options, *mounts, image, *command)
    name = subject.run("run", "-d", "--network", "none", *options, *mounts, image, "sleep", "1000")
    try:
        executed = subject.run("exec", name, *command)
    finally:
        subject.run("rm", "-f", name)
    return {"run": verdicts(ran), "exec": verdicts(executed)}


def main(out: Path) -> None:
    """Probe them all."""
    become_subreaper()
    isolate()
    file = f"seccomp={profile(out.parent)}"
    found = {}
    with wherry() as ours:
        ours.run("load", stdin=images.busybox())
        for runtime in ("crun", "runc"):
            found[f"wherry {runtime}"] = probe(ours, "--runtime", runtime, "--security-opt", file)
        found["wherry default"] = probe(ours)
    with dockerd() as theirs:
        theirs.run("load", stdin=images.busybox())
        found["dockerd"] = probe(theirs, "--security-opt", file)
    out.write_text(json.dumps(found))


def start(out: Path) -> None:
    """Run `main` in its own network and mount namespaces. Raises CalledProcessError."""
    command = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        "-m",
        "tests.fire.system_calls",
    ]
    subprocess.run([*command, str(out)], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
