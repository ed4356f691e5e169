"""The bridge driver: private networks on one host, led outwards by masquerading and inwards by published ports."""

from wherry_network.bridge.driver import Driver

__all__ = ["Driver"]
