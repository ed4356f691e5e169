"""Starting programs without a fork of this process's memory, by posix_spawn(3)."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from wherry.linux.steps import effect
from wherry.linux.syscalls import call

_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
_ROOM = 1024  # bytes; the C library's posix_spawnattr_t has 336, its file actions 80, and its signal sets 128


def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    stdio: Sequence[int],
    *,
    program: str = "",
    new_session: bool = False,
) -> int:
    """Start a program with these three descriptors as 0, 1 and 2 and with no signal ignored or blocked; its pid.

    `program` is the file to be executed, if that is not `argv[0]`.

    Not os.posix_spawn: that cannot name the two signals that the C library keeps to itself, which then would be
    ignored in all that the program starts.
    """
    effect("spawn", *argv)
    attributes, actions = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
    flags = _SETSIGDEF | _SETSIGMASK | (_SETSID if new_session else 0)
    _checked("posix_spawnattr_init", attributes)
    _checked("posix_spawn_file_actions_init", actions)
    try:
        _checked("posix_spawnattr_setsigdefault", attributes, ctypes.create_string_buffer(b"\xff" * _ROOM))
        _checked("posix_spawnattr_setsigmask", attributes, ctypes.create_string_buffer(_ROOM))
        _checked("posix_spawnattr_setflags", attributes, flags)
        for number, fd in enumerate(stdio):
            _checked("posix_spawn_file_actions_adddup2", actions, fd, number)
        pid = ctypes.c_int()
        texts = _texts(f"{name}={text}" for name, text in environment.items())
        _checked("posix_spawn", ctypes.byref(pid), program or argv[0], actions, attributes, _texts(argv), texts)
        return pid.value
    finally:
        _checked("posix_spawnattr_destroy", attributes)
        _checked("posix_spawn_file_actions_destroy", actions)


def _checked(name: str, *arguments: object) -> None:
    """These functions return the error's number instead of setting errno."""
    code = call(name, *arguments)
    if code:
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _texts(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(text) for text in texts]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def interpreter(function: str) -> list[str]:
    """The command line of a light interpreter that calls `package.module:function` with its arguments as a list.

    Nothing of site-packages' start-up code runs there: it finds its modules in the folders from which this process has
    loaded that package.
    """
    module, _, name = function.partition(":")
    packages = (module.partition(".")[0], "wherry")
    folders = [os.path.dirname(path) for package in packages for path in sys.modules[package].__path__]
    code = f"import sys; sys.path[:0] = {list(dict.fromkeys(folders))!r}; from {module} import {name}; {name}(sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", code]


def spawn_detached(argv: Sequence[str], environment: Mapping[str, str], log: int) -> int:
    """Start a program in a session of its own, which outlives us, with its output going to `log`; its pid."""
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return spawn(argv, environment, (null, log, log), new_session=True)
    finally:
        os.close(null)
