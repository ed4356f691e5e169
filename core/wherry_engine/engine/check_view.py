"""What a check holds against the host: the records of one moment, and the faults that it finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence

import attrs

from wherry.model.containers import Container
from wherry.model.findings import Finding
from wherry_engine.journal.journal import Intent

Mend = Callable[[], Awaitable[None]]


@attrs.frozen(kw_only=True)
class View:
    """The records. `busy` are the names of what unfinished operations work on: ids, and names of files and snapshots."""

    containers: Mapping[str, Container]
    blobs: frozenset[str]  # digests, as file names
    layers: frozenset[str]  # names of snapshots
    volumes: Mapping[str, str]  # where the data of each shows without a mount; "" if it does not
    busy: frozenset[str]

    @property
    def running(self) -> frozenset[str]:
        """The containers that have a process."""
        return frozenset(container.id for container in self.containers.values() if container.state.alive)

    @property
    def stopped(self) -> Sequence[Container]:
        """The containers that have none."""
        return [container for container in self.containers.values() if not container.state.alive]

    @property
    def attached(self) -> frozenset[str]:
        """The volumes that running containers use."""
        running = (c for c in self.containers.values() if c.state.alive)
        return frozenset(point.name for c in running for point in c.mounts if point.type == "volume")


def touched(intents: Sequence[Intent]) -> frozenset[str]:
    """The names of all that these operations may be making or removing, in each spelling that the host has for them."""
    found: set[str] = set()
    for intent in intents:
        for text in _texts([intent.object, intent.data]):
            digits = text.rpartition(":")[2]
            found |= {text, digits, f"add-{digits}"}
    return frozenset(found)


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        yield from _texts(list(data.values()))
    elif isinstance(data, (list, tuple)):
        for item in data:
            yield from _texts(item)


@attrs.frozen
class Fault:
    """A finding with its mend. `subject` is the id or name of what it belongs to."""

    finding: Finding
    subject: str
    mend: Mend | None = None
    actor: str = ""  # whose turn it must be
    running: bool | None = None  # whether the subject is a container that must run, or must not, when it is mended

    @property
    def key(self) -> tuple[str, str, str]:
        """The same in two looks."""
        return self.finding.kind, self.finding.object, self.finding.text

    def touches(self, busy: Collection[str]) -> bool:
        """Whether an unfinished operation explains it."""
        return self.subject in busy

    def obsolete(self, view: View) -> bool:
        """Whether meanwhile a container was started that needs the thing, or has ended and needs it no more."""
        return self.running is not None and (self.subject in view.running) is not self.running


def fault(
    kind: str,
    object: str,
    text: str,
    mend: str,
    act: Mend | None = None,
    *,
    subject: str,
    actor: str = "",
    running: bool | None = None,
) -> Fault:
    """A fault, mendable if `act` is given."""
    finding = Finding(kind=kind, object=object, text=text, mend=mend, mendable=act is not None)
    return Fault(finding, subject, act, actor, running)
