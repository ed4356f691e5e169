"""What `plugin ls` and `plugin inspect` say, as values: works without an engine, renders nothing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import attrs

from wherry.errors import Invalid
from wherry.spec.base import DriverSpec
from wherry.toolkit.options import OptionInfo, describe
from wherry_engine.loader.catalog import Entry, UnknownDriver, catalog

NOT_LOADED = "not loaded"
LOADED = "loaded"
FAILED = "failed"
UNSUPPORTED = "unsupported"  # on this host
DEGRADED = "degraded"  # a call of it has not returned
SHADOWED = "shadowed"


@attrs.frozen
class DriverState:
    """The engine's last word on a driver: one of the states above, and why."""

    state: str
    reason: str = ""


@attrs.frozen(kw_only=True)
class PluginRow:
    """One line of `plugin ls`."""

    family: str
    name: str
    version: str
    distribution: str
    state: str
    reason: str = ""


@attrs.frozen(kw_only=True)
class HookInfo:
    """One hook of the family, as one driver has it."""

    name: str
    arguments: tuple[str, ...]
    required: bool
    implemented: bool
    summary: str


@attrs.frozen(kw_only=True)
class PluginDetail:
    """All that `plugin inspect` shows. `options` are by scope: CONFIG, OPTIONS, ENDPOINT_OPTIONS."""

    entry: Entry
    summary: str
    features: tuple[str, ...]
    hooks: tuple[HookInfo, ...]
    options: Mapping[str, tuple[OptionInfo, ...]]


def rows(
    states: Mapping[tuple[str, str], DriverState] | None = None, preferred: Mapping[str, str] | None = None
) -> list[PluginRow]:
    """Every installed driver, from metadata; `states` are the engine's, by (family, name); `preferred` as in `catalog`."""
    return [_row(entry, (states or {}).get((entry.family, entry.name))) for entry in catalog(preferred)]


def _row(entry: Entry, known: DriverState | None) -> PluginRow:
    state = known or DriverState(NOT_LOADED)
    if entry.shadowed:
        state = DriverState(SHADOWED, f"another distribution owns {entry.family}/{entry.name}")
    return PluginRow(
        family=entry.family,
        name=entry.name,
        version=entry.version,
        distribution=entry.distribution,
        state=state.state,
        reason=state.reason,
    )


def find(reference: str) -> Entry:
    """The entry named "NAME" or "FAMILY/NAME". Raises `UnknownDriver`, or `Invalid` if several families have it."""
    family, _, name = reference.rpartition("/")
    entries = catalog()
    found = [e for e in entries if e.name == name and family in ("", e.family) and not e.shadowed]
    if not found:
        installed = ", ".join(f"{e.family}/{e.name}" for e in entries)
        raise UnknownDriver(f"no driver {reference!r}; installed: {installed}")
    if len(found) > 1:
        choices = ", ".join(f"{e.family}/{e.name} of {e.distribution}" for e in found)
        raise Invalid(f"{reference!r} names several drivers: {choices}")
    return found[0]


def detail(entry: Entry) -> PluginDetail:
    """Load the driver's class (never an instance) and describe it. Raises `DriverError` if it cannot be loaded."""
    # Imported here so that `plugin ls` costs no import of stevedore.
    from wherry_engine.loader.load import SCOPES, load_class

    cls = load_class(entry)
    spec = next(base for base in cls.__mro__ if DriverSpec in base.__bases__)
    hooks = [_hook(spec, cls, name) for name in dir(spec) if hasattr(getattr(spec, name), "wherry_spec")]
    options = {scope: tuple(describe(getattr(cls, scope))) for scope in SCOPES if hasattr(cls, scope)}
    return PluginDetail(
        entry=entry,
        summary=_summary(cls),
        features=tuple(sorted(cls.FEATURES)) if issubclass(cls, DriverSpec) else (),
        hooks=tuple(sorted(hooks, key=lambda hook: (not hook.required, hook.name))),
        options=options,
    )


def _hook(spec: type, cls: type, name: str) -> HookInfo:
    declared = getattr(spec, name)
    return HookInfo(
        name=name,
        arguments=tuple(inspect.signature(declared).parameters)[1:],
        required=name in getattr(spec, "__abstractmethods__", ()),
        implemented=getattr(cls, name) is not declared,
        summary=_summary(declared),
    )


def _summary(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
