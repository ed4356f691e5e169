"""Which OCI runtime runs a container."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.errors import Invalid, NotFound, Unsupported, WherryError
from wherry.model.containers import MountPoint
from wherry.model.runtimes import Runtime
from wherry.spec.runtime import RuntimeDriver
from wherry_engine.engine.drivers import Drivers
from wherry_engine.loader.load import Driver

PREFERENCE = ("crun", "runc")  # the fastest first


class Runtimes:
    """Runtime drivers, probed once each."""

    def __init__(self, drivers: Drivers, default: str = "") -> None:
        """`default` "" takes the first that works here."""
        self._drivers, self._default = drivers, default
        self._probed: dict[str, tuple[Driver[RuntimeDriver], Runtime]] = {}

    async def get(self, name: str) -> tuple[Driver[RuntimeDriver], Runtime]:
        """The driver and the program it found. Raises `Unsupported`, or `Invalid` for a name that is not installed."""
        if name not in self._probed:
            try:
                driver = await self._drivers.get(RuntimeDriver, name)
            except Unsupported:
                raise
            except WherryError as error:
                raise Invalid(f"unknown or invalid runtime name: {name}: {error.text}") from error
            runtime = await self._drivers.call("runtime.probe", driver, lambda hook: hook.probe())
            self._probed[name] = (driver, runtime)
        return self._probed[name]

    async def default(self) -> str:
        """The name of the runtime that containers get who ask for none."""
        return await self.choose("", ())

    async def choose(self, asked: str, mounts: Sequence[MountPoint]) -> str:
        """The name of the runtime for a container.

        One that runs in a mount namespace of its own cannot pass on mounts made later: shared binds take the next.
        """
        asked = asked or self._default
        if asked:
            await self.get(asked)
            return asked
        shared = any(point.propagation in ("shared", "rshared") for point in mounts)
        reasons = []
        for name in PREFERENCE:
            try:
                _, runtime = await self.get(name)
            except (Unsupported, NotFound, Invalid) as error:
                reasons.append(f"{name}: {error.text}")
                continue
            if shared and runtime.hide_unified_cgroup:
                reasons.append(f"{name}: cannot run containers with shared binds on this host")
                continue
            return name
        raise Unsupported(f"no OCI runtime works on this host ({'; '.join(reasons)}): install crun or runc")

    def probed(self) -> dict[str, Runtime]:
        """What was found so far."""
        return {name: runtime for name, (_, runtime) in self._probed.items()}
