"""The compiled default filter, run by an interpreter of classic BPF against the profile's own rules."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from wherry.linux.seccomp import program as bpf
from wherry.linux.seccomp.default import default_section
from wherry.linux.seccomp.numbers import tables
from wherry.linux.seccomp.program import compile_section
from wherry.linux.seccomp.rules import Host
from wherry_engine.engine.security import CAPABILITIES, DEFAULT_CAPABILITIES

HOST = Host("x86_64", (6, 1))
ALLOWED = bpf.RET_ALLOW
REFUSED = bpf.RET_ERRNO | errno.EPERM
UNKNOWN = bpf.RET_ERRNO | errno.ENOSYS
NEWEST = 466  # removexattrat, the newest that the profile names


class Way(NamedTuple):
    """One of the three ways into the kernel."""

    name: str
    architecture: int
    base: int
    mask: int  # of what is seen of an argument


WAYS = (
    Way("SCMP_ARCH_X86_64", bpf.AUDIT_ARCH_X86_64, 0, (1 << 64) - 1),
    Way("SCMP_ARCH_X86", bpf.AUDIT_ARCH_I386, 0, (1 << 32) - 1),
    Way("SCMP_ARCH_X32", bpf.AUDIT_ARCH_X86_64, bpf.X32_BIT, (1 << 32) - 1),
)
ARGUMENTS = (
    0, 1, 8, 37, 38, 39, 40, 41, 0x10000000, 0x20000, 0x20008, 0x7E020000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 39, (1 << 64) - 1,
)  # fmt: skip


class Machine:
    """Runs a program as the kernel would."""

    def __init__(self, code: bytes) -> None:
        self.instructions = list(struct.iter_unpack("=HBBI", code))

    def run(self, architecture: int, number: int, argument: int = 0) -> int:
        data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *([argument] * 6))
        accumulator = position = 0
        while True:
            code, yes, no, value = self.instructions[position]
            position += 1
            if code == bpf.RETURN:
                return int(value)
            if code == bpf.LOAD:
                accumulator = struct.unpack_from("=I", data, value)[0]
            elif code == bpf.AND:
                accumulator &= value
            elif code == bpf.JUMP:
                position += value
            else:
                holds = {
                    bpf.JUMP_EQ: accumulator == value,
                    bpf.JUMP_GT: accumulator > value,
                    bpf.JUMP_GE: accumulator >= value,
                }[code]
                position += yes if holds else no


def expected(section: Mapping[str, Any], way: Way, number: int, argument: int) -> int:
    """What the rules say, read one by one."""
    table = tables()[way.name]
    if number > NEWEST and not (way.name == "SCMP_ARCH_X32" and 512 <= number <= 547):
        return UNKNOWN
    seen = argument & way.mask
    for rule in section["syscalls"]:
        if any(table.get(name) == number for name in rule["names"]) and all(
            holds(a, seen) for a in rule.get("args", [])
        ):
            return ALLOWED if rule["action"] == "SCMP_ACT_ALLOW" else bpf.RET_ERRNO | rule["errnoRet"]
    return REFUSED


def holds(condition: Mapping[str, Any], argument: int) -> bool:
    value = condition["value"]
    outcomes = {
        "EQ": argument == value,
        "LT": argument < value,
        "GT": argument > value,
        "MASKED_EQ": argument & value == condition["valueTwo"],
    }
    return bool(outcomes[condition["op"].removeprefix("SCMP_CMP_")])


def numbers() -> Iterator[int]:
    yield from range(560)
    yield from (1000, 0x3FFFFFFF)


@pytest.mark.parametrize(
    "capabilities",
    [DEFAULT_CAPABILITIES, (), ("CAP_SYS_ADMIN",), CAPABILITIES],
    ids=["default", "none", "admin", "all"],
)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_call_on_every_way_has_the_outcome_of_the_profile(way: Way, capabilities: tuple[str, ...]) -> None:
    section = default_section(capabilities, HOST)
    machine = Machine(compile_section(section))
    conditional = {tables()[way.name][name] for name in ("socket", "personality", "clone", "clone3")}
    wrong = []
    for number in numbers():
        for argument in ARGUMENTS if number in conditional else ARGUMENTS[:1]:
            found = machine.run(way.architecture, way.base + number, argument)
            if found != expected(section, way, number, argument):
                wrong.append((number, argument, hex(found)))
    assert wrong == []


def test_known_answers_of_the_default_filter() -> None:
    machine = Machine(compile_section(default_section(DEFAULT_CAPABILITIES, HOST)))
    table = tables()["SCMP_ARCH_X86_64"]

    def native(name: str, argument: int = 0) -> int:
        return machine.run(bpf.AUDIT_ARCH_X86_64, table[name], argument)

    assert native("read") == native("execve") == native("chroot") == native("cachestat") == ALLOWED
    assert (
        native("unshare")
        == native("mount")
        == native("bpf")
        == native("io_uring_setup")
        == native("add_key")
        == REFUSED
    )
    assert native("clone3") == UNKNOWN
    assert native("clone", 0x11) == ALLOWED
    assert native("clone", 0x10000000 | 0x11) == REFUSED  # CLONE_NEWUSER
    assert native("socket", 38) == native("socket", 40) == REFUSED  # AF_ALG, AF_VSOCK
    assert native("socket", 2) == native("socket", 39) == ALLOWED
    assert native("personality", 0xFFFFFFFF) == ALLOWED
    assert native("personality", 0x40000) == REFUSED  # ADDR_NO_RANDOMIZE
    assert machine.run(bpf.AUDIT_ARCH_X86_64, 467) == machine.run(bpf.AUDIT_ARCH_I386, 467) == UNKNOWN
    assert machine.run(bpf.AUDIT_ARCH_I386, 0xFFFFFFFF) == machine.run(bpf.AUDIT_ARCH_X86_64, 0xFFFFFFFF) == UNKNOWN
    assert machine.run(0xC00000B7, table["read"]) == bpf.RET_KILL  # AArch64


@pytest.mark.parametrize("op", ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"])
@pytest.mark.parametrize("value", [0, 5, 0xFFFFFFFF, 1 << 32, (7 << 32) + 5])
def test_comparisons_look_at_both_halves_of_an_argument(op: str, value: int) -> None:
    condition = {"index": 3, "value": value, "valueTwo": value & 5, "op": f"SCMP_CMP_{op}"}
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [condition]}
    section = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": list(tables()), "syscalls": [rule]}
    machine = Machine(compile_section(section))
    compare = {
        "NE": lambda a: a != value, "LE": lambda a: a <= value, "GE": lambda a: a >= value,
    }  # fmt: skip
    for argument in (
        0,
        4,
        5,
        6,
        0xFFFFFFFE,
        0xFFFFFFFF,
        1 << 32,
        (1 << 32) + 5,
        (6 << 32) + 5,
        (7 << 32) + 5,
        (8 << 32),
    ):
        right = compare[op](argument) if op in compare else holds(condition, argument)
        assert (machine.run(bpf.AUDIT_ARCH_X86_64, 0, argument) == ALLOWED) is right, hex(argument)


def test_what_cannot_be_compiled_is_refused() -> None:
    section = default_section(DEFAULT_CAPABILITIES, HOST)
    for changed in (
        {"architectures": ["SCMP_ARCH_AARCH64"]},
        {"flags": ["SECCOMP_FILTER_FLAG_LOG"]},
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "?"}]}]},
    ):
        with pytest.raises(ValueError, match="compiled"):
            compile_section({**section, **changed})


def test_the_program_fits_the_kernel() -> None:
    code = compile_section(default_section(DEFAULT_CAPABILITIES, HOST))
    assert len(code) % 8 == 0
    assert len(code) // 8 < 1000
