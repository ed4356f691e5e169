"""Runs inside a container, by the host's Python: calls every system call of three ways into the kernel, and tells what came.

Prints one JSON object: by way, by number, the error number, 0 for success, or "ran" where the call did not return (exit,
pause, sigreturn, ...). Each is called in a process of its own with arguments that are nowhere valid, twice: what depends on
the arguments shows as one of both. x86-64 only.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable

NUMBERS = (*range(600), 1000, 1023, 1024)  # the last of which no kernel has; x32's own calls begin at 512
X32 = 0x40000000
FORKS = {"x86-64": {56, 57, 58, 435}, "x32": {56, 57, 58, 435}, "i386": {2, 120, 190, 435}}
ARGUMENTS = ((-1,) * 6, (0,) * 6)
PATIENCE = 0.4  # s for a call that waits for ever
AT_ONCE = 24


def stub() -> Callable[[int, int], int]:
    """A function of a number that makes a 32-bit call with one value for all arguments."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; push rbp; mov eax,edi; mov {ebx,ecx,edx,edi,ebp},esi; int 0x80; pop rbp; pop rbx; ret
    code.write(bytes.fromhex("5355 89f8 89f3 89f1 89f2 89f7 89f5 cd80 5d5bc3"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)
    KEPT.append(code)
    return function


KEPT: list[mmap.mmap] = []
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
INT80 = stub()


def call(way: str, number: int, arguments: tuple[int, ...]) -> int:
    """The error number, or 0."""
    if way == "i386":
        result = INT80(number, arguments[0])
        return -result if -4096 < result < 0 else 0
    full = number | X32 if way == "x32" else number
    result = LIBC.syscall(ctypes.c_long(full), *map(ctypes.c_long, arguments))
    return ctypes.get_errno() if result == -1 else 0


def begin(way: str, number: int, arguments: tuple[int, ...]) -> tuple[int, int]:
    """A process that makes the call: its id, and where it says what came."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        os.close(read)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        quiet = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(quiet, fd)
        os.write(write, str(call(way, number, arguments)).encode())
    finally:
        os._exit(0)


def results(way: str, arguments: tuple[int, ...]) -> dict[str, int | str]:
    """By number."""
    # A fork without a stack of its own would return twice into this interpreter.
    waiting = [number for number in NUMBERS if number not in FORKS[way]]
    found: dict[str, int | str] = {}
    running: dict[int, tuple[int, int, float]] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number = waiting.pop(0)
            pid, read = begin(way, number, arguments)
            running[read] = (number, pid, time.monotonic() + PATIENCE)
        ready, _, _ = select.select(list(running), [], [], 0.05)
        now = time.monotonic()
        for read in [fd for fd in running if fd in ready or running[fd][2] < now]:
            number, pid, _ = running.pop(read)
            said = os.read(read, 20) if read in ready else b""
            found[str(number)] = int(said) if said else "ran"
            os.close(read)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return found


def main() -> None:
    """Print all."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    json.dump(
        {f"{way} {arguments[0]}": results(way, arguments) for way in FORKS for arguments in ARGUMENTS}, sys.stdout
    )


if __name__ == "__main__":
    main()
