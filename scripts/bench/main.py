"""Measure Wherry and its peers side by side. Start it by scripts/bench/run, which gives it namespaces of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts import images
from scripts.bench.engines import ENGINES, Subject
from scripts.bench.measures import MEASURES, Figure

from wherry.testing import kernel, tasks
from wherry.testing.ledger import become_subreaper


def isolate() -> None:
    """Make the new namespaces usable: a loopback link, a /sys that shows our links, a /run that is ours."""
    commands = [
        ["ip", "link", "set", "lo", "up"],
        ["mkdir", "-p", "/run/wherry-bench-cgroup"],
        ["mount", "--rbind", "/sys/fs/cgroup", "/run/wherry-bench-cgroup"],
        ["mount", "-t", "sysfs", "sysfs", "/sys"],
        ["mount", "--rbind", "/run/wherry-bench-cgroup", "/sys/fs/cgroup"],
        ["umount", "--lazy", "/run/wherry-bench-cgroup"],
        ["rmdir", "/run/wherry-bench-cgroup"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
    ]
    for command in commands:
        subprocess.run(command, check=True)


def row(figure: Figure, names: Sequence[str]) -> str:
    """One line: medians, each with its best sample, and ours as a ratio to each peer."""
    medians = {name: statistics.median(figure.samples[name]) for name in names}
    best = min if figure.unit != "per s" else max
    cells = "".join(f"{medians[name]:9.1f} ({best(figure.samples[name]):.1f})".rjust(20) for name in names)
    ratios = "".join(
        f"   {medians['wherry'] / medians[name]:.2f}x {name}" for name in names if name != "wherry" and medians[name]
    )
    return f"{figure.title:42} {figure.unit:>6}{cells}{ratios}"


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Start the engines, take every figure, end them."""
    names = ["wherry", *arguments.peer]
    figures = []
    with contextlib.ExitStack() as stack:
        subjects: list[Subject] = [stack.enter_context(ENGINES[name]()) for name in names]
        for subject in subjects:
            subject.run("load", stdin=images.busybox())
            print(f"{subject.name}: server {subject.run('version', '--format', '{{.Server.Version}}')}", flush=True)
        print(f"\n{'median (best)':42} {'':>6}{''.join(name.rjust(20) for name in names)}", flush=True)
        for name in arguments.only:
            for figure in MEASURES[name](subjects, arguments.rounds):
                figures.append(figure)
                print(row(figure, names), flush=True)
    return figures


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench/run", description=__doc__)
    parser.add_argument("--peer", action="append", default=[], choices=[name for name in ENGINES if name != "wherry"])
    parser.add_argument("--rounds", type=int, default=15, help="samples per figure and engine (default 15)")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="only this part; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append all samples to FILE, a line per figure")
    found = parser.parse_args(arguments)
    found.only = found.only or list(MEASURES)
    return found


def main(arguments: Sequence[str]) -> int:
    """0 when everything could be measured."""
    parsed = parse(arguments)
    if os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{os.getppid()}/ns/net"):
        print("start this by scripts/bench/run: it needs namespaces of its own", file=sys.stderr)
        return 2
    become_subreaper()
    isolate()
    cgroups = set(kernel.cgroups())
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, each engine on a fresh loop-mounted ext4")
    subprocess.run(["docker", "--version"], check=True)
    try:
        figures = measure(parsed)
    finally:
        for process in tasks.descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        # What vanishes by itself with our namespaces needs no care; cgroups do not.
        for folder in sorted(set(kernel.cgroups()) - cgroups, reverse=True):
            with contextlib.suppress(OSError):  # not empty: somebody else's
                os.rmdir(folder)
    if parsed.json:
        with parsed.json.open("a") as file:
            for figure in figures:
                file.write(json.dumps({"title": figure.title, "unit": figure.unit, "samples": figure.samples}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
