"""The processes of an older engine go on with this engine's code: supervisor first, since it forks every later monitor.

The code's digest is their version: it changes whenever what they run does, and nobody has to remember it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from wherry.errors import Unavailable, WherryError
from wherry.linux.spawn import interpreter
from wherry_engine.engine.process_link import Connection

_START = "wherry_engine.supervisor.main:main"
_SOURCES = {
    "wherry_engine": ("supervisor", "monitor", "helper", "__init__.py"),
    "wherry": ("linux", "errors.py", "__init__.py"),
}
_PATIENCE = 30.0  # seconds; the processes have shorter ones of their own
log = logging.getLogger(__name__)


@attrs.frozen
class TreeCode:
    """What supervisor and monitor execute: the command line that begins it, and a digest of its sources."""

    program: tuple[str, ...]
    digest: str


@cache
def tree_code() -> TreeCode:
    """This engine's own."""
    return TreeCode(tuple(interpreter(_START)), digest(sources()))


def digest(files: Iterable[tuple[str, Path]]) -> str:
    """The version of code: of the interpreter and these files, under their names."""
    known = hashlib.sha256(sys.version.encode())
    for name, path in files:
        text = path.read_bytes()
        known.update(b"%s %d\n" % (name.encode(), len(text)))
        known.update(text)
    return known.hexdigest()


def sources() -> Iterator[tuple[str, Path]]:
    """All that the tree may import of ours."""
    for package, names in _SOURCES.items():
        for folder in sys.modules[package].__path__:
            for name in names:
                yield from below(Path(folder), name)


def below(folder: Path, name: str = "") -> Iterator[tuple[str, Path]]:
    """A Python file in this folder, or all below a folder in it: names that do not depend on where it lies, and files."""
    place = folder / name
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        yield str(path.relative_to(folder.parent)), path


async def upgrade(run_root: Path, code: TreeCode, environment: Mapping[str, str]) -> None:
    """Let what runs in this exec root, if anything does, go on with this code. What refuses is logged, and stays."""
    for name in ("supervisor.sock", "monitor.sock"):
        try:
            async with asyncio.timeout(_PATIENCE):
                await _upgrade(run_root / name, code, environment)
        except (WherryError, TimeoutError) as error:
            what = name.partition(".")[0]
            log.warning("the %s goes on with the code of an earlier engine: %s", what, str(error) or "it is silent")
            return


class _Nobody(Unavailable):
    """There is no such process."""


async def _upgrade(path: Path, code: TreeCode, environment: Mapping[str, str]) -> None:
    hellos: list[dict[str, Any]] = []

    async def nobody() -> None:
        raise _Nobody

    connection = Connection(path, event=lambda _: None, greeted=hellos.append, revive=nobody)
    try:
        await connection.connect()
        if hellos[-1]["code"] == code.digest:
            return
        asked: dict[str, Any] = {"program": code.program, "code": code.digest, "environment": dict(environment)}
        with suppress(Unavailable):  # the connection ends with the old code
            await connection.call("upgrade", once=True, **asked)
        answer = await connection.call("hello")
        if answer["code"] != code.digest:
            raise Unavailable(f"process {answer['pid']} has taken the place of one that died over it")
    except _Nobody:
        return
    finally:
        await connection.close()
