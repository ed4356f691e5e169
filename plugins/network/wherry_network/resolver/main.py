"""The resolver's process: what it knows comes from the state files, and whoever writes them tells it which have changed."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from wherry.linux import sockets
from wherry.linux.loop import Loop
from wherry.linux.process import set_title
from wherry.linux.steps import step
from wherry_network.resolver import state
from wherry_network.resolver.door import Door, Shared
from wherry_network.resolver.state import Entry

TITLE = "wherry-resolver"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0  # seconds between attempts to have a port back


class Resolver:
    """All sandboxes of one engine."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._shared = Shared(Loop())
        self._doors: dict[str, Door] = {}
        for id in state.ids(folder):
            self._open_again(id, _FIRST_PAUSE)
        with step("resolver.listen"):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._control = sockets.listen(f"{folder}/{state.SOCKET}")
        self._control.setblocking(False)
        self._shared.loop.watch(self._control.fileno(), self._accept)

    def run(self) -> None:
        """Serve for ever."""
        self._shared.loop.run()

    def _open_again(self, id: str, pause: float) -> None:
        """After a restart. The port may be taken for a moment, as by our predecessor, or by the container for longer."""
        if id in self._doors:
            return
        try:
            entry = state.load(self._folder, id)
            self._shared.names.put(id, entry)
            self._doors[id] = Door(self._shared, entry, _report)
        except FileNotFoundError:  # the sandbox has gone meanwhile
            self._shared.names.drop(id)
        except OSError as error:
            if pause >= _LONGEST_PAUSE:
                _report(f"sandbox {id} gets no answers: {error}")
            self._shared.loop.later(pause, lambda: self._open_again(id, min(pause * 2, _LONGEST_PAUSE)))

    # --- what the engine tells ---

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._control.accept()
        except BlockingIOError:  # it has gone again
            return
        sock.setblocking(False)

        def turn(_: int) -> None:
            try:
                message, _fds = sockets.receive(sock)
            except BlockingIOError:
                return
            if message is None:
                self._shared.loop.unwatch(sock.fileno())
                sock.close()
                return
            try:
                sockets.send(sock, self._serve(message))
            except OSError as error:
                _report(f"the engine has not waited for an answer: {error}")

        self._shared.loop.watch(sock.fileno(), turn)

    def _serve(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            if message["op"] == "put":
                self._put(message["id"])
            elif message["op"] == "drop":
                self._drop(message["id"])
            return {"pid": os.getpid(), "sandboxes": sorted(self._doors)}
        except OSError as error:
            return {"error": str(error)}

    def _put(self, id: str) -> None:
        """Its file is new, or has changed."""
        entry = state.load(self._folder, id)
        door = self._doors.get(id)
        if door is not None and _same_place(door.entry, entry):
            door.entry = entry
        else:
            self._drop(id)
            self._doors[id] = Door(self._shared, entry, _report)
        self._shared.names.put(id, entry)

    def _drop(self, id: str) -> None:
        self._shared.names.drop(id)
        door = self._doors.pop(id, None)
        if door is not None:
            door.close()


def _same_place(one: Entry, other: Entry) -> bool:
    return (one.netns, one.port) == (other.netns, other.port)


def _report(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} resolver: {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> None:
    """Serve the sandboxes of the folder that is the first argument."""
    set_title(TITLE)
    Resolver(arguments[0]).run()
