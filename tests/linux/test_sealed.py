"""Programs that are executed from sealed memory."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from wherry.linux.sealed import SealedProgram
from wherry.linux.spawn import spawn


def output(program: SealedProgram, *arguments: str) -> str:
    read, write = os.pipe()
    with open(read) as answer:
        try:
            pid = spawn(["named", *arguments], {"PATH": "/bin"}, (write, write, 2), program=program.current())
        finally:
            os.close(write)
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0
    return text.strip()


def copied(tmp_path: Path, name: str) -> Path:
    found = shutil.which(name)
    assert found is not None
    target = tmp_path / "program"
    shutil.copy(found, target)
    return target


def test_the_program_runs_from_memory_that_nobody_can_change(tmp_path: Path) -> None:
    program = SealedProgram(str(copied(tmp_path, "readlink")))
    try:
        assert output(program, "/proc/self/exe").startswith("/memfd:program")
        with pytest.raises(PermissionError):
            os.truncate(program.current(), 0)
        with pytest.raises(PermissionError):
            Path(program.current()).write_bytes(b"#!")
        with open(program.current(), "rb") as copy:
            assert fcntl.fcntl(copy, fcntl.F_GET_SEALS) == 15
    finally:
        program.close()


def test_a_program_that_is_replaced_on_the_disk_is_read_again(tmp_path: Path) -> None:
    path = copied(tmp_path, "readlink")
    program = SealedProgram(str(path))
    try:
        first = program.current()
        assert program.current() == first
        shutil.copy("/bin/echo", tmp_path / "new")
        os.replace(tmp_path / "new", path)
        assert output(program, "another") == "another"
    finally:
        program.close()


def test_a_program_that_is_not_there_is_said_so_and_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    program = SealedProgram(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        program.current()
    program.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_script_runs_too(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho $0 $1\n")
    script.chmod(0o755)
    program = SealedProgram(str(script))
    assert output(program, "argument") == f"{script} argument"
    program.close()
