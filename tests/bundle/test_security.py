"""Capabilities and seccomp profiles of containers."""

from __future__ import annotations

import json

import pytest

from wherry.errors import Invalid
from wherry.linux.seccomp.default import default_section
from wherry.linux.seccomp.rules import Host
from wherry.model.configs import HostConfig
from wherry_engine.engine.seccomp_files import section_of_file
from wherry_engine.engine.security import (
    DEFAULT_CAPABILITIES,
    SecurityOptions,
    capabilities,
    grantable,
    parse_options,
    seccomp_section,
)  # fmt: skip


def test_capabilities_are_added_and_dropped() -> None:
    assert capabilities(HostConfig()) == DEFAULT_CAPABILITIES
    changed = capabilities(HostConfig(cap_add=("net_admin", "CAP_CHOWN"), cap_drop=("kill",)))
    assert set(changed) == set(DEFAULT_CAPABILITIES) - {"CAP_KILL"} | {"CAP_NET_ADMIN"}
    assert len(changed) == len(set(changed))


def test_all_stands_for_every_capability() -> None:
    assert capabilities(HostConfig(cap_drop=("ALL",))) == ()
    assert capabilities(HostConfig(cap_drop=("all",), cap_add=("chown",))) == ("CAP_CHOWN",)
    assert capabilities(HostConfig(cap_add=("ALL",))) == grantable()
    assert set(capabilities(HostConfig(cap_add=("all",), cap_drop=("kill",)))) == set(grantable()) - {"CAP_KILL"}
    assert capabilities(HostConfig(privileged=True, cap_drop=("kill",))) == grantable()


def test_security_options() -> None:
    assert parse_options(()) == SecurityOptions()
    assert parse_options(("no-new-privileges:true",)).no_new_privileges
    assert not parse_options(("no-new-privileges", "no-new-privileges=false")).no_new_privileges
    assert parse_options(('seccomp={"a": "b=c"}',)).seccomp == '{"a": "b=c"}'
    assert parse_options(("seccomp:unconfined", "label:disable", "disable")).seccomp == "unconfined"


def test_which_profile_counts() -> None:
    granted = frozenset(DEFAULT_CAPABILITIES)
    assert seccomp_section(HostConfig(), SecurityOptions(), granted) == default_section(granted)
    assert seccomp_section(HostConfig(), SecurityOptions("builtin"), granted) == default_section(granted)
    assert seccomp_section(HostConfig(), SecurityOptions("unconfined"), granted) is None
    assert seccomp_section(HostConfig(privileged=True), SecurityOptions(), granted) is None


def test_a_capability_brings_its_calls_along() -> None:
    def allowed(*granted: str, machine: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> set[str]:
        section = default_section(granted, Host(machine, kernel))
        rules = [r for r in section["syscalls"] if r["action"] == "SCMP_ACT_ALLOW" and "args" not in r]
        return {name for rule in rules for name in rule["names"]}

    assert {"mount", "clone3", "setns"} <= allowed("CAP_SYS_ADMIN")
    assert {"mount", "clone3", "setns", "chroot", "reboot"}.isdisjoint(allowed())
    assert "chroot" in allowed("CAP_SYS_CHROOT")
    assert "ptrace" in allowed()
    assert "ptrace" not in allowed(kernel=(4, 4))
    assert "arch_prctl" in allowed()
    assert "arch_prctl" not in allowed(machine="aarch64")
    assert "set_tls" in allowed(machine="aarch64")


PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"name": "read", "action": "SCMP_ACT_ALLOW", "args": None},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 7, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["kill"], "action": "SCMP_ACT_TRAP", "excludes": {"caps": ["CAP_KILL"]}, "includes": {"minKernel": "4.8"}},
        {"names": ["tkill"], "action": "SCMP_ACT_TRAP", "includes": {"minKernel": "99.0"}},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("granted", "names"), [((), ["read", "clone", "kill"]), (("CAP_KILL", "CAP_SYS_ADMIN"), ["read", "clone", "mount"])]
)
def test_a_callers_profile_is_resolved_for_this_host(granted: tuple[str, ...], names: list[str]) -> None:
    section = section_of_file(json.dumps(PROFILE), granted)
    assert (section["defaultAction"], section["defaultErrnoRet"], section["flags"]) == (
        "SCMP_ACT_ERRNO",
        38,
        PROFILE["flags"],
    )
    assert [name for rule in section["syscalls"] for name in rule["names"]] == names
    assert section["syscalls"][1]["args"] == [{"index": 0, "value": 7, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]
    assert section["architectures"][0].startswith("SCMP_ARCH_")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"architectures": ["SCMP_ARCH_X86_64"]}, "use either 'architectures' or 'archMap'"),
        ({"syscalls": [{"name": "a", "names": ["b"], "action": "x"}]}, "use either 'name' or 'names'"),
        ({"syscalls": [{"names": ["b"]}]}, "Decoding seccomp profile failed: KeyError\\('action'\\)"),
        ({"syscalls": [{"names": ["b"], "action": "x", "includes": {"minKernel": "new"}}]}, "is not a kernel version"),
    ],
)
def test_a_profile_that_cannot_be_read_is_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        section_of_file(json.dumps(PROFILE | change), ())


def test_text_that_is_no_profile_is_refused() -> None:
    for text in ("/path/to/profile.json", "[]", '{"defaultAction": 3}'):
        with pytest.raises(Invalid, match="Decoding seccomp profile failed"):
            section_of_file(text, ())
