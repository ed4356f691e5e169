"""What an image made of a container is to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class CommitSpec:
    """What the image is called and says. `config` overrides what the container has, field by field (as in a config blob)."""

    repository: str = ""
    tag: str = ""
    author: str = ""
    comment: str = ""
    changes: Sequence[str] = ()
    pause: bool = True  # a running container stands still meanwhile
    config: Mapping[str, Any] = attrs.field(factory=dict)
