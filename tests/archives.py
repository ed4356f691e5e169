"""Tar archives of a few files, made in memory."""

from __future__ import annotations

import io
import tarfile


def folder(*files: tuple[str, bytes], onto: bytes = b"") -> bytes:
    """A tar of these files, after those of the tar `onto`."""
    out = io.BytesIO(onto)
    with tarfile.open(fileobj=out, mode="a" if onto else "w") as tar:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
