"""One driver on demand: imported, checked against its family's contract, made. Every fault is one clear error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

import attrs
import pluggy
from stevedore import DriverManager

from wherry.errors import Invalid, Unsupported
from wherry.spec.base import Context, DriverSpec
from wherry.toolkit.options import parse_options
from wherry_engine.loader.catalog import DriverError, Entry, choose, distribution_of, entry_point_of, group_of
from wherry_engine.loader.families import FAMILIES
from wherry_engine.loader.observe import Observe, watch

S = TypeVar("S", bound=DriverSpec)
SCOPES = ("CONFIG", "OPTIONS", "ENDPOINT_OPTIONS")
NO_CONFIG: Mapping[str, str] = MappingProxyType({})


class _Chosen(DriverManager[Any]):
    """stevedore's manager of one driver, for an entry point already chosen; its disk cache is never asked."""

    def __init__(self, group: str, point: EntryPoint) -> None:
        self._point = point
        super().__init__(group, point.name)

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._point]


@attrs.frozen
class Driver(Generic[S]):
    """A loaded driver. Calls go through `hook`, with keyword arguments only."""

    name: str
    spec: type[S]
    distribution: str
    cls: type[S]
    relay: pluggy.PluginManager  # holds this one driver

    @property
    def hook(self) -> S:
        """The driver's hooks, typed by the family's spec: `driver.hook.prepare(key=...)`."""
        return cast(S, self.relay.hook)

    @property
    def title(self) -> str:
        """How an error names it: family, name and distribution."""
        return _title(self.spec, self.name, self.distribution)

    def has(self, hook: str) -> bool:
        """Whether the driver overrides this optional hook."""
        return bool(getattr(self.relay.hook, hook).get_hookimpls())

    def parse(self, scope: str, given: Mapping[str, str]) -> Any:
        """Option texts as the driver's own object for `scope` ("OPTIONS", "ENDPOINT_OPTIONS"). Raises `Invalid`."""
        return parse_options(getattr(self.cls, scope), given)


def load_driver(
    spec: type[S],
    name: str,
    place: Callable[[Any], Context],
    config: Mapping[str, str] = NO_CONFIG,
    *,
    observer: Observe | None = None,
    preferred: str | None = None,
) -> Driver[S]:
    """Load, check and make one driver; `place` makes its Context from its parsed CONFIG.

    Raises `DriverError` naming the distribution for whatever is wrong with the driver, and `Unsupported` (this host) or
    `Invalid` (the configuration) with the driver's own text.
    """
    group = group_of(spec.FAMILY, spec.MAJOR)
    point = choose(group, name, preferred)
    owner = distribution_of(point)
    title = _title(spec, name, owner)
    cls = _checked_class(spec, group, point, title)
    try:
        instance = cls(place(parse_options(cls.CONFIG, config)))
    except (Unsupported, Invalid) as error:
        raise type(error)(f"{title}: {error.text}") from error
    except BaseException as error:  # the border to foreign code: SystemExit in a driver is the driver's fault
        raise DriverError(f"{title} failed to start: {_cause(error)}") from error
    relay = _relay(spec)
    relay.register(instance, name)
    if observer is not None:
        watch(relay, spec.FAMILY, name, observer)
    return Driver(name, spec, owner, cls, relay)


def load_class(entry: Entry) -> type:
    """The class behind an entry, checked but never instantiated, for `plugin inspect`. Raises `DriverError`."""
    spec = FAMILIES.get(entry.family)
    if spec is None or entry.driver_group != group_of(spec.FAMILY, spec.MAJOR):
        raise DriverError(
            f"{entry.family} driver {entry.name!r} of {entry.distribution}: this engine knows no {entry.driver_group}"
        )
    title = _title(spec, entry.name, entry.distribution)
    return _checked_class(spec, entry.driver_group, entry_point_of(entry), title)


def _checked_class(spec: type[S], group: str, point: EntryPoint, title: str) -> type[S]:
    try:
        found = _Chosen(group, point).driver
    except BaseException as error:  # the border to foreign code: an import may raise SystemExit or KeyboardInterrupt
        raise DriverError(f"{title} failed to load: {_cause(error)}") from error
    if not (isinstance(found, type) and issubclass(found, spec)):
        raise DriverError(f"{title} breaks the contract: {point.value} is not a subclass of {spec.__name__}")
    fault = _fault(spec, found, point.name)
    if fault:
        raise DriverError(f"{title} breaks the contract: {fault}")
    return found


def _fault(spec: type[S], cls: type[S], name: str) -> str | None:
    """What is wrong with the class, as one line; None if nothing is."""
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        return f"it lacks {', '.join(missing)}"
    relay = _relay(spec)
    unmarked = sorted(hook for hook in vars(relay.hook) if _overrides_unmarked(spec, cls, hook))
    if unmarked:  # pluggy would pass over them without a word
        return f"it overrides {', '.join(unmarked)} without @hookimpl"
    try:
        relay.register(cls, name)  # compares argument names
        relay.check_pending()  # finds misspelt hooks
    except pluggy.PluginValidationError as error:
        return _one_line(str(error))
    for scope in SCOPES:
        schema = getattr(cls, scope, None)
        if schema is not None and not _is_schema(schema):
            return f"{scope} is not an attrs class made of option() fields"
    return None


def _overrides_unmarked(spec: type[S], cls: type[S], hook: str) -> bool:
    mine = getattr(cls, hook)
    return mine is not getattr(spec, hook) and not hasattr(mine, "wherry_impl")


def _is_schema(schema: object) -> bool:
    return isinstance(schema, type) and attrs.has(schema) and all("key" in f.metadata for f in attrs.fields(schema))


def _relay(spec: type[DriverSpec]) -> pluggy.PluginManager:
    relay = pluggy.PluginManager("wherry")
    relay.add_hookspecs(spec)
    return relay


def _title(spec: type[DriverSpec], name: str, distribution: str) -> str:
    return f"{spec.FAMILY} driver {name!r} of {distribution}"


def _cause(error: BaseException) -> str:
    text = _one_line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
