"""What every volume driver must do."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from wherry.errors import Invalid
from wherry.linux.mounts import mount, unmount
from wherry.model.mounts import Mount
from wherry.spec.volume import VolumeDriver
from wherry.testing.conformance import Load, Subject, Suite


class VolumeSubject(Subject[VolumeDriver]):
    """A volume driver."""

    def __init__(self, load: Load, folder: Path, stack: ExitStack, options: Mapping[str, Mapping[str, str]]) -> None:
        self._shown = folder / "shown"
        self._shown.mkdir()
        super().__init__(load, folder, stack, options)

    def create(self, name: str, **given: str) -> str | None:
        """A volume with the default options, and these."""
        return self.hook.create(name=name, options=self.options(**given))

    def attach(self, name: str) -> Sequence[Mount]:
        """How to mount it."""
        return self.hook.attach(name=name, options=self.options())

    def detach(self, name: str) -> None:
        """Say that the last use is over, to a driver that wants to know."""
        if self.driver.has("detach"):
            self.hook.detach(name=name)

    @contextlib.contextmanager
    def mounted(self, name: str) -> Iterator[Path]:
        """The data, as a container would see it, from first use to last."""
        target = self._shown / name
        target.mkdir(exist_ok=True)
        try:
            for each in self.attach(name):
                mount(each.type, each.source, str(target), each.options)
            yield target
        finally:
            unmount(str(target))
            self.detach(name)

    def write(self, name: str, file: str, text: str) -> None:
        """Put a file into the volume."""
        with self.mounted(name) as data:
            (data / file).write_text(text)

    def files(self, name: str) -> dict[str, str]:
        """Names and contents of what is in it."""
        with self.mounted(name) as data:
            return {path.name: path.read_text() for path in sorted(data.iterdir()) if path.is_file()}


class VolumeConformance(Suite):
    """The checks. Subclass this and say DRIVERS, and OPTIONS if a volume needs some."""

    FAMILY = "volume"
    SPEC = VolumeDriver
    SUBJECT: ClassVar[type[VolumeSubject]] = VolumeSubject

    def test_a_new_volume_is_empty(self, subject: VolumeSubject) -> None:
        subject.create("one")
        assert subject.files("one") == {}

    def test_what_is_written_is_there_at_the_next_use(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.write("one", "file", "1")
        assert subject.files("one") == {"file": "1"}

    def test_create_twice_gives_the_same_answer(self, subject: VolumeSubject) -> None:
        assert subject.create("one") == subject.create("one")

    def test_create_twice_keeps_the_data(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.write("one", "file", "1")
        subject.create("one")
        assert subject.files("one") == {"file": "1"}

    def test_attach_twice_gives_the_same_mounts(self, subject: VolumeSubject) -> None:
        subject.create("one")
        first = list(subject.attach("one"))
        assert list(subject.attach("one")) == first
        subject.detach("one")

    def test_volumes_share_nothing(self, subject: VolumeSubject) -> None:
        for name in ("one", "two"):
            subject.create(name)
        subject.write("one", "file", "1")
        assert subject.files("two") == {}

    def test_the_path_that_create_tells_shows_the_data(self, subject: VolumeSubject) -> None:
        path = subject.create("one")
        subject.write("one", "file", "1")
        if path is not None:
            assert (Path(path) / "file").read_text() == "1"

    def test_all_is_there_after_a_restart_of_the_engine(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.write("one", "file", "1")
        before = list(subject.hook.list_volumes())
        subject.again()
        assert list(subject.hook.list_volumes()) == before
        assert subject.files("one") == {"file": "1"}

    def test_volumes_are_listed_as_long_as_they_are_there(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.create("two")
        listed = set(subject.hook.list_volumes())
        assert listed in ({"one", "two"}, set())  # the latter by a driver that keeps nothing
        subject.hook.remove(name="one")
        assert set(subject.hook.list_volumes()) == listed - {"one"}

    def test_remove_takes_the_data(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.write("one", "file", "1")
        subject.hook.remove(name="one")
        subject.create("one")
        assert subject.files("one") == {}

    def test_remove_may_be_repeated(self, subject: VolumeSubject) -> None:
        subject.create("one")
        for name in ("one", "one", "never"):
            subject.hook.remove(name=name)
        assert list(subject.hook.list_volumes()) == []

    def test_remove_takes_nothing_of_another_volume(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.create("one-more")
        subject.write("one-more", "file", "1")
        subject.hook.remove(name="one")
        assert subject.files("one-more") == {"file": "1"}

    def test_remove_follows_no_link(self, subject: VolumeSubject) -> None:
        canary = subject.folder / "canary"
        canary.mkdir()
        (canary / "file").write_text("1")
        subject.create("one")
        with subject.mounted("one") as data:
            (data / "link").symlink_to(canary)
        subject.hook.remove(name="one")
        assert (canary / "file").read_text() == "1"

    def test_owner_and_mode_of_the_data_are_the_users(self, subject: VolumeSubject) -> None:
        subject.create("one")
        with subject.mounted("one") as data:
            os.chown(data, 1000, 1001)
            data.chmod(0o2770)
        subject.create("one")
        with subject.mounted("one") as data:
            found = data.stat()
            assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1001, 0o2770)

    def test_an_unknown_option_is_refused(self, subject: VolumeSubject) -> None:
        with pytest.raises(Invalid):
            subject.create("one", no_driver_has_this="1")

    @pytest.mark.hook("usage")
    def test_usage_counts_the_data(self, subject: VolumeSubject) -> None:
        subject.create("one")
        empty = subject.hook.usage(name="one")
        subject.write("one", "file", "x" * 300_000)
        full = subject.hook.usage(name="one")
        assert 300_000 <= full.bytes - empty.bytes < 400_000
        assert full.inodes == empty.inodes + 1

    @pytest.mark.hook("detach")
    def test_detach_may_be_repeated_and_keeps_the_data(self, subject: VolumeSubject) -> None:
        subject.create("one")
        subject.write("one", "file", "1")
        for name in ("one", "one", "never"):
            subject.hook.detach(name=name)
        assert subject.files("one") == {"file": "1"}


class TestVolume(VolumeConformance):
    """The drivers of the command line."""
