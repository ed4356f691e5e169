"""The storage driver overlay2: each snapshot is a layer, and overlayfs shows them as one tree."""

from wherry_storage.overlay2.driver import Driver

__all__ = ["Driver"]
