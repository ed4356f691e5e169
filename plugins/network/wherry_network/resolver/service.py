"""The resolver as a service of the engine: renders what its process reads, and leads the sandboxes' port 53 there."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from wherry.linux import sockets
from wherry.linux.files import write_file
from wherry.linux.namespaces import is_netns
from wherry.spec.service import Failed, Sandbox, ServiceHooks, ServiceProcess, Unavailable, hookimpl
from wherry_network._nft import NftError, change_inside
from wherry_network.resolver import state
from wherry_network.resolver.state import Entry, Place

VERSION = "2"  # another one makes the next engine replace the process
PATIENCE = 5.0  # seconds in which the process must answer; it is started again in less than a tenth of one
# Outside of what the kernel hands out by itself (net.ipv4.ip_local_port_range): found free again after a restart.
_PORTS = range(61000, 65536)
# The container's own port 53 stays free for it. In the output hook, since `redirect` means another address.
_RULES = """table ip wherry_resolver {{
    chain output {{ type nat hook output priority -100; }}
}}
flush chain ip wherry_resolver output
add rule ip wherry_resolver output ip daddr 127.0.0.11 meta l4proto {{ tcp, udp }} th dport 53 dnat to 127.0.0.11:{port}
"""

log = logging.getLogger(__name__)


class Engine(Protocol):
    """What the resolver needs of the engine."""

    @property
    def exec_root(self) -> Path: ...


class ResolverService(ServiceHooks):
    """One resolver process for the containers of user-defined networks."""

    def __init__(self, engine: Engine) -> None:
        self._folder = str(engine.exec_root / "resolver")

    async def start(self, listening: object) -> None:
        """Its process is up already: containers may have been started before the API listens."""

    async def stop(self) -> None:
        """The process goes on: containers do."""

    @hookimpl
    def processes(self) -> Sequence[ServiceProcess]:
        function = "wherry_network.resolver.main:main"
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        return [ServiceProcess("resolver", function, (self._folder, VERSION))]

    @hookimpl
    def sandboxes(self, sandboxes: Sequence[Sandbox]) -> None:
        """A container that has ended unseen has no sandbox any more; the engine is about to notice."""
        wanted = {each.container_id: each for each in sandboxes if each.places and is_netns(each.netns)}
        for id in {*state.ids(self._folder), *state.ids(self._folder, state.GOING)} - wanted.keys():
            self.sandbox_gone(container_id=id)
        for sandbox in wanted.values():
            try:
                self.sandbox_ready(sandbox=sandbox)
            except Failed as error:  # one container's trouble; the others and the engine go on
                log.warning("%s", error.text)

    @hookimpl
    def sandbox_ready(self, sandbox: Sandbox) -> None:
        id = sandbox.container_id
        try:
            known: Entry | None = state.load(self._folder, id)
        except FileNotFoundError:
            known = None
        if not sandbox.places and known is None:
            return
        entry = _entry(sandbox, known.port if known else random.choice(_PORTS))
        if entry != known:
            if known is None:
                self._lead(sandbox, entry.port)
            write_file(Path(state.path(self._folder, id)), state.dump(entry), 0o600)
        self._tell("put", id)

    @hookimpl
    def sandbox_gone(self, container_id: str) -> None:
        """The file first, under another name until the process has let go: whoever is killed in between knows.

        A process that hangs keeps the sandbox until it is killed, and hinders no container from ending.
        """
        file = Path(state.path(self._folder, container_id))
        going = file.with_suffix(state.GOING)
        with suppress(FileNotFoundError):
            file.rename(going)
        if going.exists():
            try:
                self._tell("drop", container_id)
            except Unavailable as error:
                log.warning("the sandbox of container %s is not let go of: %s", container_id[:12], error.text)
                return
            going.unlink()

    def _lead(self, sandbox: Sandbox, port: int) -> None:
        namespace = os.open(sandbox.netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            change_inside(namespace, _RULES.format(port=port))
        except NftError as error:
            raise Failed(f"names cannot be resolved in container {sandbox.container_id[:12]}: {error}") from error
        finally:
            os.close(namespace)

    def _tell(self, op: str, id: str) -> None:
        """Let the process look at the file of this sandbox. Raises Unavailable if it does not answer, Failed if it cannot."""
        late = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self._ask({"op": op, "id": id}, late)
                break
            except OSError as error:  # it is being started again
                if time.monotonic() > late:
                    raise Unavailable(f"the resolver does not answer: {error}") from error
                time.sleep(0.005)
        if "error" in answer:
            raise Failed(f"names cannot be resolved in container {id[:12]}: {answer['error']}")

    def _ask(self, message: dict[str, str], late: float) -> dict[str, str]:
        with sockets.connect(f"{self._folder}/{state.SOCKET}") as connection:
            connection.settimeout(max(late - time.monotonic(), 0.01))
            sockets.send(connection, message)
            answer, _ = sockets.receive(connection)
        if answer is None:
            raise ConnectionResetError("it has ended meanwhile")
        return dict(answer)


def _entry(sandbox: Sandbox, port: int) -> Entry:
    return Entry(
        netns=str(sandbox.netns),
        port=port,
        places=[
            Place(each.network_id, each.network, each.address, list(each.names), dict(each.links))
            for each in sandbox.places
        ],
        servers=[(server.address, server.from_host) for server in sandbox.servers],
        keeps_short_names=sandbox.keeps_short_names,
    )
