"""Those attached to a container: its output in frames to each, and what they type to its stdin. In the thread of bytes."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from wherry.linux.loop import HUNG_UP, IN, OUT
from wherry_engine.monitor.container import Container, Peer, Stream
from wherry_engine.monitor.shared import Carried

if TYPE_CHECKING:
    from wherry_engine.monitor.streams import Streams

_READ = 1 << 16
_HEADER = struct.Struct(">BxxxI")


def frame(stream: str, data: bytes) -> bytes:
    """Docker's framing of output: the stream's number, its length, itself."""
    return _HEADER.pack(2 if stream == "stderr" else 1, len(data)) + data


class Attachments:
    """Serves every container's peers. A peer that is slow stops its container's output, one that is gone is dropped."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._loop = streams.loop
        # asks the command thread to close a stdin: the supervisor's copy has to go first
        self.stdin_done: Callable[[Container], None] = lambda _: None

    def add(self, container: Container, sock: socket.socket, streams: frozenset[str], stdin: bool) -> None:
        """Attach one more; the socket is ours from now on."""
        peer = Peer(container, sock, streams, stdin=stdin)
        container.peers.append(peer)
        self._watch(peer)
        self.output_ended(container)

    def carry_on(self, container: Container, carried: Carried) -> None:
        """Serve those who were attached before an upgrade from where they are."""
        for name in container.streams.keys() & carried.sent.keys():
            container.streams[name].sent = carried.sent[name]
        container.input = carried.input
        for each in carried.attached:
            peer = Peer(container, socket.socket(fileno=each.fd), frozenset(each.streams), stdin=each.stdin)
            peer.half, peer.pending = each.half, each.pending
            container.peers.append(peer)
        self._rewatch(container)
        self.output_ended(container)
        if container.input:
            self.feed(container)
        if carried.closing:
            self.close_stdin(container, None)

    def _wanted(self, peer: Peer) -> int:
        reading = not peer.half and not peer.container.input
        return (IN if reading else 0) | (OUT if peer.pending else 0)

    def _watch(self, peer: Peer) -> None:
        fd = peer.sock.fileno()
        if self._loop.watches(fd):
            self._loop.rewatch(fd, self._wanted(peer))
        else:
            self._loop.watch(fd, partial(self._serve, peer), self._wanted(peer))

    def _rewatch(self, container: Container) -> None:
        for peer in container.peers:
            self._watch(peer)

    # --- output ---

    def output(self, stream: Stream, data: bytes) -> None:
        """Give these bytes to all that want the stream. What a socket does not take waits, and the stream with it."""
        container = stream.container
        framed = data if container.tty else frame(stream.log_name, data)
        for peer in [peer for peer in container.peers if stream.log_name in peer.streams]:
            self._give(peer, framed)

    def _give(self, peer: Peer, data: bytes) -> None:
        try:
            peer.pending = data[peer.sock.send(data, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            peer.pending = data
        except OSError:  # the peer is gone; what it has said before is still to be heard
            if peer.half:
                self._drop(peer)
                return
            peer.streams = frozenset()
        self._watch(peer)

    def output_ended(self, container: Container) -> None:
        """Tell those whose streams have all ended, once they have taken everything."""
        left = {stream.log_name for stream in container.streams.values()}
        for peer in list(container.peers):
            over = not (peer.streams & left) if peer.streams else not left
            if over and not peer.pending:
                self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        container = peer.container
        self._loop.unwatch(peer.sock.fileno())
        container.peers.remove(peer)
        peer.sock.close()
        self._streams.rearm(container)

    def release(self, container: Container) -> None:
        """Let everyone go: the container is being removed."""
        for peer in list(container.peers):
            self._drop(peer)
        if container.stdin is not None:
            self._stop_writing(container)
            os.close(container.stdin)
            container.stdin = None
        self._answer_closed(container)

    # --- input ---

    def _serve(self, peer: Peer, events: int) -> None:
        if events & OUT and peer.pending:
            rest, peer.pending = peer.pending, b""
            self._give(peer, rest)
            if peer not in peer.container.peers:
                return
            if not peer.pending:
                self._streams.rearm(peer.container)
                self.output_ended(peer.container)
                if peer not in peer.container.peers:
                    return
        if peer.half:
            if events & HUNG_UP:
                self._drop(peer)
        elif peer.container.input:
            self._loop.unwatch(
                peer.sock.fileno()
            )  # until stdin has taken that; an end of the peer would be told on and on
        elif events & (IN | HUNG_UP):
            self._listen(peer)

    def _listen(self, peer: Peer) -> bool:
        """Take what a peer says; True if that was something."""
        container = peer.container
        try:
            data = peer.sock.recv(_READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:  # it has nothing more to say, which ends the input only where one attach is all there may be
            peer.half = True
            self._watch(peer)
            if container.meta["stdin_once"] and not container.tty:
                self.close_stdin(container, None)
            return False
        container.input = data
        self.feed(container)
        return True

    def feed(self, container: Container) -> None:
        """Write what has been said to the container's stdin, as far as it takes it."""
        fd = container.stdin
        if fd is None:
            container.input = b""
            return
        while container.input:
            try:
                container.input = container.input[os.write(fd, container.input) :]
            except BlockingIOError:
                if not self._loop.watches(fd):
                    self._loop.watch(fd, lambda _: self.feed(container), OUT)
                    self._rewatch(container)
                return
            except OSError:  # EPIPE, EIO: nobody reads any more
                container.input = b""
        self._stop_writing(container)
        if container.closing:
            self._finish_stdin(container)

    def _stop_writing(self, container: Container) -> None:
        fd = container.stdin
        # a pty's master is watched for its output under the same number only if it is the same descriptor, which it is not
        if fd is not None and self._loop.watches(fd):
            self._loop.unwatch(fd)
            self._rewatch(container)

    def close_stdin(self, container: Container, done: Callable[[], None] | None) -> None:
        """Close the container's stdin after what has been said so far; `done` is called when it is closed."""
        container.closing.append(done or _nothing)
        if not container.input:
            self._finish_stdin(container)

    def _finish_stdin(self, container: Container) -> None:
        for peer in [peer for peer in container.peers if not peer.half]:
            if self._listen(peer):  # said before the close was asked for; `feed` comes back here
                return
        if container.stdin is None:
            self._answer_closed(container)
        else:
            self.stdin_done(container)

    def stdin_closed(self, container: Container) -> None:
        """The supervisor has closed its copy: close ours."""
        if container.stdin is not None:
            self._stop_writing(container)
            os.close(container.stdin)
            container.stdin = None
        container.input = b""
        self._rewatch(container)
        self._answer_closed(container)

    def _answer_closed(self, container: Container) -> None:
        closing, container.closing = container.closing, []
        for done in closing:
            done()


def _nothing() -> None:
    """For a close that nobody awaits."""
