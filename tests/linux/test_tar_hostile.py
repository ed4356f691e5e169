"""Archives from strangers: whatever they say, nothing outside the tree changes, and what is wrong is said clearly."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from tests.linux.archives import END, describe, file, folder, hardlink, header, padded, records, signed, symlink

from wherry.errors import Invalid
from wherry.linux.tar import extract

pytestmark = pytest.mark.root


class Case(NamedTuple):
    """An archive, and what its refusal says; None: it is extracted, and all of it stays inside."""

    archive: bytes
    refused: str | None


BIG = b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7
NEGATIVE = b"\xff" * 12
OUT = b"../../outside"  # as seen from a tree that is base/inner/root
MAP_1_0 = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"s"}


def old_sparse(parts: bytes, real: bytes, data: bytes) -> bytes:
    block = bytearray(header(b"s", b"S", size=len(data), magic=b"ustar  \0"))
    block[386 : 386 + len(parts)] = parts
    block[483 : 483 + len(real)] = real
    return signed(bytes(block)) + padded(data)


CORPUS = {
    # names
    "dots at the start": Case(file(b"../evil", b"x"), "leads out"),
    "dots in the middle": Case(file(b"a/../../evil", b"x"), "leads out"),
    "dots at the end": Case(folder(b"a/.."), "leads out"),
    "dots in a prefix": Case(header(b"evil", prefix=b"../.."), "leads out"),
    "dots in a PAX path": Case(records({b"path": b"../../evil"}) + header(b"ok"), "leads out"),
    "dots in a global PAX path": Case(records({b"path": b"../../evil"}, b"g") + header(b"ok"), "leads out"),
    "dots in a GNU long name": Case(
        header(b"././@LongLink", b"L", size=11) + padded(b"../../evil\0") + header(), "leads out"
    ),
    "dots in a sparse name": Case(
        records({b"GNU.sparse.name": b"../evil", b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"1"})
        + file(b"a", b"x"),
        "leads out",
    ),
    "an absolute name": Case(file(b"/etc/evil", b"x"), None),
    "an absolute name of a real place": Case(file(b"/outside/canary", b"x"), None),
    "many slashes": Case(file(b"////tmp///evil", b"x"), None),
    "a zero byte in a PAX path": Case(records({b"path": b"a\0b"}) + header(b"ok"), "zero byte"),
    "a zero byte in a PAX link": Case(records({b"linkpath": b"a\0b"}) + header(b"ok", b"2"), "zero byte"),
    "a name of 300 bytes": Case(records({b"path": b"n" * 300}) + header(b"ok"), "too long"),
    "a path of 100,000 bytes": Case(records({b"path": b"d/" * 50_000 + b"f"}) + header(b"ok"), "too long"),
    "a file as the root": Case(file(b"./", b""), None),
    "a link as the root": Case(symlink(b".", b"/"), "makes its root a symlink"),
    "a name that is not UTF-8": Case(file(b"\xff\xfe\x80", b"x"), None),
    "an empty name": Case(header(b"", b"0", size=1) + padded(b"x"), "makes its root a file"),
    # links
    "write through an absolute link": Case(symlink(b"l", b"/outside") + file(b"l/evil", b"x"), "l/evil"),
    "write through a relative link": Case(symlink(b"l", OUT) + file(b"l/evil", b"x"), "l/evil"),
    "write through a link of links": Case(symlink(b"a", b"b") + symlink(b"b", OUT) + file(b"a/evil", b"x"), "a/evil"),
    "write over a link": Case(symlink(b"l", OUT + b"/canary") + file(b"l", b"x"), None),
    "a directory over a link": Case(symlink(b"l", OUT) + folder(b"l", 0o777) + file(b"l/evil", b"x"), None),
    "attributes through a link": Case(symlink(b"l", OUT) + header(b"l", b"5", mode=0o777, uid=77), None),
    "a device over a link": Case(symlink(b"l", OUT + b"/canary") + header(b"l", b"3", device=(1, 3)), None),
    "a fifo through a link": Case(symlink(b"l", OUT) + header(b"l/evil", b"6"), "l/evil"),
    "a link loop": Case(symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/x", b"x"), "symbolic links"),
    "a link to itself in its way": Case(symlink(b"a", b"a/b") + file(b"a/b/c", b"x"), "symbolic links"),
    "a magic link of /proc": Case(symlink(b"p", b"/proc/self/root") + file(b"p/evil", b"x"), "p/evil"),
    "a hard link to outside": Case(hardlink(b"h", OUT + b"/canary"), "leads out"),
    "an absolute hard link": Case(hardlink(b"h", b"/outside/canary"), "hard link to outside/canary"),
    "a hard link through a link": Case(symlink(b"l", OUT) + hardlink(b"h", b"l/canary"), "hard link to l/canary"),
    "a hard link to a link, then written": Case(
        symlink(b"l", OUT + b"/canary") + hardlink(b"h", b"l") + file(b"h", b"x"), None
    ),
    "a hard link to what comes later": Case(hardlink(b"h", b"f") + file(b"f", b"x"), "not brought before"),
    "a hard link to a directory": Case(folder(b"d") + hardlink(b"h", b"d"), "hard link to a directory"),
    "a hard link to the root": Case(hardlink(b"h", b"/"), "h: "),
    "a hard link over a folder with its target": Case(
        folder(b"d") + file(b"d/f", b"x") + hardlink(b"d", b"d/f"), "not brought before"
    ),
    "an empty link": Case(symlink(b"l", b""), "cannot be made"),
    # shapes
    "an entry below a file": Case(file(b"f", b"x") + file(b"f/g", b"x"), "f/g"),
    "a name twice": Case(file(b"f", b"x") + file(b"f", b"y") + symlink(b"f", b"z") + header(b"f", b"6"), None),
    "a file over a full directory": Case(folder(b"d") + file(b"d/f", b"x") + file(b"d", b"y"), None),
    "a directory over a file": Case(file(b"d", b"y") + folder(b"d") + file(b"d/f", b"x"), None),
    "a path 1,500 deep, hidden": Case(records({b"path": b"d/" * 1500 + b"f"}) + header(b"ok") + header(b".wh.d"), None),
    # whiteouts
    "a whiteout of ..": Case(header(b".wh..."), "whiteout of no name"),
    "a whiteout of .": Case(header(b".wh.."), "whiteout of no name"),
    "a whiteout of nothing": Case(header(b"d/.wh."), "whiteout of no name"),
    "a whiteout through a link": Case(symlink(b"l", OUT) + header(b"l/.wh.canary"), "l/.wh.canary"),
    "an opaque mark through a link": Case(symlink(b"l", OUT) + header(b"l/.wh..wh..opq"), "l/.wh..wh..opq"),
    "an entry below a whiteout": Case(file(b".wh.x/f", b"x"), "below a whiteout"),
    "housekeeping of aufs": Case(file(b".wh..wh.plnk/1.2", b"x") + header(b".wh..wh.aufs"), None),
    "overlay's own attributes": Case(
        records({b"SCHILY.xattr.trusted.overlay.redirect": b"/x", b"SCHILY.xattr.trusted.overlay.opaque": b"y"})
        + folder(b"d"),
        None,
    ),
    # numbers
    "a negative size": Case(header(b"f", size=NEGATIVE), "negative size"),
    "a huge size": Case(header(b"f", size=BIG) + padded(b"x"), "incomplete"),
    "a size that is no number": Case(header(b"f", size=b"12x45"), "not a number"),
    "a negative PAX size": Case(records({b"size": b"-1"}) + header(b"f"), "not a number"),
    "a PAX size with an underscore": Case(records({b"size": b"1_0"}) + file(b"f", bytes(10)), "not a number"),
    "a PAX size of 400 digits": Case(records({b"size": b"9" * 400}) + header(b"f"), "not a number"),
    "an owner beyond 32 bits": Case(records({b"uid": b"4294967296"}) + header(b"f"), "no user or group id"),
    "an owner that means unchanged": Case(records({b"gid": b"4294967295"}) + header(b"f"), "no user or group id"),
    "a negative owner": Case(header(b"f", uid=b"\xff" * 8), "no user or group id"),
    "a time beyond all": Case(header(b"f", mtime=b"\x80" + b"\xff" * 11), "of the time"),
    "a time that is no number": Case(records({b"mtime": b"yesterday"}) + header(b"f"), "not a time"),
    "a late and an early time": Case(
        records({b"mtime": b"99999999999999999.5"}) + header(b"f") + records({b"mtime": b"-1.25"}) + header(b"g"), None
    ),
    "a device beyond Linux": Case(header(b"d", b"3", device=(5000, 1)), "Linux does not have"),
    "a negative device": Case(header(b"d", b"4", device=(b"\xff" * 8, 1)), "Linux does not have"),
    "an unknown type": Case(header(b"f", b"Q"), "not known here"),
    "a part of a multi-volume archive": Case(header(b"f", b"M"), "not known here"),
    "data after a directory's header, by its size": Case(header(b"d", b"5", size=512) + file(b"f", b"x"), None),
    # extension headers
    "an extension of 2 MiB": Case(header(b"x", b"x", size=2 << 20) + bytes(2 << 20), "extension header"),
    "an extension of a negative size": Case(header(b"x", b"x", size=NEGATIVE), "extension header"),
    "a record without end": Case(header(b"x", b"x", size=10) + padded(b"99 path=ab"), "not made of records"),
    "a record shorter than its digits": Case(
        header(b"x", b"x", size=10) + padded(b"1 path=ab\n"), "not made of records"
    ),
    "a record of length 0": Case(header(b"x", b"x", size=10) + padded(b"0 path=ab\n"), "not made of records"),
    "a record without =": Case(header(b"x", b"x", size=10) + padded(b"10 path_ab\n"[:10]), "not made of records"),
    "an attribute without name": Case(records({b"SCHILY.xattr.": b"v"}) + header(b"f"), "extended attribute"),
    "an attribute of a strange class": Case(records({b"SCHILY.xattr.nonsense.x": b"v"}) + header(b"f"), None),
    "a capability that is none": Case(records({b"SCHILY.xattr.security.capability": b"v"}) + header(b"f"), "f: "),
    # sparse files
    "sparse parts that overlap": Case(
        records({b"GNU.sparse.map": b"0,5,3,5", b"GNU.sparse.size": b"10"}) + file(b"s", bytes(10)), "overlap"
    ),
    "sparse parts beyond the end": Case(
        records({b"GNU.sparse.map": b"100,5", b"GNU.sparse.size": b"10"}) + file(b"s", bytes(5)), "does not fit"
    ),
    "sparse parts that need more data": Case(
        records({b"GNU.sparse.map": b"0,50", b"GNU.sparse.size": b"50"}) + file(b"s", bytes(5)), "does not fit"
    ),
    "a sparse map of odd length": Case(
        records({b"GNU.sparse.map": b"0,5,6", b"GNU.sparse.size": b"50"}) + file(b"s", bytes(5)), "without a length"
    ),
    "a sparse map of a million parts": Case(records(MAP_1_0) + file(b"s", b"1000000\n".ljust(512, b"\0")), "more than"),
    "a sparse map that is text": Case(records(MAP_1_0) + file(b"s", b"hello" * 200), "sparse map"),
    "a sparse map longer than the data": Case(
        records({**MAP_1_0, b"GNU.sparse.realsize": b"9"}) + file(b"s", b"0\n"), "does not fit"
    ),
    "a sparse file of eight exbibytes": Case(
        records({b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"9223372036854775807"}) + file(b"s", b"x"), None
    ),
    "a sparse file beyond 64 bits": Case(
        records({b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"99999999999999999999"}) + file(b"s", b"x"),
        "does not fit",
    ),
    "an old sparse file whose parts overlap": Case(
        old_sparse(b"%011o\0%011o\0" % (0, 4) * 2, b"%011o\0" % 8, bytes(8)), "overlap"
    ),
    # ends
    "text instead of an archive": Case(b"this is not a tar archive\n" * 100, "not a tar archive"),
    "a wrong checksum": Case(header(b"f")[:148] + b"0000001\0" + header(b"f")[156:], "not a tar archive"),
    "an end within data": Case(file(b"f", b"x" * 5000)[:2000], "incomplete"),
    "an end within padding": Case(file(b"f", b"x" * 5000)[:-10], "incomplete"),
    "an end within a header": Case(file(b"f", b"x")[:300], "incomplete"),
    "an end after an extension": Case(records({b"path": b"f"}), "incomplete"),
}


@pytest.fixture
def base(tmpfs: Path) -> Path:
    outside = tmpfs / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"alive")
    (tmpfs / "inner" / "root").mkdir(parents=True)
    return tmpfs


@pytest.mark.parametrize("whiteouts", ["overlay", "delete"])
@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_archive_is_refused_or_contained(
    base: Path, name: str, whiteouts: Literal["overlay", "delete"]
) -> None:
    outside = describe(base / "outside")
    descriptors = len(os.listdir("/proc/self/fd"))
    case = CORPUS[name]
    ended = case.refused in ("incomplete", "not a tar archive")
    stream = io.BytesIO(case.archive if ended else case.archive + END)
    if case.refused is None:
        extract(stream, str(base / "inner/root"), whiteouts=whiteouts)
    else:
        with pytest.raises(Invalid, match=case.refused.replace(".", r"\.")):
            extract(stream, str(base / "inner/root"), whiteouts=whiteouts)
    assert describe(base / "outside") == outside
    assert sorted(os.listdir(base)) == ["inner", "outside"]
    assert os.listdir(base / "inner") == ["root"]
    assert not os.path.lexists("/etc/evil")
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 80


def test_a_link_out_of_the_tree_leads_where_it_would_in_a_container(base: Path) -> None:
    root = base / "inner/root"
    archive = folder(b"outside") + symlink(b"l", OUT) + file(b"l/new", b"x") + END
    extract(io.BytesIO(archive), str(root), whiteouts="overlay")
    assert (root / "outside/new").read_bytes() == b"x"
    assert os.listdir(base / "outside") == ["canary"]


def test_overlays_own_attributes_are_not_taken_from_an_archive(tmpfs: Path) -> None:
    archive = CORPUS["overlay's own attributes"].archive + END
    extract(io.BytesIO(archive), str(tmpfs), whiteouts="overlay")
    assert os.listxattr(tmpfs / "d") == []


def test_many_entries_of_one_name_end_in_one_file(tmpfs: Path) -> None:
    entry = header(b"f")

    class Many(io.RawIOBase):
        left = 20_000

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return entry if self.left >= 0 else b""

    assert extract(Many(), str(tmpfs), whiteouts="overlay").entries == 20_000  # type: ignore[arg-type]
    assert stat.S_ISREG(os.lstat(tmpfs / "f").st_mode)
