"""Which drivers are installed, from package metadata alone: nothing of any driver is imported here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import attrs

from wherry.errors import WherryError

BUILT_IN = "wherry"  # the distribution whose drivers own their names unless the configuration says otherwise
GROUP = re.compile(r"wherry\.(?P<family>[a-z]+)\.v(?P<major>\d+)")


class DriverError(WherryError):
    """A driver could not be loaded or accepted. The text names its distribution."""


class UnknownDriver(DriverError):
    """No distribution offers a driver of this name."""

    kind = "not-found"


@attrs.frozen
class Entry:
    """One driver as its distribution's metadata names it. A shadowed one has lost its name to another distribution."""

    family: str
    name: str
    version: str
    distribution: str
    value: str  # module:attribute
    shadowed: bool
    driver_group: str


def group_of(family: str, major: int) -> str:
    """The entry-point group of a family at one major version of its contract."""
    return f"wherry.{family}.v{major}"


def distribution_of(point: EntryPoint) -> str:
    """The name of the distribution that offers it; "?" if its metadata has none."""
    return (point.dist.metadata["Name"] or "?") if point.dist else "?"


def choose(group: str, name: str, preferred: str | None = None) -> EntryPoint:
    """The entry point that owns `name`, decided before any import: the preferred, else the built-in, else the only one.

    Raises `UnknownDriver` if there is none, `DriverError` naming all who claim it if nobody's right is better.
    """
    points = list(entry_points(group=group))
    claims = [p for p in points if p.name == name]
    if not claims:
        installed = ", ".join(sorted({p.name for p in points})) or "none"
        raise UnknownDriver(f"no driver {name!r} in {group}; installed: {installed}")
    winner = _winner(claims, preferred)
    if winner is None:
        owners = " and ".join(sorted(map(distribution_of, claims)))
        raise DriverError(f"driver {name!r} in {group} is offered by {owners}; name one of them in the configuration")
    return winner


def catalog(preferred: Mapping[str, str] | None = None) -> list[Entry]:
    """All drivers and observers installed, by family and name; `preferred` maps "FAMILY/NAME" to a distribution.

    Of a name that several offer the winner comes first; where none wins, none is shadowed.
    """
    claims: dict[tuple[str, str, str], list[EntryPoint]] = {}
    everything = entry_points()
    for group in everything.groups:
        if match := GROUP.fullmatch(group):
            for point in everything.select(group=group):
                claims.setdefault((match["family"], point.name, group), []).append(point)
    found: list[Entry] = []
    for (family, name, group), points in sorted(claims.items()):
        winner = _winner(points, (preferred or {}).get(f"{family}/{name}"))
        for point in sorted(points, key=lambda p: (p is not winner, distribution_of(p))):
            version = point.dist.version if point.dist else "?"
            shadowed = winner is not None and point is not winner
            found.append(Entry(family, name, version, distribution_of(point), point.value, shadowed, group))
    return found


def entry_point_of(entry: Entry) -> EntryPoint:
    """The live entry point behind a catalog's entry. Raises `UnknownDriver` if it has been uninstalled since."""
    for point in entry_points(group=entry.driver_group):
        if (point.name, point.value, distribution_of(point)) == (entry.name, entry.value, entry.distribution):
            return point
    raise UnknownDriver(f"{entry.family} driver {entry.name!r} of {entry.distribution} is no longer installed")


def _winner(claims: list[EntryPoint], preferred: str | None) -> EntryPoint | None:
    for owner in (preferred, BUILT_IN):
        mine = [p for p in claims if distribution_of(p) == owner]
        if mine:
            return mine[0]
    return claims[0] if len(claims) == 1 else None
