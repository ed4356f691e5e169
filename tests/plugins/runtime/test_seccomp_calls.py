"""The default filter in real containers: a program makes hundreds of system calls, natively, as i386 and as x32."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from wherry.linux.seccomp.default import default_section
from wherry.linux.seccomp.numbers import tables
from wherry.model.configs import HostConfig
from wherry.spec.runtime import RuntimeDriver
from wherry_engine.engine.security import DEFAULT_CAPABILITIES
from wherry_engine.loader.load import Driver

if TYPE_CHECKING:
    from tests.plugins.runtime.conftest import Box

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="a program in x86-64's machine code"),
]

# For each record (number, two arguments, whether by int 0x80) make the call and store what it returns; then write all
# results to descriptor 1 and exit. The records follow the code: their count, then four words each.
CODE = bytes.fromhex(
    "488d1d79000000"  # lea rbx, [rip + records]
    "4c8b2b4c8d6308"  # mov r13, [rbx]; lea r12, [rbx + 8]
    "4d89ee49c1e6054d01e64d89f7"  # r14 = r15 = r12 + r13 * 32, where results go
    "498b0424498b7c2408498b742410"  # next: rax, rdi, rsi = number and arguments
    "31d24531d24531c04531c9"  # rdx, r10, r8, r9 = 0
    "49837c2418007504"  # by int 0x80?
    "0f05eb0f"  # no: syscall
    "89fb89f131f631ff31edcd804863c0"  # yes: ebx, ecx = arguments; esi, edi, ebp = 0; int 0x80
    "4989064983c6084983c42049ffcd75bc"  # store, advance, next
    "4c89f24c29fa4c89febf01000000b8010000000f05"  # write(1, r15, r14 - r15)
    "31ffb8e70000000f050f1f00"  # exit_group(0), padding
)
BASE, HEADERS = 0x400000, 64 + 56
X32_BIT = 0x40000000


class Call(NamedTuple):
    """One system call to try."""

    number: int
    first: int = 0
    second: int = 0
    old: bool = False  # by int 0x80


def program(calls: list[Call]) -> bytes:
    """A static ELF executable that makes these calls."""
    records = b"".join(struct.pack("<4Q", *call) for call in calls)
    body = CODE + struct.pack("<Q", len(calls)) + records
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
        2,
        62,
        1,
        BASE + HEADERS,
        64,
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    size = HEADERS + len(body)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, BASE, BASE, size, size + 8 * len(calls), 4096)
    return head + segment + body


def outcomes(box: Box, driver: Driver[RuntimeDriver], calls: list[Call], host: HostConfig | None = None) -> list[int]:
    """What each call returns in a container: 0 or more, or an errno below zero."""
    path = box.rootfs / "bin/calls"
    path.write_bytes(program(calls))
    path.chmod(0o755)
    done = box.run(driver, box.config("/bin/calls", host=host))
    assert done.status == 0, done.stderr
    return list(struct.unpack(f"<{len(calls)}q", done.stdout))


def named(section: Mapping[str, Any]) -> set[str]:
    """All calls that some rule of the section names."""
    return {name for rule in section["syscalls"] for name in rule["names"]}


def refused(way: str) -> Iterable[int]:
    """Numbers of calls that exist and that no rule names."""
    names = named(default_section(DEFAULT_CAPABILITIES))
    return sorted(number for name, number in tables()[way].items() if name not in names and number <= 466)


def test_every_call_that_the_profile_does_not_name_is_refused_on_all_three_ways(
    crun: Driver[RuntimeDriver], box: Box
) -> None:
    calls = [Call(number) for number in refused("SCMP_ARCH_X86_64")]
    calls += [Call(number, old=True) for number in refused("SCMP_ARCH_X86")]
    calls += [Call(number | X32_BIT) for number in refused("SCMP_ARCH_X32")]
    assert len(calls) > 200
    found = outcomes(box, crun, calls)
    assert [call for call, result in zip(calls, found, strict=True) if result != -errno.EPERM] == []


def test_calls_newer_than_the_profile_do_not_exist(crun: Driver[RuntimeDriver], box: Box) -> None:
    calls = [Call(number, old=old) for number in (467, 468, 469, 470, 1000, 100_000) for old in (False, True)]
    calls += [Call(X32_BIT | 470), Call(X32_BIT | 600), Call(tables()["SCMP_ARCH_X86_64"]["clone3"])]
    assert outcomes(box, crun, calls) == [-errno.ENOSYS] * len(calls)


def test_what_programs_need_is_allowed(driver: Driver[RuntimeDriver], box: Box) -> None:
    native, old = tables()["SCMP_ARCH_X86_64"], tables()["SCMP_ARCH_X86"]
    calls = [
        Call(native["getpid"]),
        Call(old["getpid"], old=True),
        Call(native["personality"], 0xFFFFFFFF),
        Call(native["socket"], 2, 1),
        Call(old["socket"], 2, 1, old=True),
        Call(native["uname"], 0),
        Call(native["ptrace"], 9999),
        Call(native["chroot"], 0),
        Call(native["close_range"], 200, 100),
    ]
    found = outcomes(box, driver, calls)
    assert found[:2] == [1, 1]
    assert all(result >= 0 for result in found[2:5])
    assert found[5:] == [-errno.EFAULT, -errno.ESRCH, -errno.EFAULT, -errno.EINVAL]


def test_arguments_decide_where_the_profile_says_so(driver: Driver[RuntimeDriver], box: Box) -> None:
    native, old = tables()["SCMP_ARCH_X86_64"], tables()["SCMP_ARCH_X86"]
    calls = [
        Call(native["personality"], 0x0040000),  # ADDR_NO_RANDOMIZE
        Call(old["personality"], 0x0040000, old=True),
        Call(native["socket"], 38, 5),  # AF_ALG
        Call(old["socket"], 38, 5, old=True),
        Call(native["socket"], 40, 1),  # AF_VSOCK
        Call(native["clone"], 0x10000000),  # CLONE_NEWUSER
        Call(native["unshare"], 0x10000000),
    ]
    assert outcomes(box, driver, calls) == [-errno.EPERM] * len(calls)


def test_the_refusals_are_the_filters_and_not_the_kernels(crun: Driver[RuntimeDriver], box: Box) -> None:
    native = tables()["SCMP_ARCH_X86_64"]
    calls = [
        Call(native[name]) for name in ("unshare", "add_key", "io_uring_setup", "sysfs", "ustat", "keyctl", "setns")
    ]
    assert -errno.EPERM not in outcomes(box, crun, calls, HostConfig(security_opt=("seccomp=unconfined",)))
    assert outcomes(box, crun, calls) == [-errno.EPERM] * len(calls)
