"""Sparse files in tar archives: where the data that is there belongs, in GNU's old form and its three PAX forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wherry.errors import Invalid
from wherry.linux.tar_fields import Records, decimal, number

Extent = tuple[int, int]  # offset, length

_MOST = 1 << 17  # extents of one file: a list of two mebibytes in the densest form
_BLOCK = 512


def extents_in_header(header: bytes, take: Callable[[int], bytes]) -> tuple[list[Extent], int]:
    """The old form: four extents in the header, 21 in each block after it. Returns them and the file's length."""
    found = _fields(header[386:482])
    more = header[482]
    while more:
        block = take(_BLOCK)
        found += _fields(block[:504])
        more = block[504]
        _limit(len(found))
    return found, number(header[483:495], "real size")


def extents_in_records(given: Records) -> list[Extent]:
    """PAX forms 0.0 and 0.1: numbers in the record GNU.sparse.map."""
    numbers = given[b"GNU.sparse.map"].split(b",")
    _limit(len(numbers) // 2)
    return _pairs([decimal(value, "sparse map") for value in numbers if value])


def extents_in_data(take: Callable[[int], bytes]) -> tuple[list[Extent], int]:
    """PAX form 1.0: lines before the data, filled up to a block. Returns the extents and how many bytes that took."""
    lines: list[bytes] = []
    text = b""
    taken = 0
    wanted = 1
    while len(lines) < wanted:
        text += take(_BLOCK)
        taken += _BLOCK
        *whole, text = text.split(b"\n")
        lines += whole
        if lines:
            count = decimal(lines[0], "sparse map")
            _limit(count)
            wanted = 1 + 2 * count
        elif len(text) > 20:
            raise Invalid("the archive is damaged: a sparse map does not begin with a number")
    return _pairs([decimal(line, "sparse map") for line in lines[1:wanted]]), taken


def check_extents(extents: Sequence[Extent], stored: int, length: int) -> None:
    """Raise `Invalid` unless the extents are in order, within `length`, and hold `stored` bytes in all."""
    end = total = 0
    for offset, count in extents:
        if offset < end or count < 0:
            raise Invalid("the archive is damaged: the parts of a sparse file overlap")
        end = offset + count
        total += count
    if end > length or total != stored or length >= 1 << 63:
        raise Invalid("the archive is damaged: a sparse map does not fit its file")


def _fields(data: bytes) -> list[Extent]:
    pairs = (data[at : at + 24] for at in range(0, len(data), 24))
    return [(number(pair[:12], "offset"), number(pair[12:], "length")) for pair in pairs if pair[0]]


def _pairs(numbers: Sequence[int]) -> list[Extent]:
    if len(numbers) % 2:
        raise Invalid("the archive is damaged: a sparse map has an offset without a length")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _limit(count: int) -> None:
    if count > _MOST:
        raise Invalid(f"a sparse file in the archive has more than {_MOST} parts")
