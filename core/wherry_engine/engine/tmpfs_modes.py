"""What a tmpfs takes over from the image's directory that it hides: its mode, so that /run stays what it was."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from wherry.linux.openat2 import openat2


def hidden_modes(rootfs: Path, paths: Iterable[str]) -> dict[str, int]:
    """The modes of those of these paths that are directories in the image. What is not there has the runtime's."""
    found = {}
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            try:
                at = openat2(root, path.lstrip("/"), os.O_PATH | os.O_DIRECTORY)
            except OSError:  # missing, a file, or a link in a circle: the runtime makes it, or tells why it cannot
                continue
            found[path] = stat.S_IMODE(os.fstat(at).st_mode)
            os.close(at)
    finally:
        os.close(root)
    return found
