"""How layers are named.

A chain id says what a stack of layers holds: that of the base is its diff id, that of the next is the digest of
"PARENT DIFF" (OCI image specification, Layer ChainID). Snapshots carry its hexadecimal digits as their name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, base first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else ""
        chain.append("sha256:" + hashlib.sha256(text.encode()).hexdigest() if chain else diff_id)
    return tuple(chain)


def snapshot_name(chain_id: str) -> str:
    """The name of the committed snapshot that holds this chain."""
    return chain_id.rpartition(":")[2]
