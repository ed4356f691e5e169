"""What a helper writes, as a stream of bytes; and a stream of bytes, as what a helper reads."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress

from wherry_engine.engine.processes import Processes

_PIPE = 1 << 20  # bytes; the most that a pipe may hold by default
_DEADLINE = 6 * 3600.0  # s for a whole stream, whose speed is the client's


async def job_stream(
    processes: Processes, name: str, arguments: Mapping[str, object], fds: Sequence[int] = ()
) -> AsyncGenerator[bytes, None]:
    """What the job writes into its first descriptor, a pipe. Raises the job's error at the end of its output.

    Whoever closes the iterator ends the helper.
    """
    read, write = _pipe()
    os.set_blocking(read, False)
    job = asyncio.create_task(processes.job(name, arguments, (write, *fds), _DEADLINE))
    job.add_done_callback(lambda _: os.close(write))  # until then the helper's copy may not have arrived
    try:
        while data := await _read(read):
            yield data
        await job
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        os.close(read)


async def job_fed(
    processes: Processes, name: str, arguments: Mapping[str, object], stream: AsyncIterator[bytes],
    fds: Sequence[int] = (),
) -> object:  # fmt: skip
    """The result of a job that reads the stream from its first descriptor. A job that ends early ends the reading."""
    read, write = _pipe()
    os.set_blocking(write, False)
    job = asyncio.create_task(processes.job(name, arguments, (read, *fds), _DEADLINE))
    job.add_done_callback(lambda _: os.close(read))  # then a writer finds nobody who reads
    try:
        with suppress(BrokenPipeError):  # the job's own error says why it reads no more
            async for data in stream:
                await _write(write, data)
        os.close(write)
        write = -1
        return await job
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        if write >= 0:
            os.close(write)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):  # the user's pipes hold too much already: it stays smaller
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE)
    return read, write


async def _read(pipe: int) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(pipe, _PIPE)
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_reader(pipe, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(pipe)


async def _write(pipe: int, data: bytes) -> None:
    loop, view = asyncio.get_running_loop(), memoryview(data)
    while view:
        try:
            view = view[os.write(pipe, view) :]
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_writer(pipe, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_writer(pipe)
