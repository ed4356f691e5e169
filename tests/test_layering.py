"""What the import contracts cannot say: doors to the kernel, names of steps, laziness."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import lint_effects

from wherry.testing import steps


def test_side_effects_stay_behind_their_doors() -> None:
    lines = [
        line
        for root in lint_effects.PRODUCT
        for path in Path(lint_effects.ROOT, root).rglob("*.py")
        for line in lint_effects.offences(path.read_text(), str(path.relative_to(lint_effects.ROOT)))
    ]
    assert lines == []


@pytest.mark.parametrize(
    "source",
    [
        "import ctypes",
        "from ctypes import CDLL",
        "import ctypes.util",
        "import socket\nsocket.socket(socket.AF_NETLINK)",
        "from socket import AF_NETLINK",
        "import subprocess",
        "import os\nos.posix_spawn('/bin/true', [], {})",
        "import os\nos.fork()",
        "from os import fork",
        "import asyncio\nasyncio.create_subprocess_exec('true')",
        "import importlib\nimportlib.import_module('pyroute2')",
    ],
)
def test_a_second_door_to_the_kernel_is_found(source: str) -> None:
    assert lint_effects.offences(source, "core/wherry_engine/engine/example.py")
    assert not lint_effects.offences("import socket, os, json", "core/wherry_engine/engine/example.py")


def test_the_modules_made_for_it_may() -> None:
    assert not lint_effects.offences("import ctypes, subprocess", "core/wherry/linux/syscalls.py")
    assert not lint_effects.offences("import os\nos.fork()", "core/wherry_engine/supervisor/main.py")


def test_step_names_are_literals_of_one_file_each() -> None:
    shared = {
        name: sorted({str(path) for path, _ in where})
        for name, where in steps.places().items()
        if len({path for path, _ in where}) > 1
    }
    assert shared == {}


def test_no_step_name_is_put_together() -> None:
    assert [f"{path}:{line}" for path in steps.sources() for line in steps.composed(path)] == []


def test_the_engine_declares_steps() -> None:
    assert len(steps.declared()) > 20


def test_steps_of_both_branches_are_found(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "with step('a.b'):\n    pool.run('c.d-e', f)\ndrivers.call('f.g' if x else 'f.h', d)\ncall('setns', 1)\n"
        "programs.run(runtime, arguments, step='i.j')\nstep(f'k.{name}')\n"
    )
    assert {name for name, _ in steps.openings(source)} == {"a.b", "c.d-e", "f.g", "f.h", "i.j"}
    assert list(steps.composed(source)) == [6]


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after `statement`."""
    script = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


HEAVY = {
    "attr",
    "attrs",
    "cattrs",
    "pluggy",
    "stevedore",
    "textual",
    "aiohttp",
    "pyroute2",
    "nftables",
    "orjson",
    "yaml",
}


@pytest.mark.parametrize(
    "statement",
    [
        "from wherry_cli.main import main; sys.argv = ['wherry', '--help']; main()",
        "import wherry.linux.steps",
        "import wherry_engine.supervisor, wherry_engine.monitor, wherry_engine.helper",
        "import wherry_engine.daemon.wherryd",
    ],
)
def test_it_loads_nothing_heavy(statement: str) -> None:
    assert not loaded_by(statement) & HEAVY


def test_an_engine_starts_without_what_only_the_document_needs() -> None:
    assert "yaml" not in loaded_by("import wherry_engine.daemon.main, wherry_api.service")


def test_importing_the_api_reads_no_certificates_and_leaves_the_environment_alone() -> None:
    script = (
        "import os; before = dict(os.environ); import wherry_api.service; assert dict(os.environ) == before; "
        "from aiohttp import connector; print(connector._SSL_CONTEXT_VERIFIED.cert_store_stats()['x509'])"
    )
    for places in ({}, {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}):
        done = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, env={**os.environ, **places}
        )
        assert done.stdout == "0\n"
