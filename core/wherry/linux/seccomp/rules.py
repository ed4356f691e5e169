"""Seccomp rules with conditions, and the OCI `linux.seccomp` section that they come to on one host.

See seccomp(2) and https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"

# By uname -m: the name that profiles use in conditions, and libseccomp's names of the machine's ways into the kernel.
MACHINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "x86_64": ("amd64", ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")),
    "aarch64": ("arm64", ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")),
    "mips64": ("mips64", ("SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32")),
    "mipsel64": ("mips64le", ("SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32")),
    "s390x": ("s390x", ("SCMP_ARCH_S390X", "SCMP_ARCH_S390")),
    "riscv64": ("riscv64", ("SCMP_ARCH_RISCV64",)),
    "loongarch64": ("loong64", ("SCMP_ARCH_LOONGARCH64",)),
    "ppc64le": ("ppc64le", ("SCMP_ARCH_PPC64LE",)),
}


class Argument(NamedTuple):
    """A condition on one argument of a call. For MASKED_EQ `value` is the mask and `value_two` what must remain."""

    position: int
    value: int
    op: str
    value_two: int = 0


class Rule(NamedTuple):
    """What happens to some calls, if the host and the container's capabilities meet the rule's conditions."""

    names: tuple[str, ...]
    action: str = ALLOW
    errno: int | None = None
    arguments: tuple[Argument, ...] = ()
    with_capabilities: frozenset[str] = frozenset()  # all of them
    without_capabilities: frozenset[str] = frozenset()  # none of them
    machines: frozenset[str] = frozenset()  # one of them; empty is any
    not_machines: frozenset[str] = frozenset()
    kernel: tuple[int, int] = (0, 0)  # at least


class Host(NamedTuple):
    """What rules may depend on."""

    machine: str  # as uname -m
    kernel: tuple[int, int]


def this_host() -> Host:
    """The host that this process runs on."""
    name = os.uname()
    numbers = re.match(r"(\d+)\.(\d+)", name.release)
    return Host(name.machine, (int(numbers[1]), int(numbers[2])) if numbers else (0, 0))


def applies(rule: Rule, capabilities: Collection[str], host: Host) -> bool:
    """Whether the rule's conditions are met."""
    machine = MACHINES.get(host.machine, (host.machine, ()))[0]
    return (
        rule.with_capabilities.issubset(capabilities)
        and rule.without_capabilities.isdisjoint(capabilities)
        and (not rule.machines or machine in rule.machines)
        and machine not in rule.not_machines
        and host.kernel >= rule.kernel
    )


def section(
    rules: Iterable[Rule],
    capabilities: Collection[str],
    host: Host,
    *,
    default_action: str = ERRNO,
    default_errno: int | None = None,
    architectures: Collection[str] | None = None,
) -> dict[str, Any]:
    """The OCI section that the rules come to for a container with these capabilities."""
    if architectures is None:
        architectures = MACHINES.get(host.machine, ("", ()))[1]
    result: dict[str, Any] = {"defaultAction": default_action}
    if default_errno is not None:
        result["defaultErrnoRet"] = default_errno
    if architectures:
        result["architectures"] = list(architectures)
    result["syscalls"] = [_entry(rule) for rule in rules if applies(rule, capabilities, host)]
    return result


def _entry(rule: Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"names": list(rule.names), "action": rule.action}
    if rule.errno is not None:
        entry["errnoRet"] = rule.errno
    if rule.arguments:
        entry["args"] = [
            {"index": a.position, "value": a.value, "valueTwo": a.value_two, "op": a.op} for a in rule.arguments
        ]
    return entry
