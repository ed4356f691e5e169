"""An extracted archive and its record give the archive again, byte for byte."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.linux.archives import END, file, folder, symlink

from wherry.errors import Failed, Invalid
from wherry.linux.tar import extract
from wherry.linux.tar_record import Recorder, join

pytestmark = pytest.mark.root


def recorded(archive: bytes, root: Path) -> tuple[bytes, bool]:
    """The record of an archive that was extracted into `root`, and whether it has all."""
    record = io.BytesIO()
    recorder = Recorder(record)
    extract(io.BytesIO(archive), str(root), whiteouts="overlay", recorder=recorder)
    recorder.end()
    return record.getvalue(), recorder.whole


def joined(record: bytes, root: Path) -> bytes:
    """The archive that they make."""
    read, write = os.pipe()
    found: list[bytes] = []
    with os.fdopen(read, "rb") as pipe:
        reader = threading.Thread(target=lambda: found.append(pipe.read()))
        reader.start()
        opened = os.open(root, os.O_PATH)
        try:
            join(io.BytesIO(record), opened, write)
        finally:
            os.close(write)
            os.close(opened)
            reader.join()
    return found[0]


def gnu_and_pax() -> bytes:
    out = io.BytesIO()
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(fileobj=out, mode="w", format=form) as tar:
            for number, size in enumerate((0, 1, 511, 512, 513, 70_000, 3 << 20)):
                info = tarfile.TarInfo(f"{form}/{'long/' * 40}{number}")
                info.size, info.mtime = size, 1.5
                tar.addfile(info, io.BytesIO(os.urandom(size)))
            break_here = form == tarfile.GNU_FORMAT
        if break_here:
            out.seek(0)
            out.truncate()
    return out.getvalue()


def test_headers_padding_and_contents_come_back(tmp_path: Path) -> None:
    archive = gnu_and_pax()
    record, whole = recorded(archive, tmp_path)
    assert whole
    assert joined(record, tmp_path) == archive


def test_whiteouts_links_and_what_follows_the_end_come_back(tmp_path: Path) -> None:
    link = symlink(b"lib", b"usr")
    archive = folder(b"usr") + link + file(b"lib/behind", b"x" * 700) + file(b".wh.gone", b"odd") + END + b"rest" * 999
    record, whole = recorded(archive, tmp_path)
    assert whole
    assert joined(record, tmp_path) == archive


@pytest.mark.parametrize(
    "archive",
    [
        file(b"a", b"one") + file(b"a", b"two"),
        folder(b"d") + file(b"d/a", b"one") + file(b"d", b"two"),
    ],
)
def test_a_content_that_was_replaced_is_told(tmp_path: Path, archive: bytes) -> None:
    _, whole = recorded(archive + END, tmp_path)
    assert not whole


def test_a_file_that_has_changed_its_size_is_no_part_of_the_archive(tmp_path: Path) -> None:
    record, _ = recorded(file(b"a", b"one") + END, tmp_path)
    (tmp_path / "a").write_bytes(b"longer")
    with pytest.raises(Failed, match="not the one that was extracted"):
        joined(record, tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(Failed, match="no longer has this file"):
        joined(record, tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_damaged_record_is_refused_or_gives_other_bytes_never_another_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    record, _ = recorded(file(b"a", b"one") + END, tmp_path)
    at = data.draw(st.integers(0, len(record) - 1))
    damaged = bytearray(record)
    damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        joined(bytes(damaged), tmp_path)
    except (Invalid, Failed):
        return
