"""Observers see every driver call afterwards; they can change none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import attrs

from wherry.spec.base import hookimpl, hookspec

__all__ = ["DriverCall", "Observer", "hookimpl"]


@attrs.frozen(kw_only=True)
class DriverCall:
    """One call of one hook; secret values are masked."""

    family: str
    driver: str
    hook: str
    arguments: Mapping[str, Any]
    seconds: float
    error: BaseException | None


class Observer(ABC):
    """Sees every driver call. Group `wherry.observer.v1`. What it raises is reported and changes nothing."""

    @hookspec
    @abstractmethod
    def called(self, call: DriverCall) -> None:
        """A driver's hook has returned or raised."""
