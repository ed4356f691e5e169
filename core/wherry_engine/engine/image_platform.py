"""Platforms: for which system and processor an image is made, and which of several fits this host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from platform import machine
from typing import Any, TypeVar

import attrs

from wherry.errors import Invalid
from wherry.model.images import Image

K = TypeVar("K")
_DEFAULT_VARIANT = {"arm64": "v8", "arm": "v7"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def architecture() -> str:
    """The host's processor, as Go and image configs spell it."""
    return _ARCHITECTURES.get(machine(), machine())


@attrs.frozen
class Platform:
    """As the OCI image specification names them; an empty variant is the usual one."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Platform:
        """From the object that descriptors and configs carry."""
        return cls(raw.get("os") or "linux", raw.get("architecture") or "", raw.get("variant") or "")

    @classmethod
    def of(cls, image: Image) -> Platform:
        """An image's own."""
        return cls(image.os, image.architecture, image.variant)

    @classmethod
    def of_host(cls) -> Platform:
        """This host's."""
        return cls("linux", architecture())

    @classmethod
    def parse(cls, text: str) -> Platform | None:
        """From a query's JSON object; None for "". Raises `Invalid`."""
        if not text:
            return None
        try:
            raw = json.loads(text)
            platform = cls.read(raw)
        except (ValueError, AttributeError) as error:
            raise Invalid(f"invalid platform: {text!r} is not an object with os and architecture") from error
        if not platform.architecture:
            raise Invalid("invalid platform: it names no architecture")
        return platform

    @classmethod
    def from_text(cls, text: str) -> Platform | None:
        """From OS/ARCHITECTURE[/VARIANT]; None for "". Raises `Invalid`."""
        parts = text.split("/")
        if not text:
            return None
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise Invalid(f"invalid platform {text!r}: write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")
        return cls(*parts)

    def matches(self, other: Platform) -> bool:
        """Whether both are the same, the usual variant being that without a name."""
        return (self.os, self.architecture, self._variant()) == (other.os, other.architecture, other._variant())

    def _variant(self) -> str:
        return self.variant or _DEFAULT_VARIANT.get(self.architecture, "")

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def best(platforms: Mapping[K, Platform], wanted: Platform) -> K | None:
    """The key of the platform that is wanted, or else of an older variant of the same processor; None for none."""
    same = {key: p for key, p in platforms.items() if (p.os, p.architecture) == (wanted.os, wanted.architecture)}
    for key, platform in same.items():
        if platform.matches(wanted):
            return key
    older = [(platform.variant, key) for key, platform in same.items() if platform.variant < wanted._variant()]
    return max(older, key=lambda pair: pair[0])[1] if older else None
