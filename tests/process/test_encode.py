"""Records of the json-file format, byte for byte, and the imports of the small processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry_engine.monitor.cuts import PART, complete, head, length_of
from wherry_engine.monitor.json_records import encode, in_common, timestamp

END = in_common("stdout", {}, 1_700_000_000_120_000_000)


def logs(data: bytes) -> list[str]:
    """The texts of the records."""
    return [json.loads(line)["log"] for line in encode(data, END).splitlines()]


def one_by_one(data: bytes) -> list[bytes]:
    """The same split, as a reader of 16 KiB would make it."""
    parts: list[bytes] = []
    while data:
        newline = data.find(b"\n", 0, PART)
        size = newline + 1 if newline >= 0 else min(PART, len(data))
        parts.append(data[:size])
        data = data[size:]
    return parts


def test_a_time_has_no_trailing_zeros() -> None:
    assert timestamp(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
    assert timestamp(1_700_000_000_000_000_000) == "2023-11-14T22:13:20Z"


def test_a_record_is_as_dockers() -> None:
    assert encode(b'a\\nb "q"\t\x01\n', END) == (
        b'{"log":"a\\\\nb \\"q\\"\\t\\u0001\\n","stream":"stdout","time":"2023-11-14T22:13:20.12Z"}\n'
    )


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, 3 * PART - 1])
def test_a_line_of_16_kib_or_more_comes_in_parts(size: int) -> None:
    data = b"x\n" + b"y" * size + b"\nz\n"
    assert logs(data) == [part.decode() for part in one_by_one(data)]


pieces = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\n", b"\\n", b"\\", b"a" * (PART - 1), b"b" * PART, b"c" * (PART + 1), "é\u2028".encode()]),
    ),
    max_size=12,
).map(b"".join)


@given(pieces)
def test_any_output_becomes_the_records_that_reading_it_piecemeal_would_give(data: bytes) -> None:
    parts = one_by_one(data)
    assert logs(data) == [part.decode("utf-8", "replace") for part in parts]
    for count in range(len(parts) + 1):
        assert length_of(data, count) == len(b"".join(parts[:count]))


@given(pieces, st.integers(min_value=0, max_value=60_000))
def test_what_is_complete_now_is_cut_where_the_whole_would_be_cut(data: bytes, seen: int) -> None:
    now = complete(data[:seen], final=False)
    assert one_by_one(data[:now]) + one_by_one(data[now:]) == one_by_one(data)


@given(pieces, st.integers(min_value=1, max_value=60_000))
def test_the_head_of_output_is_enough_for_the_room_there_is_and_cut_where_the_whole_would_be(
    data: bytes, room: int
) -> None:
    first = head(data, room)
    assert one_by_one(first) + one_by_one(data[len(first) :]) == one_by_one(data)
    assert min(room, len(data)) <= len(first) <= room + PART
    assert len(encode(first, END)) >= min(room, len(data))


def test_the_small_processes_load_nothing_but_the_standard_library_and_wherry_linux() -> None:
    core = os.path.dirname(
        os.path.dirname(os.path.dirname(sys.modules["wherry_engine.monitor.json_records"].__file__ or ""))
    )
    code = (
        f"import sys; sys.path.insert(0, {core!r}); before = set(sys.modules);"
        "import wherry_engine.supervisor.main; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"wherry", "wherry_engine"}
    ours = {name for name in done.stdout.split() if name.startswith("wherry")}
    allowed = ("wherry.linux", "wherry_engine.supervisor", "wherry_engine.monitor", "wherry_engine.helper")
    assert {name for name in ours if not name.startswith(allowed)} == {"wherry", "wherry.errors", "wherry_engine"}
