"""Which OCI runtime runs a container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.errors import Invalid, NotFound, Unsupported, WherryError
from wherry.model.containers import MountPoint
from wherry.model.runtimes import Runtime, RuntimeProgram
from wherry.model.system import RuntimeInfo
from wherry.spec.runtime import RuntimeDriver
from wherry_engine.engine.drivers import Drivers
from wherry_engine.loader.load import Driver

PREFERENCE = ("crun", "runc")  # the fastest first


class Runtimes:
    """Runtime drivers and the programs that the configuration names, each probed once."""

    def __init__(self, drivers: Drivers, configured: Mapping[str, RuntimeProgram], default: str) -> None:
        """`default` "" takes the first driver's that works here."""
        self._drivers, self._configured, self._default = drivers, configured, default
        self._probed: dict[str, tuple[Driver[RuntimeDriver], Runtime]] = {}

    def configure(self, configured: Mapping[str, RuntimeProgram], default: str) -> None:
        """From now on there are these, and this is the default."""
        for name in {*self._configured, *configured}:
            if self._configured.get(name) != configured.get(name):
                self._probed.pop(name, None)
        self._configured, self._default = configured, default

    async def get(self, name: str) -> tuple[Driver[RuntimeDriver], Runtime]:
        """The driver and the program it found. Raises `Unsupported`, or `Invalid` for a name that is not installed."""
        if name not in self._probed:
            try:
                found = await (self._recognize(name) if name in self._configured else self._probe(name))
            except Unsupported:
                raise
            except WherryError as error:
                raise Invalid(f"unknown or invalid runtime name: {name}: {error.text}") from error
            self._probed[name] = found
        return self._probed[name]

    async def _probe(self, name: str) -> tuple[Driver[RuntimeDriver], Runtime]:
        driver = await self._drivers.get(RuntimeDriver, name)
        return driver, await self._drivers.call("runtime.probe", driver, lambda hook: hook.probe())

    async def _recognize(self, name: str) -> tuple[Driver[RuntimeDriver], Runtime]:
        program = self._configured[name]
        for kind in PREFERENCE:
            driver = await self._drivers.get(RuntimeDriver, kind)
            runtime = await self._drivers.call(
                "runtime.recognize", driver, lambda hook: hook.recognize(argv=(program.path, *program.arguments))
            )
            if runtime is not None:
                return driver, runtime
        raise Invalid(f"no runtime driver takes {program.path}")

    async def remover(self, name: str) -> Runtime:
        """The program that removes what the one of this name has left: the default one where that is no longer there."""
        try:
            _, runtime = await self.get(name or await self.default())
        except (Invalid, Unsupported):
            _, runtime = await self.get(await self.default())
        return runtime

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

    def shown(self) -> dict[str, RuntimeInfo]:
        """Those that may be asked for: the drivers' that were found so far, and the configured ones."""
        found = {name: RuntimeInfo(path=runtime.argv[0]) for name, runtime in self.probed().items()}
        return found | {
            name: RuntimeInfo(path=program.path, arguments=program.arguments)
            for name, program in self._configured.items()
        }
