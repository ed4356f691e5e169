"""The check of the engine against its host: what is recorded and not there, what is there and not recorded, and its mend.

The engine goes on working meanwhile: what an unfinished operation touches is left out, and only what two looks in a row
find counts. What no record of ours explains is named; it is removed only where its name says that it is ours and
nothing of a user's can be in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from wherry.errors import WherryError
from wherry.model.findings import Finding
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.check_objects import Objects
from wherry_engine.engine.check_places import Places
from wherry_engine.engine.check_records import Records
from wherry_engine.engine.check_view import Fault, Mend
from wherry_engine.work import Pool

BETWEEN_LOOKS = 0.2  # seconds


@attrs.frozen
class Check:
    """Compares and mends."""

    records: Records
    places: Places
    objects: Objects
    actors: Actors
    pool: Pool
    _repairing: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def examine(self) -> Sequence[Finding]:
        """What is wrong now."""
        return [fault.finding for fault in await self._faults()]

    async def repair(self) -> Sequence[Finding]:
        """Mend what can be mended without loss; returns what was wrong, with what has become of it."""
        found: dict[tuple[str, str, str], Fault] = {}
        errors: dict[Mend, str] = {}
        async with self._repairing:
            # A mend may bring to light what it hid, as an unmounted folder; nothing is tried twice.
            while (faults := {fault.key: fault for fault in await self._faults()}).keys() - found.keys():
                new = {key: fault for key, fault in faults.items() if key not in found}
                found |= new
                for fault in new.values():
                    if fault.mend is not None and fault.mend not in errors:  # several faults may have one mend
                        errors[fault.mend] = await self._mend(fault, fault.mend)
        return [
            attrs.evolve(
                fault.finding,
                mended=key not in faults,
                error=errors[fault.mend] if key in faults and fault.mend is not None else "",
            )
            for key, fault in found.items()
        ]

    async def _faults(self) -> list[Fault]:
        first = {fault.key for fault in await self._look()}
        if not first:
            return []
        await asyncio.sleep(BETWEEN_LOOKS)
        return [fault for fault in await self._look() if fault.key in first]

    async def _look(self) -> list[Fault]:
        before = await self.records.view()
        places = await self.pool.run("check.look", lambda: self.places.look(before))
        found = [*places, *await self.objects.look(before)]
        busy = before.busy | (await self.records.view()).busy
        return [fault for fault in found if not fault.touches(busy)]

    async def _mend(self, fault: Fault, mend: Mend) -> str:
        """Mend it when it is its object's turn, unless the object needs it by then. Returns what went wrong."""
        try:
            async with self.actors.turn(fault.actor or "check", "repair"):
                if not fault.obsolete(await self.records.view()):
                    await mend()
        except WherryError as error:
            return error.text
        except OSError as error:
            return str(error)
        return ""
