"""A pytest plugin: the suites that every driver of a family must pass, over the drivers that are named.

    pytest --pyargs wherry.testing.suites.storage --driver reflink

or, in tests of one's own:

    from wherry.testing.suites.storage import StorageConformance

    class TestReflink(StorageConformance):
        DRIVERS = ("reflink",)

Drivers are loaded through their entry points, as the engine loads them. Each check gets a fresh root and, where a family
needs one, a network namespace; it needs to be root. What a check needs of the optional hooks it says by
`@pytest.mark.hook("usage")`: it is skipped for drivers without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pluggy
import pytest

from wherry.spec.base import Context, DriverSpec
from wherry.toolkit.options import parse_options
from wherry_engine.loader.load import Driver, load_driver

S = TypeVar("S", bound=DriverSpec)
INSTANCE = "kit"
Load = Callable[[Context], Driver[Any]]


class Subject(Generic[S]):
    """The driver under a check, on roots of its own; `again` is what a restart of the engine does.

    Families add to it what their checks need. `options` are what the driver cannot do without, by scope.
    """

    def __init__(self, load: Load, folder: Path, stack: ExitStack, options: Mapping[str, Mapping[str, str]]) -> None:
        self._load, self.folder, self._stack, self._options = load, folder, stack, options
        for name in ("root", "run"):
            (folder / name).mkdir()
        self.driver: Driver[S] = self.again()

    @property
    def hook(self) -> S:
        """The driver's hooks."""
        return self.driver.hook

    def again(self) -> Driver[S]:
        """Load the driver once more on the same roots, and go on with that."""
        self.driver = self._load(Context(self.folder / "root", self.folder / "run", INSTANCE, None))
        return self.driver

    def options(self, scope: str = "OPTIONS", **given: str) -> Any:
        """Options as the driver declares them; `max_size` is max-size."""
        texts = {key.replace("_", "-"): value for key, value in given.items()}
        return parse_options(getattr(self.driver.cls, scope), {**self._options.get(scope, {}), **texts})


class Suite:
    """Base of all suites. DRIVERS names the drivers to check, OPTIONS what they cannot do without."""

    FAMILY: ClassVar[str]
    SPEC: ClassVar[type[DriverSpec]]
    SUBJECT: ClassVar[type[Subject[Any]]]
    DRIVERS: ClassVar[Sequence[str]] = ()
    OPTIONS: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    CONFIG: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def subject(self, driver_name: str, tmp_path: Path) -> Iterator[Subject[Any]]:
        """The driver of this name."""

        def load(context: Context) -> Driver[Any]:
            def place(config: Any) -> Context:
                return Context(context.root, context.run_root, context.instance, config)

            return load_driver(self.SPEC, driver_name, place, self.CONFIG)

        with ExitStack() as stack:
            yield self.SUBJECT(load, tmp_path, stack, self.OPTIONS)


def in_memory(spec: type[S], cls: type[S]) -> Load:
    """Loads a class that no entry point names: a fake, with which a check is checked."""

    def load(context: Context) -> Driver[S]:
        relay = pluggy.PluginManager("wherry")
        relay.add_hookspecs(spec)
        config: Any = parse_options(cls.CONFIG, {})
        relay.register(cls(Context(context.root, context.run_root, context.instance, config)), cls.__name__)
        return Driver(cls.__name__, spec, "a test", cls, relay)

    return load


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--driver NAME`."""
    group = parser.getgroup("wherry", "conformance of Wherry's drivers")
    group.addoption(
        "--driver", metavar="NAME", action="append", default=[], help="check this installed driver (may be repeated)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker `hook`."""
    config.addinivalue_line("markers", "hook(name): a check of an optional hook, skipped for drivers without it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each check runs once for each driver: those of its class, or those of the command line."""
    if metafunc.cls is None or not issubclass(metafunc.cls, Suite) or "driver_name" not in metafunc.fixturenames:
        return
    names = metafunc.cls.DRIVERS or metafunc.config.getoption("--driver")
    if not names:
        raise pytest.UsageError(f"name the {metafunc.cls.FAMILY} driver to check: --driver NAME")
    metafunc.parametrize("driver_name", names)


@pytest.fixture(autouse=True)
def _needs_hook(request: pytest.FixtureRequest) -> None:
    mark = request.node.get_closest_marker("hook")
    if mark is not None and not request.getfixturevalue("subject").driver.has(mark.args[0]):
        pytest.skip(f"the driver has no {mark.args[0]}")
