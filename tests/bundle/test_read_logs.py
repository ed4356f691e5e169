"""The log reader, against the monitor's own writer: nothing lost, nothing twice, over rotations and compression."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import cast

import pytest

from wherry.linux import inotify
from wherry.model.logs import LogQuery, Record
from wherry_engine.engine.log_files import FORMS
from wherry_engine.engine.log_json import parse_time
from wherry_engine.engine.logs import read_logs
from wherry_engine.monitor.logfile import LogFile

START = 1_700_000_000_000_000_000


def record(number: int, stream: str = "stdout") -> bytes:
    at = START + number
    seconds, fraction = divmod(at, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"
    return json.dumps({"log": f"line {number}\n", "stream": stream, "time": text}).encode() + b"\n"


def form_of(path: Path) -> str:
    return "local" if path.name == "container.log" else "json-file"


def writer(path: Path, *, max_size: int = -1, max_files: int = 1, compress: bool = False) -> LogFile:
    options = {
        "max_size": max_size,
        "max_files": max_files,
        "compress": compress,
        "attributes": {},
        "non_blocking": False,
        "buffer": 0,
    }
    return LogFile(str(path), {**options, "format": form_of(path)})


def write(log: LogFile, first: int, last: int, *, hold: bool = True) -> None:
    """Write records as the monitor does. With `hold` a rotation waits until the previous file is compressed."""
    for number in range(first, last):
        if log.full:
            if hold:
                log.wait()
            log.rotate(lambda: None)
        pad = " " * 41 if log.path.endswith("container.log") else ""  # that records of both forms are of one size
        log.append(log.encode(f"line {number}{pad}\n".encode(), log.in_common("stdout", START + number)))


def numbers(records: list[Record]) -> list[int]:
    return [int(r.line.split()[1]) for r in records]


ALL, FOLLOW = LogQuery(), LogQuery(follow=True)


def read(path: Path, query: LogQuery = ALL, ended: Callable[[], bool] = lambda: True) -> list[Record]:
    async def collect() -> list[Record]:
        return [r async for r in read_logs(path, FORMS[form_of(path)], query, ended)]

    return asyncio.run(collect())


@pytest.fixture
def json_path(tmp_path: Path) -> Path:
    return tmp_path / "c-json.log"


@pytest.fixture(params=["c-json.log", "container.log"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / str(request.param)


def test_records_carry_time_stream_and_line(json_path: Path) -> None:
    json_path.write_bytes(
        record(7, "stderr") + b'{"log":"part","stream":"stdout","attrs":{"a":"b"},"time":"2026-01-02T03:04:05Z"}\n'
    )
    assert read(json_path) == [
        Record(START + 7, "stderr", b"line 7\n"),
        Record(1_767_323_045_000_000_000, "stdout", b"part"),
    ]


def test_times_have_up_to_nine_decimals() -> None:
    assert parse_time("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert parse_time("2023-11-14T22:13:20.000000007Z") == START + 7
    with pytest.raises(ValueError, match="is no time"):
        parse_time("yesterday")


def test_a_log_that_does_not_exist_is_empty(path: Path) -> None:
    assert read(path) == []


def test_torn_and_foreign_lines_are_no_records(json_path: Path) -> None:
    json_path.write_bytes(record(1) + b'{"log":"torn by a ki\n' + b"42\n" + record(2) + record(3)[:-9])
    assert numbers(read(json_path)) == [1, 2]


def test_streams_and_times_select(json_path: Path) -> None:
    json_path.write_bytes(b"".join(record(n, "stderr" if n % 2 else "stdout") for n in range(10)))
    assert numbers(read(json_path, LogQuery(stderr=False))) == [0, 2, 4, 6, 8]
    assert numbers(read(json_path, LogQuery(since_ns=START + 3, until_ns=START + 6))) == [3, 4, 5, 6]
    # As Docker: the tail is taken first.
    assert numbers(read(json_path, LogQuery(stderr=False, tail=3))) == [8]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("tail", [None, 0, 1, 30, 57, 500])
def test_the_tail_reaches_over_rotated_files(path: Path, compress: bool, tail: int | None) -> None:
    log = writer(path, max_size=2000, max_files=4, compress=compress)
    write(log, 0, 300)
    log.wait()
    log.close()
    assert sorted(os.listdir(path.parent)) == sorted(
        [path.name, *(f"{path.name}.{n}{'.gz' * compress}" for n in (1, 2, 3))]
    )
    kept = numbers(read(path))
    assert kept == list(range(kept[0], 300))
    assert 60 < len(kept) < 120
    assert numbers(read(path, LogQuery(tail=tail))) == (
        kept if tail is None else kept[len(kept) - min(tail, len(kept)) :]
    )


def test_the_tail_of_a_large_file_is_found_from_its_end(json_path: Path) -> None:
    json_path.write_bytes(b"".join(record(n) for n in range(20_000)) + b'{"log":"torn')
    assert numbers(read(json_path, LogQuery(tail=9_000))) == list(range(11_000, 20_000))


def test_a_line_longer_than_what_is_read_at_once_is_one_record(json_path: Path) -> None:
    long = json.dumps({"log": "x" * 700_000, "stream": "stdout", "time": "2026-01-02T03:04:05Z"}).encode() + b"\n"
    json_path.write_bytes(record(1) + long + record(2))
    assert [len(r.line) for r in read(json_path)] == [7, 700_000, 7]


async def follow(path: Path, work: Callable[[], None], *, pause: float = 0.0, query: LogQuery = FOLLOW) -> list[int]:
    """Follow the log while `work` runs in a thread; with `pause` the reader is slow at first."""
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    thread = threading.Thread(target=run)
    found: list[int] = []
    generator = cast(AsyncGenerator[Record, None], read_logs(path, FORMS[form_of(path)], query, done.is_set))
    thread.start()
    async for r in generator:
        found.append(int(r.line.split()[1]))
        if pause and len(found) == 1:
            await asyncio.sleep(pause)
    thread.join()
    return found


@pytest.mark.parametrize("compress", [False, True])
def test_following_loses_and_doubles_nothing_over_rotations(path: Path, compress: bool) -> None:
    log = writer(path, max_size=5_000, max_files=6, compress=compress)

    def work() -> None:
        for first in range(0, 4_000, 40):
            write(log, first, first + 40)
            time.sleep(0.001)
        log.wait()
        log.close()

    assert asyncio.run(follow(path, work)) == list(range(4_000))


def test_a_slow_reader_keeps_what_was_rotated_away(path: Path) -> None:
    log = writer(path, max_size=2_000, max_files=2)
    write(log, 0, 1)

    def work() -> None:
        for number in range(1, 1_000):
            write(log, number, number + 1)
            time.sleep(0.0002)
        log.close()

    assert asyncio.run(follow(path, work, pause=0.5)) == list(range(1_000))


def test_following_begins_before_the_first_line_and_ends_soon_after_the_last(path: Path) -> None:
    def work() -> None:
        time.sleep(0.05)
        log = writer(path)
        write(log, 0, 3)
        time.sleep(0.05)
        write(log, 3, 5)
        log.close()

    assert asyncio.run(follow(path, work)) == [0, 1, 2, 3, 4]


def test_a_log_of_one_file_begins_again_when_it_is_full(path: Path) -> None:
    log = writer(path, max_size=3_000, max_files=1)

    def work() -> None:
        for number in range(200):
            write(log, number, number + 1)
            time.sleep(0.001)
        log.close()

    found = asyncio.run(follow(path, work))
    assert found == sorted(set(found))
    assert found[0] == 0
    assert found[-1] == 199


def test_following_ends_when_the_asked_time_has_passed(json_path: Path) -> None:
    json_path.write_bytes(record(1))
    query = LogQuery(follow=True, until_ns=time.time_ns() + 100_000_000)
    assert numbers(read(json_path, query, lambda: False)) == [1]


def test_without_inotify_a_log_is_followed_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> inotify.Inotify:
        raise OSError(24, "no more instances")

    monkeypatch.setattr(inotify, "Inotify", refuse)
    log = writer(path, max_size=4_000, max_files=9)

    def work() -> None:
        for first in range(0, 200, 10):
            write(log, first, first + 10)
            time.sleep(0.01)
        log.close()

    assert asyncio.run(follow(path, work)) == list(range(200))


def test_a_reader_that_leaves_gives_up_its_descriptors(json_path: Path) -> None:
    json_path.write_bytes(record(1) + record(2))

    async def leave() -> None:
        generator = cast(
            AsyncGenerator[Record, None],
            read_logs(json_path, FORMS[form_of(json_path)], LogQuery(follow=True), lambda: False),
        )
        async for _ in generator:
            break
        await generator.aclose()
        task = asyncio.create_task(
            anext(
                cast(
                    AsyncGenerator[Record, None],
                    read_logs(json_path, FORMS[form_of(json_path)], LogQuery(follow=True, tail=0), lambda: False),
                )
            )
        )
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(leave())
    assert len(os.listdir("/proc/self/fd")) == before


def test_inotify_names_what_happened(tmp_path: Path) -> None:
    with inotify.Inotify() as watch:
        watch.watch(str(tmp_path), inotify.CREATE | inotify.MOVED_TO)
        assert watch.read() == []
        (tmp_path / "a").write_text("x")
        (tmp_path / "a").rename(tmp_path / "b")
        assert [(e.mask, e.name) for e in watch.read()] == [(inotify.CREATE, "a"), (inotify.MOVED_TO, "b")]
    watch.close()
