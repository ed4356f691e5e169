"""Observers see calls with secrets masked and can break nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from tests.loader.conftest import driver, hook

from wherry.errors import NotFound
from wherry.model.mounts import Mount
from wherry.model.networks import Network
from wherry.spec.base import Context
from wherry.spec.observer import DriverCall, Observer
from wherry.spec.storage import StorageDriver
from wherry.toolkit.options import option
from wherry_engine.loader.load import Driver, load_driver
from wherry_engine.loader.observe import MASK, Observe, guarded, load_observers, masked

if TYPE_CHECKING:
    from tests.loader.conftest import Site


@attrs.frozen
class Login:
    user: str = option("user", str, help="who")
    password: str = option("password", str, help="what nobody sees", secret=True)


def load(root: Path, observe: Observe) -> Driver[StorageDriver]:
    def place(parsed: Any) -> Context:
        return Context(root, root, "t", parsed)

    return load_driver(StorageDriver, "seen", place, observer=observe)


def test_observers_see_call_time_and_outcome(site: Site, tmp_path: Path) -> None:
    commit = "    @hookimpl\n    def commit(self, key, name): raise NotFound('no snapshot ' + key)\n"
    site.install("acme-seen", {"seen": "seen_driver:Driver"}, seen_driver=driver(replaced={"commit": commit}))
    calls: list[DriverCall] = []
    loaded = load(tmp_path, calls.append)
    loaded.hook.remove(key="a")
    with pytest.raises(NotFound, match="no snapshot b"):
        loaded.hook.commit(key="b", name="B")
    assert [(c.family, c.driver, c.hook, dict(c.arguments)) for c in calls] == [
        ("storage", "seen", "remove", {"key": "a"}),
        ("storage", "seen", "commit", {"key": "b", "name": "B"}),
    ]
    assert calls[0].error is None
    assert isinstance(calls[1].error, NotFound)
    assert all(c.seconds >= 0 for c in calls)


def test_optional_hooks_show_as_capabilities(site: Site, tmp_path: Path) -> None:
    source = driver(extra=hook("usage(self, key)"))
    site.install("acme-seen", {"seen": "seen_driver:Driver"}, seen_driver=source)
    loaded = load(tmp_path, lambda call: None)
    assert loaded.has("usage")
    assert not loaded.has("changes")
    assert loaded.title == "storage driver 'seen' of acme-seen"


def test_secrets_are_masked_wherever_they_hide() -> None:
    network = Network(id="n", name="n", options=Login("me", "hunter2"))
    seen = masked({"networks": (network,), "mount": Mount("cifs", "//h/s", ("rw",), ("password=hunter2",))})
    assert "hunter2" not in repr(attrs.asdict(seen["networks"][0])) + repr(attrs.asdict(seen["mount"]))
    assert seen["networks"][0].options == Login("me", MASK)
    assert network.options.password == "hunter2"


def test_what_holds_no_secret_is_not_copied() -> None:
    network = Network(id="n", name="n", subnets=("10.0.0.0/8",))
    assert masked(network) is network


class Harmful(Observer):
    def called(self, call: DriverCall) -> None:
        raise SystemExit(f"on {call.hook}")


def test_what_an_observer_raises_is_reported_and_changes_nothing(site: Site, tmp_path: Path) -> None:
    site.install("acme-seen", {"seen": "seen_driver:Driver"}, seen_driver=driver())
    reports: list[str] = []
    loaded = load(tmp_path, guarded([("'harmful' of acme", Harmful())], reports.append))
    loaded.hook.remove(key="a")
    assert reports == ["observer 'harmful' of acme failed on storage.remove: SystemExit: on remove"]


def test_only_trusted_observers_are_loaded_and_bad_ones_reported(site: Site) -> None:
    good = (
        "from wherry.spec.observer import Observer, hookimpl\nseen = []\n"
        "class Audit(Observer):\n    @hookimpl\n    def called(self, call): seen.append(call.hook)\n"
    )
    group = "wherry.observer.v1"
    site.install("acme-audit", {"audit": "acme_audit:Audit"}, group=group, acme_audit=good)
    site.install("acme-exit", {"exit": "acme_exit:Audit"}, group=group, acme_exit="raise SystemExit(2)\n")
    site.install("acme-dict", {"dict": "builtins:dict"}, group=group)
    reports: list[str] = []
    untrusted = load_observers((), reports.append)
    assert untrusted.observe is None
    assert untrusted.states["observer", "audit"].reason == "trusted-plugins does not name acme-audit"
    found = load_observers(("acme-audit", "acme-exit", "acme-dict"), reports.append)
    assert {name: state.state for (_, name), state in found.states.items()} == {
        "audit": "loaded",
        "dict": "failed",
        "exit": "failed",
    }
    assert found.observe is not None
    found.observe(DriverCall(family="log", driver="x", hook="stop", arguments={}, seconds=0.0, error=None))
    import acme_audit  # type: ignore[import-not-found]

    assert acme_audit.seen == ["stop"]
    assert reports == [
        "observer 'dict' of acme-dict failed to load: builtins:dict does not make an Observer",
        "observer 'exit' of acme-exit failed to load: SystemExit: 2",
    ]
