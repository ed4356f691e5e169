"""The form `local`: byte for byte as Docker writes it, any byte of output, torn at any place, found from both ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.model.logs import LogQuery, Record
from wherry_engine.engine import log_local
from wherry_engine.engine.log_files import FORMS
from wherry_engine.engine.logs import read_logs
from wherry_engine.monitor import local_records
from wherry_engine.monitor.cuts import PART
from wherry_engine.monitor.local_records import encode, in_common
from wherry_engine.monitor.logfile import LogFile

NOW = 1_795_550_072_886_173_755
OUT, ERR = in_common("stdout", {}, NOW), in_common("stderr", {}, NOW + 1)
OPTIONS = {
    "format": "local",
    "max_size": -1,
    "max_files": 1,
    "compress": False,
    "attributes": {},
    "non_blocking": False,
    "buffer": 0,
}
# As dockerd has written them, but for shorter ids: a line, an empty line, a part of a line and its last one.
LINE = bytes.fromhex("000000170a067374646f757410bba8dda8a6eac4f5181a036f6e6500000017")
EMPTY = bytes.fromhex("000000120a067374646f757410d6a6dfa8a6eac4f51800000012")
PART_OF_ONE = bytes.fromhex("000000220a067374646f757410bddec5b8a6eac4f5181a03656e6420012a0712036162631801" + "00000022")
LAST_PART = bytes.fromhex(
    "000000240a067374646f757410bddec5b8a6eac4f5181a03656e6420012a09080112036162631802" + "00000024"
)


def records(data: bytes) -> list[Record | None]:
    frames, _ = log_local.cut(data)
    return [log_local.record(frame) for frame in frames]


def lines(path: Path, query: LogQuery | None = None) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [r.line async for r in read_logs(path, FORMS["local"], query or LogQuery(), lambda: True)]

    return asyncio.run(collect())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "container.log"


def test_a_record_is_as_dockers() -> None:
    for theirs, text in ((LINE, b"one\n"), (EMPTY, b"\n")):
        (read,) = records(theirs)
        assert read is not None
        assert (read.stream, read.line) == ("stdout", text)
        assert encode(text, in_common("stdout", {}, read.time_ns)) == theirs


def test_the_parts_of_dockers_lines_are_joined_by_their_reader() -> None:
    assert [r and r.line for r in records(PART_OF_ONE + LAST_PART)] == [b"end", b"end\n"]


pieces = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\n", b"a" * (PART - 1), b"b" * PART, b"c" * (PART + 1), LINE, LINE[:-1], b"\n\x06stdout"]),
    ),
    max_size=12,
).map(b"".join)


@given(pieces)
def test_any_output_is_read_as_it_was_said(data: bytes) -> None:
    found = records(encode(data, OUT) + encode(data, ERR))
    for stream, at in (("stdout", NOW), ("stderr", NOW + 1)):
        said = [r for r in found if r is not None and r.stream == stream]
        assert b"".join(r.line for r in said) == data
        assert {r.time_ns for r in said} <= {at}
        assert all(len(r.line) <= PART for r in said)


@given(pieces, st.integers(min_value=-10, max_value=200_000))
def test_what_fits_is_whole_records_of_which_the_last_reaches_the_limit(data: bytes, room: int) -> None:
    text = encode(data, OUT)
    if max(room, 0) > len(text) or not text:
        return
    size, count = local_records.fit(text, room)
    kept, end = log_local.cut(text[:size])
    assert (len(kept), end) == (count, size)
    assert size >= room
    assert size - len(kept[-1]) < max(room, 1)


def test_a_record_torn_at_any_byte_is_cut_and_the_next_is_found(path: Path) -> None:
    first, then = encode(b"first\n", OUT), encode(b"then\n", ERR)
    torn = encode(b"\x06stdout\x10\x01\x1a\n", OUT)  # whose length and text are as the beginning of a record
    for size in range(len(torn)):
        path.write_bytes(first + torn[:size])
        assert lines(path) == [b"first\n"]
        path.write_bytes(first + torn[:size] + then)
        assert lines(path) == [b"first\n", b"then\n"]
        path.write_bytes(first + torn[:size])
        log = LogFile(str(path), OPTIONS)
        log.mend()
        log.append(then)
        log.close()
        assert lines(path) == [b"first\n", b"then\n"]
        assert lines(path, LogQuery(tail=1)) == [b"then\n"]


@pytest.mark.parametrize("torn", [b"\0" * 3_000_000, b"\xff" * 100, LINE[:-1] * 9], ids=["zeros", "ones", "torn"])
def test_what_is_no_record_is_left_out_wherever_it_stands(path: Path, torn: bytes) -> None:
    before, after = (b"".join(encode(b"%d\n" % n, OUT) for n in numbers) for numbers in (range(50), range(50, 90)))
    path.write_bytes(before + torn + after)
    said = [b"%d\n" % n for n in range(90)]
    assert lines(path) == said
    for tail in (0, 1, 40, 41, 90, 1000):
        assert lines(path, LogQuery(tail=tail)) == said[90 - min(tail, 90) :]
    path.write_bytes(before + torn)
    log = LogFile(str(path), OPTIONS)
    log.mend()
    assert log.size == len(before)
    log.close()


def test_the_tail_of_a_large_file_is_found_from_its_end(path: Path) -> None:
    path.write_bytes(b"".join(encode(b"%d\n" % n, OUT) for n in range(20_000)) + LINE[:-2])
    assert lines(path, LogQuery(tail=9_000)) == [b"%d\n" % n for n in range(11_000, 20_000)]


def test_messages_of_other_writers_are_no_records() -> None:
    def framed(message: bytes) -> bytes:
        length = len(message).to_bytes(4, "big")
        return length + message + length

    stream = b"\x0a\x06stdout"
    wrong = (b"", b"\x0a\x06stdlog", stream[:-2], stream + b"\x10", stream + b"\x1b", stream + b"\x1a\x09x")
    for message in wrong:
        found = records(LINE + framed(message) + EMPTY)
        assert [r.line for r in found if r is not None] == [b"one\n", b"\n"]
    early = framed(b"\x0a\x06stderr\x10\x05\x1a\x01x")
    assert records(early) == [Record(5, "stderr", b"x\n")]
