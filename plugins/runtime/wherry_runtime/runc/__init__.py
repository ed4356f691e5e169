"""The runtime driver `runc`: the reference OCI runtime, as it is."""

from __future__ import annotations

import re

from wherry.linux.programs import attempt, find, output
from wherry.spec.runtime import Runtime, RuntimeDriver, Unsupported, hookimpl

PROGRAM = "runc"


class Driver(RuntimeDriver):
    """The reference OCI runtime. Takes every bundle as it is."""

    @hookimpl
    def probe(self) -> Runtime:
        """Find runc on PATH or in an sbin folder."""
        program = find(PROGRAM)
        if program is None:
            raise Unsupported(f"there is no {PROGRAM} on this host; install the package {PROGRAM}")
        version = re.search(r"version (\S+)", output([program, "--version"]))
        return Runtime((program,), version[1] if version else "unknown")

    @hookimpl
    def recognize(self, argv: tuple[str, ...]) -> Runtime | None:
        """Any program that is there: none need tell its version in runc's way."""
        program = find(argv[0])
        if program is None:
            raise Unsupported(f"there is no {argv[0]} on this host")
        _, told, _ = attempt([program, "--version"])
        version = re.search(r"version (\S+)", told)
        return Runtime((program, *argv[1:]), version[1] if version else "unknown")
