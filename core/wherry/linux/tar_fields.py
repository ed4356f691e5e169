"""The fields of tar headers: numbers in octal or base 256, texts, and the records of PAX extended headers."""

from __future__ import annotations

import re
import zlib

from wherry.errors import Invalid

Records = dict[bytes, bytes]

_XATTR = b"SCHILY.xattr."
_DECIMAL = re.compile(rb"\d{1,20}")
_TIME = re.compile(rb"(-?)(\d{1,18})(?:\.(\d*))?")
_ADLER_BASE = 65521
_SPARSE_PAIRS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")


def text(field: bytes) -> bytes:
    """What stands before the first NUL."""
    return field.partition(b"\0")[0]


def number(field: bytes, what: str) -> int:
    """A number in octal digits, or in base 256 if its first bit is set (then perhaps negative). Raises `Invalid`."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(1 << (8 * len(field) - 1))
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    octal = _octal(field)
    if octal is None:
        raise Invalid(f"the archive is damaged: {what} {field!r} is not a number")
    return octal


def decimal(value: bytes, what: str) -> int:
    """A PAX number: decimal digits. Raises `Invalid`."""
    if not _DECIMAL.fullmatch(value):
        raise Invalid(f"the archive is damaged: {what} {value[:40]!r} is not a number")
    return int(value)


def nanoseconds(value: bytes) -> int:
    """A PAX time, in decimal seconds with any number of places. Raises `Invalid`."""
    found = _TIME.fullmatch(value)
    if found is None:
        raise Invalid(f"the archive is damaged: {value[:40]!r} is not a time")
    sign, seconds, fraction = found.groups(b"")
    total = int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return -total if sign else total


def check_sum(header: bytes) -> None:
    """Raise `Invalid` if the header's checksum is not the sum of its bytes, the checksum itself read as spaces."""
    field = header[148:156]
    stored = _octal(field)
    # Adler-32's low half is one more than the sum of the bytes, modulo 65521: many times faster than sum().
    if stored is not None:
        if zlib.adler32(header) & 0xFFFF == (stored + sum(field) - 8 * 0x20 + 1) % _ADLER_BASE:
            return
        # Some old writers summed signed characters.
        if stored == sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:]) + 8 * 0x20:
            return
    raise Invalid("this is not a tar archive, or it is damaged: the checksum of a header is wrong")


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0") or b"0"
    if not digits.isdigit():  # int() would take signs and underscores too
        return None
    try:
        return int(digits, 8)
    except ValueError:
        return None


def records(data: bytes) -> Records:
    """The records `LENGTH KEY=VALUE\\n` of a PAX header. Raises `Invalid`."""
    found: Records = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > 0 else b""
        end = at + (int(digits) if _DECIMAL.fullmatch(digits) else 0)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space + 1 or end > len(data) or data[end - 1] != 0x0A or not equals:
            raise Invalid("the archive is damaged: an extended header is not made of records")
        if key in _SPARSE_PAIRS:  # the one kind of record that repeats
            key, value = b"GNU.sparse.map", b",".join(filter(None, [found.get(b"GNU.sparse.map"), value]))
        if value or key.startswith(_XATTR):
            found[key] = value
        else:  # an empty value takes back an earlier one
            found.pop(key, None)
        at = end
    return found


def extended_attributes(found: Records) -> list[tuple[str, bytes]]:
    """The extended attributes among the records. Raises `Invalid` for a name that cannot be one."""
    attributes = []
    for key, value in found.items():
        if key.startswith(_XATTR):
            name = key[len(_XATTR) :]
            if not name or b"\0" in name or len(name) > 255 or len(value) > 65536:
                raise Invalid(f"the archive has an extended attribute that cannot be: {name[:40]!r}")
            attributes.append((name.decode("utf-8", "surrogateescape"), value))
    return attributes
