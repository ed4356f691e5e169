"""The volume driver local: folders of this host, and what mount(8) can mount."""

from wherry_volume.local.driver import Driver

__all__ = ["Driver"]
