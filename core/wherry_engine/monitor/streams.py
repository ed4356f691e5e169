"""The thread of bytes: from the containers' pipes to their logs and to those attached, losing and doubling nothing.

The pipe itself is the buffer. tee(2) shows what it holds, the record is written, and only then are its bytes moved, into
another pipe (the bin) that the supervisor holds as well: so that a successor of a killed monitor knows how far that came.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from wherry.errors import Failed
from wherry.linux.loop import EDGE, HUNG_UP, IN, Loop
from wherry.linux.process import SPLICE_F_NONBLOCK, tee
from wherry_engine.monitor.attach import Attachments
from wherry_engine.monitor.container import Container, Stream
from wherry_engine.monitor.cuts import complete, head, length_of
from wherry_engine.monitor.logfile import NO_LIMIT, LogFile
from wherry_engine.monitor.lost import DISK_FULL, TOO_SLOW, Lost
from wherry_engine.monitor.progress import WRITING, WRITTEN, Progress
from wherry_engine.monitor.report import report
from wherry_engine.monitor.shared import Carried

CHUNK = 1 << 20
_TTY_READ = 16384
_LAST_READS = 64


class Streams:
    """Owns every container's output and input. Only `call`, `begin` and `end` are for the other thread."""

    def __init__(self, bin: int, progress: Progress, home: Loop) -> None:
        """`bin` is the read end of the pipe of consumed bytes, the caller's; `home` the loop of the command thread."""
        self.loop = Loop()
        self.home = home
        self.progress = progress
        self.attachments = Attachments(self)
        self.ended: Callable[[Container], None] = lambda _: None  # told in the command thread: a stream has ended
        self.bin, self._into_bin = bin, os.open(f"/proc/self/fd/{bin}", os.O_WRONLY | os.O_CLOEXEC)
        self._null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        self._show, self._copy = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._copy, fcntl.F_SETPIPE_SZ, CHUNK)
        self._thread = threading.Thread(target=self._run, name="bytes", daemon=True)

    def call(self, function: Callable[[], None]) -> None:
        """Run this in the thread of bytes, after what was asked for before."""
        self.loop.post(function)

    def _run(self) -> None:
        try:
            self.loop.run()
        except (
            BaseException
        ):  # the border of a thread: without it this process is worth nothing, and a new one loses nothing
            traceback.print_exc()
            os._exit(70)

    def begin(self) -> None:
        """Start the thread."""
        self.call(self._empty_bin)
        self._thread.start()

    @contextmanager
    def at_rest(self, patience: float) -> Iterator[None]:
        """The body runs while the thread of bytes does nothing and has left no record half written.

        Raises Failed if it is busy for so many seconds: a disk may hang.
        """
        resting, over = threading.Event(), threading.Event()

        def rest() -> None:
            resting.set()
            over.wait()

        self.call(rest)
        try:
            if not resting.wait(patience):
                raise Failed("a log cannot be written: its disk does not answer")
            yield
        finally:
            over.set()

    def end(self) -> None:
        """Stop the thread where it leaves no record half written, and close what is its own."""
        self.call(self.loop.stop)
        self._thread.join()
        self.loop.close()
        for fd in (self._into_bin, self._null, self._show, self._copy):
            os.close(fd)

    # --- a container comes and goes ---

    def adopt(self, container: Container, carried: Carried | None = None, *, orphaned: bool = False) -> None:
        """Open its log, finish what a dead monitor had begun, and read on; `carried` is what an upgrade has kept.

        With `orphaned` its one attach has ended with that monitor, and with it the input.
        """
        if container.logged:
            try:
                container.log = LogFile(container.meta["log_path"], container.meta["log"])
            except OSError as error:
                report(f"container {container.id}: no log: {error}")
        try:
            for stream in container.streams.values():
                self._mend(stream)
            if container.log is not None:
                container.log.mend()
        except OSError as error:  # a record is doubled or torn, which is no reason to stop
            report(f"container {container.id}: the log cannot be mended: {error}")
        log = container.log
        if log is not None and log.compress:
            log.start_compression(lambda: self.call(lambda: self._compressed(container)))
        for stream in container.streams.values():
            self.loop.watch(stream.watched, partial(self.output, stream), IN | EDGE)
            if stream.source is not None:  # what is left in its pipe is told by no event of the terminal
                self.call(partial(self._look, stream))  # once all are adopted and the bin is empty, not before
        if carried is not None:
            self.attachments.carry_on(container, carried)
        if orphaned:
            self.attachments.close_stdin(container, None)

    def _look(self, stream: Stream) -> None:
        if stream.name in stream.container.streams:
            self.output(stream, 0)

    def _mend(self, stream: Stream) -> None:
        size, count, phase = self.progress.read(stream.slot)
        if phase:
            report(f"container {stream.container.id}: taken over in phase {phase} of a record")
        if phase == WRITING and stream.container.log is not None:  # perhaps torn; the pipe still has all of it
            stream.container.log.shorten(size)
        elif phase == WRITTEN:
            self._consume(stream.fd, count - _available(self.bin))
        self.progress.clear(stream.slot)

    def release(self, container: Container) -> None:
        """Log what is left, then give up every descriptor of the container."""
        container.waiting = False
        for stream in list(container.streams.values()):
            for _ in range(_LAST_READS):  # someone else may hold the pipe and write for ever
                if self._read(stream, HUNG_UP, final=True):
                    break
            self._close(stream)
        self.attachments.release(container)
        if container.log is not None:
            container.lost.tell(container.log, time.time_ns())
            container.log.close()
            container.log = None

    def rearm(self, container: Container) -> None:
        """Look again at what has been ignored while someone was slow."""
        for stream in container.streams.values():
            self.loop.rewatch(stream.watched, IN | EDGE)

    def _compressed(self, container: Container) -> None:
        if container.waiting:
            container.waiting = False
            self.rearm(container)

    # --- output ---

    def output(self, stream: Stream, events: int) -> None:
        """Serve one event of one stream."""
        container = stream.container
        if container.waiting or any(peer.pending for peer in container.peers):
            return  # a full socket pair stops the reading of its container; `rearm` goes on
        if self._read(stream, events, final=False):
            self._close(stream)
            self.attachments.output_ended(container)

    def _read(self, stream: Stream, events: int, *, final: bool) -> bool:
        """Take what the stream offers now; True at its end."""
        full = stream.source is not None and self._pull(stream)
        data = self._peek(stream)
        if data is None and not (stream.gone or final):
            return False
        if not data:
            return True
        fresh = data[stream.sent :]
        hung_up = bool(events & HUNG_UP) and not fresh and stream.source is None
        count = complete(data, final=full or stream.gone or hung_up or final)
        taken = self._record(stream, data[:count], final) if count else 0
        stream.sent = len(data) - taken
        if fresh:
            self.attachments.output(stream, fresh)
        if taken or events & HUNG_UP or stream.source is not None:
            self.loop.rewatch(stream.watched, IN | EDGE)  # asks again
        return False

    def _pull(self, stream: Stream) -> bool:
        """From the pty into its pipe. True if that is full: many small pieces, each of which takes one of its slots."""
        if stream.gone or stream.source is None:
            return False
        try:
            os.splice(stream.source, stream.into, _TTY_READ, flags=SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return bool(select.select([stream.source], [], [], 0)[0])
        except OSError:  # EIO: nobody holds the other side any more
            stream.gone = True
        return False

    def _peek(self, stream: Stream) -> bytes | None:
        """What the pipe holds; it keeps it. Empty at its end, None if there is nothing now."""
        try:
            count = tee(stream.fd, self._copy, CHUNK)
        except BlockingIOError:
            return None
        return os.read(self._show, count) if count else b""

    def _record(self, stream: Stream, data: bytes, final: bool) -> int:
        """Log whole records and empty the pipe of them; how many bytes have been taken (with `final`: all)."""
        container, taken = stream.container, 0
        log = container.log
        if log is None:
            self._consume(stream.fd, len(data))
            self._empty_bin()
            return len(data)
        common = log.in_common(stream.log_name, time.time_ns())
        while taken < len(data):
            late, limit = log.compressing is not None, log.max_size
            if log.full and late and not final:
                if not log.non_blocking:
                    container.waiting = True
                    break
                limit = log.utmost
                if log.size >= limit:
                    return taken + self._take(stream, log, len(data) - taken, None)
            elif log.full and (late or not self._rotate(container, log)):
                limit = NO_LIMIT
            taken += self._append(stream, log, data[taken:] if taken else data, common, limit)
        return taken

    def _rotate(self, container: Container, log: LogFile) -> bool:
        """Begin a new log file; False if that failed, and the old one has to take more than it should."""
        try:
            log.rotate(lambda: self.call(lambda: self._compressed(container)))
        except OSError as error:
            report(f"container {container.id}: the log cannot be rotated: {error}")
            return False
        return True

    def _append(self, stream: Stream, log: LogFile, data: bytes, common: bytes, limit: int) -> int:
        """Write what the newest log file takes within this limit, and take it from the pipe; its bytes."""
        if limit != NO_LIMIT:
            data = head(data, limit - log.size)
        records, count = log.encode(data, common), len(data)
        fitting = log.fit(records, limit)
        if fitting is not None:
            size, number = fitting
            records, count = records[:size], length_of(data, number)
        return self._take(stream, log, count, stream.container.lost.record(log, common) + records)

    def _take(self, stream: Stream, log: LogFile, count: int, records: bytes | None) -> int:
        """Take so many bytes from the pipe, for which these records stand; None leaves them out of the log."""
        container = stream.container
        self.progress.begin(stream.slot, log.size, count)
        if records is None:
            container.lost.add(count, TOO_SLOW)
        else:
            try:
                log.append(records)
                container.lost = Lost()
            except OSError as error:  # a full disk must not stop the container
                if container.lost.add(count, DISK_FULL):
                    report(f"container {container.id}: output lost: {error}")
        self.progress.written(stream.slot)
        self._consume(stream.fd, count)
        self.progress.clear(stream.slot)
        self._empty_bin()
        return count

    def _consume(self, fd: int, count: int) -> None:
        while count > 0:
            count -= os.splice(fd, self._into_bin, count)

    def _empty_bin(self) -> None:
        size = _available(self.bin)
        while size > 0:
            size -= os.splice(self.bin, self._null, size)

    def _close(self, stream: Stream) -> None:
        self.loop.unwatch(stream.watched)
        with suppress(KeyError):
            del stream.container.streams[stream.name]
        stream.close()
        if stream.container.log is not None and not stream.container.streams:
            stream.container.lost.tell(stream.container.log, time.time_ns())
        self.home.post(lambda: self.ended(stream.container))


def _available(pipe: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])
