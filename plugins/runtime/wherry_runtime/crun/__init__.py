"""The runtime driver `crun`: starts a container in a third of runc's time."""

from wherry_runtime.crun.driver import Driver

__all__ = ["Driver"]
