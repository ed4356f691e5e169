"""Services: subsystems in the engine's process, such as the API or the resolver. An inner seam, without promise.

Name the class in the entry-point group `wherry.service`. It is made with the engine, before that starts, and is asked
to `start` once the engine is ready and to `stop` before the engine ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from wherry.errors import Failed, Unavailable
from wherry.model.sandboxes import NameServer, Place, Sandbox, ServiceProcess
from wherry.spec.base import hookimpl, hookspec

__all__ = ["Failed", "NameServer", "Place", "Sandbox", "ServiceHooks", "ServiceProcess", "Unavailable", "hookimpl"]


class ServiceHooks:
    """What a service may be told: optional broadcasts, each heard by all services that mark it with `@hookimpl`.

    They are called in threads. Hooks may be repeated with the same arguments, and calls about one container never overlap. What a hook raises fails
    the operation that it belongs to.
    """

    @hookspec
    def processes(self) -> Sequence[ServiceProcess]:
        """The processes that this service needs. Asked once, when the engine starts."""
        raise NotImplementedError

    @hookspec
    def sandboxes(self, sandboxes: Sequence[Sandbox]) -> None:
        """These are all that there are: render the whole. Called when the engine starts, its networks being as they should."""

    @hookspec
    def sandbox_ready(self, sandbox: Sandbox) -> None:
        """This one has been made, with interfaces and routes, or its names have changed; its container has not begun."""

    @hookspec
    def sandbox_gone(self, container_id: str) -> None:
        """This one is about to be removed; its container has ended. Succeeds if the service knows nothing of it."""
