"""Query strings as Docker's API reads them, without urllib (5 ms to import)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quote(text: str, safe: str = "") -> str:
    """Percent-encode all but letters, digits, -._~ and `safe` (RFC 3986)."""
    plain = _PLAIN | frozenset(safe.encode())
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))


def encode_query(query: Mapping[str, object] | None) -> str:
    """`?a=1&b=x`, sorted; None, False and empty texts are left out, True is 1, lists repeat their name."""
    pairs: list[str] = []
    for name, value in sorted((query or {}).items()):
        for item in value if isinstance(value, list) else [value]:
            if item is not None and item is not False and item != "":
                pairs.append(f"{quote(name)}={quote('1' if item is True else str(item))}")
    return "?" + "&".join(pairs) if pairs else ""
