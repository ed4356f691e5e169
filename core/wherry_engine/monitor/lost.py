"""Output of a container that did not get into its log, which the log says itself as soon as it can."""

from __future__ import annotations

from contextlib import suppress

from wherry_engine.monitor.logfile import LogFile

DISK_FULL, TOO_SLOW = "the disk was full", "the log could not keep up"


class Lost:
    """What is missing since the last record."""

    __slots__ = ("cause", "count")

    def __init__(self) -> None:
        self.count = 0  # bytes
        self.cause = ""

    def add(self, count: int, cause: str) -> bool:
        """So many bytes are missing; whether they are the first."""
        first = not self.count
        self.count, self.cause = self.count + count, cause
        return first

    def record(self, log: LogFile, common: bytes) -> bytes:
        """The record that stands for it; none where nothing is missing."""
        if not self.count:
            return b""
        text = f"wherry: {self.count} bytes of output are missing here, {self.cause}\n"
        return log.encode(text.encode(), common)

    def tell(self, log: LogFile, now_ns: int) -> None:
        """Write that record, if there is room by now: nothing more comes that could bring it along."""
        if self.count:
            with suppress(OSError):  # has been reported
                log.append(self.record(log, log.in_common("stderr", now_ns)))
                self.count = 0
