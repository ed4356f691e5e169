"""How far the record in hand has come, on a page that outlives the monitor: what a successor must know to lose nothing.

A stream's slot says how long the log was before the write, for how many bytes of the pipe the record stands, and the
phase. It is changed field by field, the phase last, so that a SIGKILL between two stores leaves a state that is true.
"""

from __future__ import annotations

import mmap
import struct

IDLE, WRITING, WRITTEN = 0, 1, 2
SIZE = 1 << 20
_NUMBERS, _PHASE = struct.Struct("<QI"), struct.Struct("<I")
_SLOT = 16
SLOTS = SIZE // _SLOT


class Progress:
    """The page, by the slots of all streams."""

    def __init__(self, memory: int) -> None:
        """`memory` is a descriptor of at least SIZE bytes, which stays the caller's."""
        self._page = mmap.mmap(memory, SIZE)

    def begin(self, slot: int, size: int, count: int) -> None:
        """A record of `count` bytes of the pipe is about to be appended to a log of `size` bytes."""
        _NUMBERS.pack_into(self._page, slot * _SLOT, size, count)
        _PHASE.pack_into(self._page, slot * _SLOT + 12, WRITING)

    def written(self, slot: int) -> None:
        """The record is in the log; its bytes may now leave the pipe."""
        _PHASE.pack_into(self._page, slot * _SLOT + 12, WRITTEN)

    def clear(self, slot: int) -> None:
        """The record's bytes have left the pipe, or there was none."""
        _PHASE.pack_into(self._page, slot * _SLOT + 12, IDLE)

    def read(self, slot: int) -> tuple[int, int, int]:
        """(size, count, phase)."""
        size, count = _NUMBERS.unpack_from(self._page, slot * _SLOT)
        return size, count, int(_PHASE.unpack_from(self._page, slot * _SLOT + 12)[0])

    def close(self) -> None:
        """Unmap the page."""
        self._page.close()
