"""Services: subsystems in the engine's process, such as the API or the resolver. An inner seam, without promise.

Name the class in the entry-point group `wherry.service`. It is made with the engine, before that starts.
"""

from __future__ import annotations

from collections.abc import Sequence

from wherry.errors import NotFound, Unavailable
from wherry.model.sandboxes import NameServer, Place, Sandbox, ServiceProcess
from wherry.spec.base import hookimpl, hookspec

__all__ = [
    "NameServer",
    "NotFound",
    "Place",
    "Sandbox",
    "Service",
    "ServiceProcess",
    "Unavailable",
    "hookimpl",
]


class Service:
    """Base of services. All hooks are optional broadcasts: each service that has one is called, in a thread.

    Hooks may be repeated with the same arguments, and calls about one container never overlap. What a hook raises fails
    the operation that it belongs to.
    """

    async def start(self, urls: Sequence[str], *, allow_insecure: bool) -> None:
        """The engine is ready: begin to serve, on these addresses if the service listens."""

    async def stop(self) -> None:
        """End, gracefully; the engine is still there."""

    @hookspec
    def processes(self) -> Sequence[ServiceProcess]:  # type: ignore[empty-body]
        """The processes that this service needs. Asked once, when the engine starts."""

    @hookspec
    def sandboxes(self, sandboxes: Sequence[Sandbox]) -> None:
        """These are all that there are: render the whole. Called when the engine starts, its networks being as they should."""

    @hookspec
    def sandbox_ready(self, sandbox: Sandbox) -> None:
        """This one has been made, with interfaces and routes, or its names have changed; its container has not begun."""

    @hookspec
    def sandbox_gone(self, container_id: str) -> None:
        """This one is about to be removed; its container has ended. Succeeds if the service knows nothing of it."""
