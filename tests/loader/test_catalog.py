"""The catalog and the report: from metadata alone, shadowed drivers shown."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.loader.conftest import driver

from wherry.errors import Invalid
from wherry_engine.loader import report
from wherry_engine.loader.catalog import DriverError, Entry, UnknownDriver, catalog
from wherry_engine.loader.load import load_class

if TYPE_CHECKING:
    from tests.loader.conftest import Site

BUILT_IN = {
    ("storage", "overlay2"), ("network", "bridge"), ("network", "host"), ("network", "none"), ("volume", "local"),
    ("log", "json-file"), ("log", "local"), ("log", "none"), ("runtime", "crun"), ("runtime", "runc"),
}  # fmt: skip


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_every_built_in_driver_comes_through_an_entry_point() -> None:
    mine = {(e.family, e.name) for e in catalog() if e.distribution == "wherry"}
    assert mine >= BUILT_IN


def test_listing_imports_no_driver_and_no_stevedore() -> None:
    code = (
        "import sys\nfrom wherry_engine.loader.report import rows\nrows()\n"
        "print([m for m in sys.modules if m == 'stevedore' or m.startswith(('wherry_storage', 'wherry_network', "
        "'wherry_volume', 'wherry_log', 'wherry_runtime'))])"
    )
    assert run(code) == "[]"


def test_loading_one_driver_imports_no_other() -> None:
    code = (
        "import sys\nfrom wherry_engine.loader import report\nreport.detail(report.find('log/json-file'))\n"
        "print(sorted(m for m in sys.modules if m.startswith(('wherry_storage', 'wherry_network', 'wherry_volume', "
        "'wherry_log', 'wherry_runtime'))))"
    )
    loaded = run(code)
    assert "wherry_log.json_file" in loaded
    assert "wherry_log.none" not in loaded
    assert "wherry_runtime" not in loaded


def test_the_loser_of_a_name_is_listed_as_shadowed(site: Site) -> None:
    site.install("acme-log", {"json-file": "acme_log:Driver"}, group="wherry.log.v1")
    claims = [e for e in catalog() if (e.family, e.name) == ("log", "json-file")]
    assert [(e.distribution, e.shadowed) for e in claims] == [("wherry", False), ("acme-log", True)]
    chosen = catalog({"log/json-file": "acme-log"})
    assert [e.distribution for e in chosen if e.name == "json-file" and not e.shadowed] == ["acme-log"]
    row = next(r for r in report.rows() if r.distribution == "acme-log")
    assert (row.state, row.reason) == ("shadowed", "another distribution owns log/json-file")


def test_where_nobody_wins_nobody_is_shadowed(site: Site) -> None:
    site.install("acme-one", {"shared": "one:Driver"})
    site.install("acme-two", {"shared": "two:Driver"})
    claims = [e for e in catalog() if e.name == "shared"]
    assert [(e.distribution, e.shadowed) for e in claims] == [("acme-one", False), ("acme-two", False)]
    with pytest.raises(Invalid, match="storage/shared of acme-one, storage/shared of acme-two"):
        report.find("shared")


def test_rows_carry_the_engines_last_word() -> None:
    rows = report.rows({("runtime", "crun"): report.DriverState("skipped", "no crun")})
    states = {(r.family, r.name): (r.state, r.reason) for r in rows}
    assert states["runtime", "crun"] == ("skipped", "no crun")
    assert states["runtime", "runc"] == ("not loaded", "")


def test_a_name_of_two_families_needs_the_family() -> None:
    with pytest.raises(Invalid, match="names several drivers: log/none of wherry, network/none of wherry"):
        report.find("none")
    assert report.find("log/none").family == "log"
    with pytest.raises(UnknownDriver, match=r"no driver 'nosuch'; installed: .*storage/overlay2"):
        report.find("nosuch")


def test_detail_describes_hooks_and_options() -> None:
    detail = report.detail(report.find("json-file"))
    hooks = {h.name: h for h in detail.hooks}
    assert hooks["start"].required
    assert hooks["start"].implemented
    assert hooks["start"].arguments == ("log", "options")
    assert not hooks["send"].implemented
    keys = [o.key for o in detail.options["OPTIONS"]]
    assert keys[:3] == ["max-size", "max-file", "compress"]
    assert detail.options["CONFIG"] == ()


def test_a_future_contract_is_an_error_not_a_crash(site: Site) -> None:
    site.install("acme-new", {"new": "new_driver:Driver"}, group="wherry.storage.v2", new_driver=driver())
    entry = next(e for e in catalog() if e.name == "new")
    with pytest.raises(
        DriverError, match=r"storage driver 'new' of acme-new: this engine knows no wherry\.storage\.v2"
    ):
        load_class(entry)


def test_an_uninstalled_driver_is_unknown() -> None:
    with pytest.raises(UnknownDriver, match="no longer installed"):
        load_class(Entry("storage", "gone", "1", "acme", "gone:Driver", False, "wherry.storage.v1"))
