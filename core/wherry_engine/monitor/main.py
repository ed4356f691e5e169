"""wherry-monitor: one process for all containers. It runs the OCI runtime, reaps, logs, and serves those attached.

One thread takes commands, children and exits; a second (streams) owns all bytes, so that a hung disk stalls logs but no
command and no exit. It may die at any moment: the supervisor holds a copy of all descriptors and forks a successor.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from wherry.errors import Failed
from wherry.linux import sockets
from wherry.linux.loop import Loop
from wherry.linux.process import become_subreaper, set_title
from wherry.linux.steps import step
from wherry_engine.monitor import exits, giving
from wherry_engine.monitor.cgroups import Hierarchies
from wherry_engine.monitor.clients import Clients, Reply
from wherry_engine.monitor.commands import serve
from wherry_engine.monitor.container import Container, Exit
from wherry_engine.monitor.execs import MARK, Execs
from wherry_engine.monitor.exits import Exits
from wherry_engine.monitor.launch import Creation, free_slots
from wherry_engine.monitor.link import Link
from wherry_engine.monitor.passing import MONITOR, Passed
from wherry_engine.monitor.ports import Reservations
from wherry_engine.monitor.progress import Progress
from wherry_engine.monitor.protocol import BEAT, MONITOR_TITLE
from wherry_engine.monitor.remove import Removals
from wherry_engine.monitor.report import report
from wherry_engine.monitor.runtime import Programs
from wherry_engine.monitor.shared import Held, Ports, Shared
from wherry_engine.monitor.streams import Streams
from wherry_engine.monitor.upgrade import Upgrade

PATIENCE = 5.0  # seconds that runtimes at work get before an upgrade or a promotion: one may hang on a user's path
_REST = 1.0  # the same for the disks of logs, which may hang: no command is served meanwhile
_PAUSE = 0.02


class Monitor:
    """The parts of a monitor, put together."""

    def __init__(
        self, shared: Shared, channel: socket.socket, held: Iterable[Held], ports: Ports, number: int = 0
    ) -> None:
        """Take over what is held: its descriptors are ours from now on. `number` is that of the last message there."""
        set_title(MONITOR_TITLE)
        become_subreaper()
        sys.setswitchinterval(0.0005)  # a command must not wait 5 ms for the thread of bytes
        self.shared = shared
        self.work = f"{shared.root}/work"
        self.loop = Loop()
        self.link = Link(channel, number)
        self.programs = Programs(shared.environment)
        self.hierarchies = Hierarchies()
        self.progress = Progress(shared.progress)
        self.streams = Streams(shared.bin, self.progress, self.loop)
        self.exits = Exits(self)
        self.execs = Execs(self)
        self.removals = Removals(self)
        self.ports = Reservations(ports, self.link)
        self.containers: dict[str, Container] = {}
        self.creating: dict[str, Creation] = {}
        self.old_exits: dict[str, Any] = exits.read_all(shared.root)
        self.upgrade = Upgrade(self.loop, self.loop.stop)
        self._orphaned = False  # the supervisor is dead
        self.streams.ended = self.exits.stream_ended
        self.streams.attachments.stdin_done = self._stdin_done
        self.loop.watch(channel.fileno(), self._from_supervisor)
        self.clients = Clients(self.loop, shared.monitor, self._serve, lambda _: None)
        for entry in held:
            if MARK in entry.meta:
                self.execs.adopt(entry)
            else:
                self._adopt(entry)
        self._sweep_work()

    def slots(self, names: tuple[str, ...]) -> dict[str, int]:
        """Free places on the page of progress."""
        return free_slots(
            {s for c in self.containers.values() for s in c.meta["slots"].values()} | self._begun(), names
        )

    def _begun(self) -> set[int]:
        return {slot for creation in self.creating.values() for slot in creation.slots}

    def run(self) -> list[Held]:
        """Serve until the supervisor has died; then what its successor, this process, has to hold."""
        self.loop.watch_children(self.exits.reap)
        self.streams.begin()
        self.exits.reap()
        self.loop.run()
        while not self._orphaned:
            self._execute()
            self.loop.run()
        return self._retire()

    # --- taking over, and passing on ---

    def _adopt(self, entry: Held) -> None:
        if not entry.pid:  # died half created: the supervisor has killed what there was of it
            self._sweep(entry)
            return
        container = Container(entry.id, entry.pid, entry.meta, entry.fds)
        container.exit, container.done = entry.exit, entry.done
        self.containers[entry.id] = container
        carried = entry.carried
        if entry.exit is None:
            self.exits.expect(container)  # which a monitor that has become other code has made itself
        if entry.done is None or carried is not None:
            orphaned = carried is None and bool(entry.meta.get("attached"))
            self.streams.call(lambda: self.streams.adopt(container, carried, orphaned=orphaned))
            self.loop.post(lambda: self.exits.check(container))

    def _sweep_work(self) -> None:
        """Remove the console sockets and pid files of creations that died with a monitor."""
        with step("monitor.work.sweep"):
            for name in os.listdir(self.work):
                os.unlink(f"{self.work}/{name}")

    def _sweep(self, entry: Held) -> None:
        try:
            self.removals.sweep(entry.id, entry.meta)
        except OSError as error:  # the engine's `delete`, or its next `create`, meets it again
            report(f"container {entry.id}: {error}")
        self.link.tell("forget", id=entry.id)

    def _retire(self) -> list[Held]:
        """The supervisor is dead: finish what runs, close what is a monitor's own, and give the rest back."""
        self.loop.unwatch(self.link.channel.fileno())
        self.link.lost()
        self.clients.close()  # their requests come again, to the next monitor
        late = time.monotonic() + PATIENCE
        while self.programs and time.monotonic() < late:
            self.loop.turn(0.05)
        self.streams.end()
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()
        held = [giving.given_up(container) for container in self.containers.values()] + self.execs.hold()
        held += [creation.abandon() for creation in self.creating.values()]
        held += [starting.abandon() for starting in self.execs.starting.values()]
        self.loop.close()
        self.programs.close()
        self.progress.close()
        self.link.channel.close()
        return held

    def _passed(self) -> Passed:
        """What other code has to know to go on as this monitor. Exact while the thread of bytes is at rest."""
        held = [giving.carried(container) for container in self.containers.values()] + self.execs.hold()
        passed = Passed(MONITOR, self.shared, held, self.ports.all, self.link.channel.fileno())
        passed.number = self.link.number
        return passed

    def begin_upgrade(self, arguments: dict[str, Any], reply: Reply) -> None:
        """Become other code, if that says that it can serve our state. Raises as Upgrade.begin does."""
        with self.streams.at_rest(_REST):
            passed = self._passed()
        self.upgrade.begin(arguments, passed, reply)

    def _execute(self) -> None:
        """Go on as other code, which can serve our state. Returns if it cannot be: then nothing has changed."""
        late = time.monotonic() + PATIENCE
        self.clients.read(False)  # what they ask from now on is answered by the new code
        try:
            while True:
                while not self._quiet():
                    if self._orphaned or time.monotonic() > late:
                        raise Failed("a runtime is at work, and does not end")
                    self.loop.turn(_PAUSE)
                with self.streams.at_rest(_REST):
                    self.loop.turn(0)  # what the thread of bytes has told this one
                    if self._quiet() and not self.streams.loop.posted:
                        self.upgrade.execute(self._passed())
        except (Failed, OSError) as error:
            self.upgrade.refuse(error)
        finally:
            self.clients.read(True)

    def _quiet(self) -> bool:
        """Whether nothing is under way that other code could not go on with."""
        busy = self.programs or self.link.waiting or self.loop.posted or self.clients.unsent
        return not busy and not self._orphaned

    # --- messages ---

    def _from_supervisor(self, _: int) -> None:
        message, _fds = sockets.receive(self.link.channel)
        if message is None:
            self._orphaned = True
            self.loop.stop()
        elif "done" in message:
            self.link.acknowledged(message["done"])
        elif BEAT in message:
            self.link.tell(BEAT)
        else:
            container = self.containers.get(message["id"])
            exit = Exit(message["status"], message["at_ns"], message["error"])
            if container is not None:
                self.exits.exited(container, exit, known=True)
            else:
                self.execs.told(message["id"], exit)

    def _serve(self, op: str, arguments: dict[str, Any], fds: list[int], reply: Reply) -> None:
        serve(self, op, arguments, fds, reply)

    def _stdin_done(self, container: Container) -> None:
        """From the thread of bytes: everything has been written, so close; the supervisor's copy first."""

        def dropped() -> None:
            self.streams.call(lambda: self.streams.attachments.stdin_closed(container))

        self.loop.post(lambda: self.link.tell("drop", dropped, id=container.id, names=["stdin"]))
