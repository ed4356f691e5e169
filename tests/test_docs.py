"""What the documentation shows works as it stands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pluggy
import pytest

from wherry.errors import Conflict, Invalid
from wherry.spec.base import Context
from wherry.spec.volume import VolumeDriver
from wherry.toolkit.options import NoOptions, describe, parse_options

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    source = ROOT / page
    broken = [link for link in LINK.findall(source.read_text()) if not (source.parent / link).exists()]
    assert broken == []


def test_the_scripts_that_the_readme_names_can_be_run() -> None:
    for name in re.findall(r"scripts/[a-z/]+\b(?!\.)", (ROOT / "README.md").read_text()):
        assert (ROOT / name).stat().st_mode & 0o111, f"{name} is not executable"


@pytest.fixture
def example(tmp_path: Path) -> ModuleType:
    """The driver of docs/drivers.md as a module."""
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/drivers.md").read_text(), re.DOTALL)
    path = tmp_path / "wherry_keep.py"
    path.write_text(code[0])
    spec = importlib.util.spec_from_file_location("wherry_keep", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_driver_fulfils_its_contract(example: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    manager = pluggy.PluginManager("wherry")
    manager.add_hookspecs(VolumeDriver)
    manager.register(example.Driver(Context(root, root, "test", NoOptions())))
    manager.check_pending()
    hook = manager.hook
    place = hook.create(name="a", options=parse_options(example.Options, {}))
    assert place == hook.create(name="a", options=parse_options(example.Options, {})) == str(root / "a")
    assert hook.list_volumes() == ["a"]
    assert hook.attach(name="a", options=None)[0].source == place
    hook.remove(name="a")
    hook.remove(name="a")
    hook.create(name="b", options=parse_options(example.Options, {"locked": "yes"}))
    with pytest.raises(Conflict, match="b is locked"):
        hook.remove(name="b")


def test_the_example_driver_says_which_options_it_takes(example: ModuleType) -> None:
    assert [info.key for info in describe(example.Options)] == ["locked"]
    with pytest.raises(Invalid, match="it must be yes or no"):
        parse_options(example.Options, {"locked": "perhaps"})
