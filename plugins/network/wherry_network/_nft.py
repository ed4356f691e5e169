"""libnftables: transactions of nft commands, all from one thread.

The library keeps its parser's state in a context that one thread at a time may use; a thread of its own also keeps the
context's socket in one network namespace, that of the thread which asked first. A transaction that adds or removes
elements costs 0.05 ms and does not depend on how many there are.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wherry.linux.steps import effect


class NftError(Exception):
    """The kernel or the parser refused a transaction, of which nothing was done. The text is libnftables' own."""


class Nft:
    """Runs nft commands as the `nft -f` program would. Making one loads nothing; the library comes with the first use."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wherry-nft")
        self._library: Any = None

    def change(self, commands: str) -> None:
        """Carry these out, all or none. Raises NftError."""
        effect("nft", commands[:200])
        self._thread.submit(self._run, commands).result()

    def tables(self) -> list[tuple[str, str]]:
        """(family, name) of every table there is."""
        answer = self._thread.submit(self._run, "list tables").result()
        return [(words[1], words[2]) for words in map(str.split, answer.splitlines()) if words[:1] == ["table"]]

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _run(self, commands: str) -> str:
        if self._library is None:
            import nftables

            self._library = nftables.Nftables()
        code, output, error = self._library.cmd(commands)
        if code:
            raise NftError(error.strip() or f"libnftables: error {code}")
        return str(output)
