"""Files of containers, in memory."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Sequence

from wherry.errors import NotFound
from wherry.model.files import PathStat
from wherry.model.mounts import Change

FILE = PathStat(name="f", size=3, mode=stat.S_IFREG | stat.S_ISUID | 0o644, mtime_ns=1_500_000_000, target="")


class FakeArchives:
    """One file, /f, in every container."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def stat(self, ref: str, path: str) -> PathStat:
        """Of /f."""
        if path != "/f":
            raise NotFound(f"Could not find the file {path} in container {ref}")
        return FILE

    async def get(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Of /f."""
        return await self.stat(ref, path), self.export(ref)

    async def put(
        self, ref: str, path: str, stream: AsyncIterator[bytes], *, keep_kinds: bool, copy_owner: bool
    ) -> None:
        """Noted."""
        data = b"".join([piece async for piece in stream])
        self.calls.append(("put", ref, path, data, keep_kinds, copy_owner))

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """No real archive."""
        yield b"tar of "
        yield ref.encode()

    async def changes(self, ref: str) -> Sequence[Change]:
        """One of each kind."""
        return [Change("/a", "added"), Change("/c", "modified"), Change("/d", "deleted")]
