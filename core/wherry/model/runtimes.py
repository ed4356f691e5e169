"""How to run an OCI runtime."""

from __future__ import annotations

import attrs


@attrs.frozen
class Runtime:
    """An OCI runtime's program, as a driver found it. The monitor executes it and imports no driver.

    `argv` is the program with the options that precede the OCI command (`--root` is added by the engine).
    With `hide_unified_cgroup` it runs in a private mount namespace in which /sys/fs/cgroup/unified is unmounted.
    """

    argv: tuple[str, ...]
    version: str
    hide_unified_cgroup: bool = False


@attrs.frozen
class RuntimeProgram:
    """An OCI runtime that the engine's configuration names: its program (a path, or a name on PATH), and what precedes the OCI command."""

    path: str
    arguments: tuple[str, ...] = ()
