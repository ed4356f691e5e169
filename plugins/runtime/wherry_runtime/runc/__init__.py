"""The runtime driver `runc`: the reference OCI runtime, as it is."""

from __future__ import annotations

import re

from wherry.linux.programs import attempt, output, required
from wherry.spec.runtime import Runtime, RuntimeDriver, hookimpl

PROGRAM = "runc"


class Driver(RuntimeDriver):
    """The reference OCI runtime. Takes every bundle as it is."""

    @hookimpl
    def probe(self) -> Runtime:
        """Find runc on PATH or in an sbin folder."""
        program = required(PROGRAM, package=PROGRAM)
        version = re.search(r"version (\S+)", output([program, "--version"]))
        return Runtime((program,), version[1] if version else "unknown")

    @hookimpl
    def recognize(self, argv: tuple[str, ...]) -> Runtime | None:
        """Any program that is there: none need tell its version in runc's way."""
        program = required(argv[0])
        _, told, _ = attempt([program, "--version"])
        version = re.search(r"version (\S+)", told)
        return Runtime((program, *argv[1:]), version[1] if version else "unknown")
