"""Observers: they see each driver call after it ended, with secrets masked, and can neither change nor break it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from time import perf_counter
from typing import Any

import attrs
import pluggy

from wherry.spec.observer import DriverCall, Observer
from wherry_engine.loader.catalog import Entry, catalog, entry_point_of
from wherry_engine.loader.report import FAILED, LOADED, NOT_LOADED, DriverState

Observe = Callable[[DriverCall], None]
MASK = "(hidden)"


def masked(value: Any) -> Any:
    """`value` with every secret inside replaced. What holds no secret is returned itself, not a copy."""
    if attrs.has(type(value)):
        return _masked_fields(value)
    if isinstance(value, Mapping):
        changed = {key: masked(item) for key, item in value.items()}
        return changed if any(changed[key] is not value[key] for key in changed) else value
    if isinstance(value, (tuple, list)):
        items = [masked(item) for item in value]
        return type(value)(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _masked_fields(value: Any) -> Any:
    changed: dict[str, Any] = {}
    for field in attrs.fields(type(value)):
        old = getattr(value, field.name)
        # A field that is kept out of repr() is as secret as a declared one (Mount.secrets).
        secret = field.metadata.get("secret") or field.repr is False
        new = MASK if secret and old not in (None, (), "") else masked(old)
        if new is not old:
            changed[field.name] = new
    if not changed:
        return value
    twin = copy.copy(value)
    for name, new in changed.items():
        object.__setattr__(twin, name, new)  # past `frozen`, and past validators that a mask would not please
    return twin


def watch(relay: pluggy.PluginManager, family: str, driver: str, observe: Observe) -> None:
    """Report every later call of this relay to `observe`, from the thread that made the call."""
    started = threading.local()

    def before(_hook: str, _implementations: Sequence[Any], _arguments: Mapping[str, Any]) -> None:
        started.at = perf_counter()

    def after(outcome: pluggy.Result[Any], hook: str, _impls: Sequence[Any], arguments: Mapping[str, Any]) -> None:
        seconds = perf_counter() - started.at
        seen = {name: masked(value) for name, value in arguments.items()}
        observe(
            DriverCall(
                family=family, driver=driver, hook=hook, arguments=seen, seconds=seconds, error=outcome.exception
            )
        )

    relay.add_hookcall_monitoring(before, after)


def guarded(observers: Sequence[tuple[str, Observer]], report: Callable[[str], None]) -> Observe:
    """One function that tells all `observers` (name and instance); what one raises is reported and goes no further."""

    def observe(call: DriverCall) -> None:
        for name, observer in observers:
            try:
                observer.called(call)
            except BaseException as error:  # the border to foreign code: even SystemExit must not reach the driver call
                report(f"observer {name} failed on {call.family}.{call.hook}: {type(error).__name__}: {error}")

    return observe


@attrs.frozen
class Observers:
    """The loaded observers as one function, for `load_driver(observer=...)`, and what became of each that is installed."""

    observe: Observe | None = None
    states: Mapping[tuple[str, str], DriverState] = attrs.field(factory=dict)


def load_observers(trusted: Container[str], report: Callable[[str], None]) -> Observers:
    """Load the observers of trusted distributions. One that cannot be loaded is reported and left out.

    An observer runs inside the engine, hence the trust.
    """
    loaded: list[tuple[str, Observer]] = []
    states: dict[tuple[str, str], DriverState] = {}
    for entry in catalog():
        if entry.family != "observer" or entry.shadowed:
            continue
        key, title = (entry.family, entry.name), f"{entry.name!r} of {entry.distribution}"
        if entry.distribution not in trusted:
            states[key] = DriverState(NOT_LOADED, f"trusted-plugins does not name {entry.distribution}")
            continue
        found = _load(entry)
        if isinstance(found, str):
            states[key] = DriverState(FAILED, found)
            report(f"observer {title} failed to load: {found}")
        else:
            states[key] = DriverState(LOADED)
            loaded.append((title, found))
    return Observers(guarded(loaded, report) if loaded else None, states)


def _load(entry: Entry) -> Observer | str:
    """The observer, or what is wrong with it."""
    try:
        instance = entry_point_of(entry).load()()
    except BaseException as error:  # the border to foreign code, as above
        return f"{type(error).__name__}: {error}"
    return instance if isinstance(instance, Observer) else f"{entry.value} does not make an Observer"
