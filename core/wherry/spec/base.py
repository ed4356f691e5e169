"""What all driver families share: the hook markers, the base class, and the context a driver is made with."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pluggy

from wherry.toolkit.options import NoOptions

hookspec = pluggy.HookspecMarker("wherry")
hookimpl = pluggy.HookimplMarker("wherry")
spec = hookspec(firstresult=True)


@attrs.frozen
class Context:
    """What the loader hands a driver's class."""

    root: Path  # the driver's own folder in the data root, exists
    run_root: Path  # the same in the exec root: gone after a reboot
    instance: str  # id of this engine: part of the name of every kernel object
    config: Any  # the driver's CONFIG, parsed


class DriverSpec(ABC):
    """Base of every driver. Name your class in the entry-point group `wherry.<FAMILY>.v<MAJOR>`.

    Every hook may be called again with the same arguments and then gives the same answer; removing what is not there
    succeeds. Calls about one key or id never overlap: an undo waits until the call has ended or its process is dead. A
    hook that fails leaves things as before the call, or the engine removes them by the matching release hook. The engine
    counts users, so a driver need not. Hooks are synchronous, take and return values and descriptors only, and never
    call the engine. An optional hook is a capability: override it and the engine uses it. Mark overrides with
    `@hookimpl`.
    """

    FAMILY: ClassVar[str]
    MAJOR: ClassVar[int] = 1
    CONFIG: ClassVar[type] = NoOptions  # daemon.json, once per engine
    OPTIONS: ClassVar[type] = NoOptions  # --opt, once per object
    FEATURES: ClassVar[frozenset[str]] = frozenset()  # what no hook shows

    def __init__(self, context: Context) -> None:  # noqa: B027  a driver may have nothing to set up
        """Touch nothing but the roots given. Raise `Unsupported` when this host cannot run the driver."""

    @spec
    def status(self) -> Sequence[tuple[str, str]]:
        """Optional: pairs for `docker info`."""
        raise NotImplementedError
