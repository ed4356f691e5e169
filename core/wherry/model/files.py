"""Files of containers, as `cp` and `diff` speak of them."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class PathStat:
    """One path in a container. `mode` as in stat(2); `target` is where a link leads in the end."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    target: str = ""
