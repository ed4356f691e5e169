"""Whatever a driver does wrong is one line that names its distribution, and the good drivers go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.loader.conftest import HOOKS, driver, hook

from wherry.errors import Invalid, Unsupported
from wherry.spec.base import Context
from wherry.spec.storage import StorageDriver
from wherry_engine.loader.catalog import DriverError, UnknownDriver, choose, distribution_of
from wherry_engine.loader.load import Driver, load_driver

if TYPE_CHECKING:
    from tests.loader.conftest import Site

GOOD = driver()
STORAGE = "storage driver 'bad' of acme-bad"
CASES: dict[str, tuple[str, str]] = {
    "import error": (
        "import nowhere_at_all\n",
        f"{STORAGE} failed to load: ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "syntax error": ("def :\n", f"{STORAGE} failed to load: SyntaxError: invalid syntax (bad_driver.py, line 1)"),
    "assertion at import": (
        "assert False, 'at import'\n",
        f"{STORAGE} failed to load: AssertionError: at import",
    ),
    "sys.exit at import": ("raise SystemExit(3)\n", f"{STORAGE} failed to load: SystemExit: 3"),
    "interrupt at import": ("raise KeyboardInterrupt\n", f"{STORAGE} failed to load: KeyboardInterrupt"),
    "no such attribute": (
        "",
        f"{STORAGE} failed to load: AttributeError: module 'bad_driver' has no attribute 'Driver'",
    ),
    "wrong argument": (
        driver(replaced={"prepare": hook(HOOKS["prepare"].replace("parent", "parnet"))}),
        f"{STORAGE} breaks the contract: Plugin 'bad' for hook 'prepare'; hookimpl definition: "
        "prepare(self, key, parnet, writable, quota); Argument(s) {'parnet'} are declared in the hookimpl but can not "
        "be found in the hookspec",
    ),
    "misspelt hook": (
        driver(extra=hook("usege(self, key)")),
        f"{STORAGE} breaks the contract: unknown hook 'usege' in plugin <class 'bad_driver.Driver'>",
    ),
    "missing hooks": (
        driver(replaced={"remove": "", "list_snapshots": ""}),
        f"{STORAGE} breaks the contract: it lacks list_snapshots, remove",
    ),
    "override without the mark": (
        driver(replaced={"list_snapshots": "    def list_snapshots(self): return []\n"}),
        f"{STORAGE} breaks the contract: it overrides list_snapshots without @hookimpl",
    ),
    "no subclass": (
        "class Driver:\n    def __init__(self, context): pass\n",
        f"{STORAGE} breaks the contract: bad_driver:Driver is not a subclass of StorageDriver",
    ),
    "another family's driver": (
        "from wherry.spec.runtime import RuntimeDriver\nclass Driver(RuntimeDriver): pass\n",
        f"{STORAGE} breaks the contract: bad_driver:Driver is not a subclass of StorageDriver",
    ),
    "an instance": (
        GOOD + "Driver = Driver(None)\n",
        f"{STORAGE} breaks the contract: bad_driver:Driver is not a subclass of StorageDriver",
    ),
    "options that are no options": (
        driver(extra="    OPTIONS = dict\n"),
        f"{STORAGE} breaks the contract: OPTIONS is not an attrs class made of option() fields",
    ),
    "error in init": (
        driver(extra="    def __init__(self, context): 1 / 0\n"),
        f"{STORAGE} failed to start: ZeroDivisionError: division by zero",
    ),
    "sys.exit in init": (
        driver(extra="    def __init__(self, context): raise SystemExit\n"),
        f"{STORAGE} failed to start: SystemExit",
    ),
    "several lines": (
        "raise RuntimeError('one\\n\\n  two\\n')\n",
        f"{STORAGE} failed to load: RuntimeError: one; two",
    ),
}


def load(
    name: str, root: Path, config: dict[str, str] | None = None, preferred: str | None = None
) -> Driver[StorageDriver]:
    def place(parsed: Any) -> Context:
        return Context(root, root, "t", parsed)

    return load_driver(StorageDriver, name, place, config or {}, preferred=preferred)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_driver_is_one_line_naming_its_distribution(case: str, site: Site, tmp_path: Path) -> None:
    source, text = CASES[case]
    site.install("acme-bad", {"bad": "bad_driver:Driver"}, bad_driver=source)
    site.install("acme-good", {"good": "good_driver:Driver"}, good_driver=GOOD)
    with pytest.raises(DriverError) as caught:
        load("bad", tmp_path)
    assert caught.value.text == text
    assert load("good", tmp_path).distribution == "acme-good"


def test_unsupported_host_keeps_its_kind(site: Site, tmp_path: Path) -> None:
    init = "    def __init__(self, context): raise Unsupported('this kernel has no reflinks')\n"
    site.install("acme-bad", {"bad": "bad_driver:Driver"}, bad_driver=driver(extra=init))
    with pytest.raises(Unsupported, match=f"{STORAGE}: this kernel has no reflinks"):
        load("bad", tmp_path)


def test_wrong_configuration_is_the_users_fault(site: Site, tmp_path: Path) -> None:
    site.install("acme-bad", {"bad": "bad_driver:Driver"}, bad_driver=GOOD)
    with pytest.raises(Invalid, match=f"{STORAGE}: unknown option 'colour'; the driver takes none"):
        load("bad", tmp_path, {"colour": "red"})


def test_unknown_name_lists_what_is_installed(tmp_path: Path) -> None:
    with pytest.raises(UnknownDriver) as caught:
        load("nobody", tmp_path)
    assert caught.value.text.startswith("no driver 'nobody' in wherry.storage.v1; installed: ")
    assert "overlay2" in caught.value.text


def test_a_name_claimed_twice_is_refused_before_any_import(site: Site, tmp_path: Path) -> None:
    site.install("acme-one", {"shared": "one_driver:Driver"}, one_driver="raise SystemExit\n")
    site.install("acme-two", {"shared": "two_driver:Driver"}, two_driver=GOOD)
    with pytest.raises(DriverError) as caught:
        load("shared", tmp_path)
    assert caught.value.text == (
        "driver 'shared' in wherry.storage.v1 is offered by acme-one and acme-two; name one of them in the configuration"
    )
    assert load("shared", tmp_path, preferred="acme-two").distribution == "acme-two"


def test_built_in_drivers_keep_their_names(site: Site) -> None:
    site.install("acme-one", {"overlay2": "one_driver:Driver"}, one_driver="raise SystemExit\n")
    assert distribution_of(choose("wherry.storage.v1", "overlay2")) == "wherry"
    assert distribution_of(choose("wherry.storage.v1", "overlay2", preferred="acme-one")) == "acme-one"
