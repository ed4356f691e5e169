"""The storage driver vfs: every snapshot is a whole tree of its own.

It needs nothing of the host but a file system, and takes the most space and time. It is here for hosts where overlayfs
does not work, to check other drivers against, and to be read: whoever writes a storage driver finds in `driver.py` all
that one must do, in the order in which the engine asks for it.
"""

from wherry_storage.vfs.driver import Driver

__all__ = ["Driver"]
