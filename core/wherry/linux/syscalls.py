"""The one place from which C functions and raw system calls are made: errors become OSError, integers become longs.

Integers travel as C longs, so that flags and offsets keep all their bits; a function that takes an int reads the low
half. Texts and paths travel as the file system's bytes. Everything else must be a ctypes value (or `byref` of one).
"""

from __future__ import annotations

import ctypes
import os
from functools import cache


@cache
def libc() -> ctypes.CDLL:
    """The C library of this process, with errno kept per thread."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def call(name: str, *args: object) -> int:
    """Call the libc function `name` and return its int. Raises OSError, naming the function, when that is -1."""
    result = int(getattr(libc(), name)(*map(_argument, args)))
    if result == -1:
        raise _error(name)
    return result


def syscall(number: int, *args: object) -> int:
    """Make the system call `number` and return its result. Raises OSError, naming the number, when that is -1."""
    result = int(libc().syscall(ctypes.c_long(number), *map(_argument, args)))
    if result == -1:
        raise _error(f"system call {number}")
    return result


def _argument(value: object) -> object:
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, (str, os.PathLike)):
        return os.fsencode(value)
    return value


def _error(name: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{name}: {os.strerror(code)}")
