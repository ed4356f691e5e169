"""Broadcasts: what happens in the engine, told to every service that wants to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pluggy

from wherry.errors import Failed, WherryError
from wherry.model.sandboxes import Sandbox, ServiceProcess
from wherry.spec.service import ServiceHooks
from wherry_engine.work import Pool


class Broadcasts:
    """The hooks of all services. One that no service has costs nothing."""

    def __init__(self) -> None:
        self._relay = pluggy.PluginManager("wherry")
        self._relay.add_hookspecs(ServiceHooks)
        self._pool = Pool("services", 4)

    def register(self, service: object, name: str) -> None:
        """Let this service hear. Raises `Failed` if it has a hook that does not exist, or with other arguments."""
        try:
            self._relay.register(service, name)
            self._relay.check_pending()
        except pluggy.PluginValidationError as error:
            raise Failed(f"the service {name} is not one: {error}") from error

    async def processes(self) -> Sequence[ServiceProcess]:
        """What all services need."""
        answers = await self.call("services.processes", "processes", lambda hook: hook())
        return [process for answer in answers for process in answer]

    async def sandboxes(self, sandboxes: Sequence[Sandbox]) -> None:
        """These are all."""
        await self.call("services.sandboxes", "sandboxes", lambda hook: hook(sandboxes=sandboxes))

    async def sandbox_ready(self, sandbox: Sandbox) -> None:
        """This one is new, or has changed."""
        await self.call("container.start.services", "sandbox_ready", lambda hook: hook(sandbox=sandbox))

    async def sandbox_gone(self, container_id: str) -> None:
        """This one ends."""
        await self.call("container.end.services", "sandbox_gone", lambda hook: hook(container_id=container_id))

    async def call(self, where: str, name: str, call: Callable[[Any], list[Any]]) -> list[Any]:
        hook = getattr(self._relay.hook, name)
        if not hook.get_hookimpls():
            return []
        try:
            return await self._pool.run(where, lambda: call(hook))
        except (WherryError, OSError):
            raise
        except Exception as error:  # the plugin border
            raise Failed(f"a service failed in {name}, which is a bug of it: {error!r}") from error

    def close(self) -> None:
        """End the threads."""
        self._pool.close()
