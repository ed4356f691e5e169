"""The driver: finds crun, tells whether this host's cgroups need hiding, and compiles seccomp filters for it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from wherry.linux.mountinfo import mounts
from wherry.linux.programs import attempt, output, required
from wherry.linux.seccomp.program import compile_section
from wherry.spec.runtime import Runtime, RuntimeDriver, Unsupported, hookimpl

PROGRAM = "crun"
UNIFIED = "/sys/fs/cgroup/unified"
ANNOTATION = "run.oci.seccomp_bpf_data"
# crun looks for the annotation only where there is a section, and a version that does not know the annotation is left
# with one that refuses everything: the container does not start, rather than start without its filter.
REFUSE_ALL = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"]}


class Driver(RuntimeDriver):
    """The OCI runtime in C. Gets its seccomp filter as a ready program, which libseccomp takes 20 ms to make."""

    @hookimpl
    def probe(self) -> Runtime:
        """Find crun on PATH or in an sbin folder, built with seccomp."""
        program = required(PROGRAM, package=PROGRAM)
        text = output([program, "--version"])
        if "+SECCOMP" not in text:
            raise Unsupported(f"{program} is built without seccomp")
        version = re.search(r"version (\S+)", text)
        return Runtime((program,), version[1] if version else "unknown", hide_unified_cgroup=_is_hybrid())

    @hookimpl
    def recognize(self, argv: tuple[str, ...]) -> Runtime | None:
        """A program that calls itself crun."""
        program = required(argv[0])
        _, told, _ = attempt([program, "--version"])
        version = re.match(r"crun version (\S+)", told)
        return Runtime((program, *argv[1:]), version[1], hide_unified_cgroup=_is_hybrid()) if version else None

    @hookimpl
    def adapt(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a ready program in the place of the seccomp section; one that cannot be compiled stays for libseccomp."""
        seccomp = config["linux"].get("seccomp")
        if seccomp is None:
            return config
        program = _program(json.dumps(seccomp))
        if program is None:
            return config
        linux = {**config["linux"], "seccomp": REFUSE_ALL}
        return {**config, "linux": linux, "annotations": {**config.get("annotations", {}), ANNOTATION: program}}


def _is_hybrid() -> bool:
    """Whether there is a cgroup2 hierarchy beside version 1: crun refuses such a host as long as it sees both."""
    kinds = {info.kind for info in mounts("/sys/fs/cgroup")}
    return "cgroup" in kinds and any(info.kind == "cgroup2" for info in mounts(UNIFIED))


@lru_cache(maxsize=64)
def _program(section: str) -> str | None:
    """The filter for a section (JSON), in base64; None where it cannot be compiled (other machines, notifications, ...)."""
    try:
        return base64.b64encode(compile_section(json.loads(section))).decode()
    except ValueError:
        return None
