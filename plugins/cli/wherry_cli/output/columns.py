"""Columns aligned as Go's tabwriter aligns them: cells end in tabs, a column is as wide as its widest cell plus a gap."""

from __future__ import annotations

LEAST = 10
GAP = 3


def align(text: str, least: int = LEAST, gap: int = GAP) -> str:
    """`text` with its tabs replaced by spaces. A column reaches over neighbouring lines that have a tab in it."""
    lines = [line.split("\t") for line in text.split("\n")]
    out: list[list[str]] = [[] for _ in lines]
    _format(lines, out, 0, 0, len(lines), least, gap)
    return "\n".join("".join(line) for line in out)


def _format(
    lines: list[list[str]], out: list[list[str]], column: int, first: int, end: int, least: int, gap: int
) -> None:
    at = first
    while at < end:
        if len(lines[at]) <= column + 1:
            out[at].append(lines[at][column])
            at += 1
            continue
        stop = at
        while stop < end and len(lines[stop]) > column + 1:
            stop += 1
        width = max(least, *(len(lines[row][column]) + gap for row in range(at, stop)), 0)
        for row in range(at, stop):
            out[row].append(lines[row][column].ljust(width))
        _format(lines, out, column + 1, at, stop, least, gap)
        at = stop
