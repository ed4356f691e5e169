"""Seccomp sections as programs for the kernel: classic BPF over struct seccomp_data, for x86-64 with i386 and x32.

The calls of one architecture are cut into ranges of numbers with the same outcome, and a binary tree of comparisons
finds the range: about eight jumps for any call. Sources: seccomp(2), linux/seccomp.h, linux/filter.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wherry.linux.seccomp.numbers import tables
from wherry.linux.seccomp.rules import ALLOW, ERRNO

# linux/bpf_common.h
LOAD, JUMP, JUMP_EQ, JUMP_GT, JUMP_GE, AND, RETURN = 0x20, 0x05, 0x15, 0x25, 0x35, 0x54, 0x06
RET_KILL, RET_ERRNO, RET_ALLOW = 0x00000000, 0x00050000, 0x7FFF0000
AUDIT_ARCH_X86_64, AUDIT_ARCH_I386 = 0xC000003E, 0x40000003
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
X32_BIT = 0x40000000
X32_OWN = 512  # where x32's own numbers start, above those it shares
LONGEST = 4096  # BPF_MAXINSNS
NEAR = 255  # how far a conditional jump reaches


class Instruction(NamedTuple):
    """struct sock_filter: `yes` and `no` say how many instructions are skipped."""

    code: int
    yes: int
    no: int
    value: int


class Condition(NamedTuple):
    """One comparison of an argument, as the OCI section has it."""

    position: int
    op: str
    value: int
    value_two: int


class Choice(NamedTuple):
    """What is returned if all conditions hold."""

    conditions: tuple[Condition, ...]
    result: int


Outcome = tuple[Choice, ...]  # the first that holds; the last one has no conditions
Ranges = list[tuple[int, Outcome]]  # from this number up to the next range


def compile_section(section: Mapping[str, Any]) -> bytes:
    """The program for an OCI `linux.seccomp` section, as an array of struct sock_filter.

    Numbers above the newest that the section names get ENOSYS, so that a libc falls back to older calls; another
    architecture is killed. Raises ValueError for a section that is not x86-64's or does more than allow and refuse.
    """
    if set(section.get("architectures", ())) != set(tables()) or section.get("flags"):
        raise ValueError("only sections for x86-64, i386 and x32 without flags can be compiled")
    default = _result(section["defaultAction"], section.get("defaultErrnoRet"))
    ranges = {name: _ranges(section["syscalls"], table, name, default) for name, table in tables().items()}
    x86_64, x32 = _tree(ranges["SCMP_ARCH_X86_64"], wide=True), _tree(ranges["SCMP_ARCH_X32"], wide=False)
    native = [Instruction(LOAD, 0, 0, NUMBER), *_fork(X32_BIT, x86_64, x32)]
    i386 = [Instruction(LOAD, 0, 0, NUMBER), *_tree(ranges["SCMP_ARCH_X86"], wide=False)]
    program = [
        Instruction(LOAD, 0, 0, ARCHITECTURE),
        Instruction(JUMP_EQ, 1, 0, AUDIT_ARCH_X86_64),
        Instruction(JUMP, 0, 0, len(native)),
        *native,
        Instruction(JUMP_EQ, 1, 0, AUDIT_ARCH_I386),
        Instruction(RETURN, 0, 0, RET_KILL),
        *i386,
    ]
    if len(program) > LONGEST or any(max(i.yes, i.no) > NEAR for i in program):
        raise ValueError(f"a section with so many conditions cannot be compiled ({len(program)} instructions)")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _result(action: str, number: int | None) -> int:
    if action == ALLOW:
        return RET_ALLOW
    if action == ERRNO:
        return RET_ERRNO | (errno.EPERM if number is None else number)
    raise ValueError(f"action {action} cannot be compiled")


def _ranges(rules: Iterable[Mapping[str, Any]], table: Mapping[str, int], architecture: str, default: int) -> Ranges:
    """Cut all numbers of an architecture into ranges. Names that the architecture lacks are passed over."""
    choices: dict[int, list[Choice]] = {}
    for rule in rules:
        choice = Choice(_conditions(rule), _result(rule["action"], rule.get("errnoRet")))
        for name in rule["names"]:
            if name in table:
                choices.setdefault(table[name], []).append(choice)
    refused, unknown = (Choice((), default),), (Choice((), RET_ERRNO | errno.ENOSYS),)
    base = X32_BIT if architecture == "SCMP_ARCH_X32" else 0
    outcomes = {number: _outcome(found, refused) for number, found in choices.items()}
    newest = max((number for number in outcomes if number < X32_OWN), default=-1)
    last = max(outcomes, default=-1)
    ranges: Ranges = []
    for number in range(last + 2):
        outcome = outcomes.get(number, refused if number <= newest or X32_OWN <= number <= last else unknown)
        if not ranges or ranges[-1][1] != outcome:
            ranges.append((base + number, outcome))
    return ranges


def _conditions(rule: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(Condition(a["index"], a["op"], a["value"], a.get("valueTwo", 0)) for a in rule.get("args", ()))


def _outcome(choices: Sequence[Choice], refused: Outcome) -> Outcome:
    for position, choice in enumerate(choices):
        if not choice.conditions:
            return tuple(choices[: position + 1])
    return (*choices, *refused)


def _tree(ranges: Ranges, *, wide: bool) -> list[Instruction]:
    if len(ranges) == 1:
        return _leaf(ranges[0][1], wide)
    middle = len(ranges) // 2
    return _fork(ranges[middle][0], _tree(ranges[:middle], wide=wide), _tree(ranges[middle:], wide=wide))


def _fork(value: int, below: list[Instruction], above: list[Instruction]) -> list[Instruction]:
    """Go to `above` if the accumulator is `value` or more, else to `below`."""
    if len(below) <= NEAR:
        return [Instruction(JUMP_GE, len(below), 0, value), *below, *above]
    return [Instruction(JUMP_GE, 0, 1, value), Instruction(JUMP, 0, 0, len(below)), *below, *above]


def _leaf(outcome: Outcome, wide: bool) -> list[Instruction]:
    code: list[Instruction] = []
    for choice in outcome:
        block = [Instruction(RETURN, 0, 0, choice.result)]
        for condition in reversed(choice.conditions):
            block = [*_comparison(condition, len(block), wide), *block]
        code += block
    return code


def _comparison(condition: Condition, skip: int, wide: bool) -> list[Instruction]:
    """Fall through if the condition holds, else jump over the `skip` instructions after this code.

    Arguments have 64 bits, and are compared in halves. A 32-bit caller's have no upper half.
    """
    offset = ARGUMENTS + 8 * condition.position
    operand = condition.value_two if condition.op == "SCMP_CMP_MASKED_EQ" else condition.value
    upper, lower = operand >> 32, operand & 0xFFFFFFFF
    low = [Instruction(LOAD, 0, 0, offset), *_masked(condition, 0), *_decide(condition.op, lower, skip)]
    if not wide:
        return low
    rest = len(low)
    failed, held = rest + skip, rest
    head = [Instruction(LOAD, 0, 0, offset + 4), *_masked(condition, 32)]
    if condition.op in ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"):
        return [*head, Instruction(JUMP_EQ, 0, failed, upper), *low]
    if condition.op == "SCMP_CMP_NE":
        return [*head, Instruction(JUMP_EQ, 0, held, upper), *low]
    # A larger upper half decides for GT and GE and against LT and LE; a smaller one the other way round.
    larger, smaller = (held, failed) if condition.op in ("SCMP_CMP_GT", "SCMP_CMP_GE") else (failed, held)
    return [*head, Instruction(JUMP_GT, larger + 1, 0, upper), Instruction(JUMP_EQ, 0, smaller, upper), *low]


def _masked(condition: Condition, shift: int) -> list[Instruction]:
    if condition.op != "SCMP_CMP_MASKED_EQ":
        return []
    return [Instruction(AND, 0, 0, condition.value >> shift & 0xFFFFFFFF)]


def _decide(op: str, value: int, skip: int) -> list[Instruction]:
    """Compare the lower halves."""
    jumps = {
        "SCMP_CMP_EQ": (JUMP_EQ, 0, skip),
        "SCMP_CMP_MASKED_EQ": (JUMP_EQ, 0, skip),
        "SCMP_CMP_NE": (JUMP_EQ, skip, 0),
        "SCMP_CMP_GT": (JUMP_GT, 0, skip),
        "SCMP_CMP_GE": (JUMP_GE, 0, skip),
        "SCMP_CMP_LT": (JUMP_GE, skip, 0),
        "SCMP_CMP_LE": (JUMP_GT, skip, 0),
    }
    if op not in jumps:
        raise ValueError(f"comparison {op} cannot be compiled")
    return [Instruction(*jumps[op], value)]
