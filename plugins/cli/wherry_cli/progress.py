"""The engine's reports on a long job (load, import, pull), shown as lines, or as one line per layer on a terminal."""

from __future__ import annotations

import os

from wherry_cli import terminal
from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO


def show(reports: Iterable[Any], target: TextIO, *, quiet: bool = False) -> None:
    """Write reports to `target` as they come. Raises CliError when one is the job's failure."""
    lively = os.isatty(target.fileno())
    lines: dict[str, int] = {}
    for report in reports:
        if report.get("error") or report.get("errorDetail"):
            raise CliError(str(report.get("error") or report["errorDetail"].get("message", "")))
        if quiet:
            continue
        identity = str(report.get("id") or "")
        if lively and identity and _status(report):
            _redraw(target, lines, identity, _fitted(report, target))
            continue
        if not report.get("id"):
            lines.clear()
        text = _line(report, lively)
        if text:
            target.write(text)
            target.flush()


def _status(report: Any) -> bool:
    return bool(report.get("status"))


def _line(report: Any, lively: bool) -> str:
    if "stream" in report:
        return str(report["stream"])
    bar = report.get("progress") or ""
    if report.get("progressDetail") and not lively:
        return ""  # a bar that cannot be redrawn only fills the screen
    identity = f"{report['id']}: " if report.get("id") else ""
    status = report.get("status", "")
    if not identity and not status:
        return ""
    return f"{identity}{status}{' ' + bar if bar else ''}" + ("" if lively and identity else "\n")


def _fitted(report: Any, target: TextIO) -> str:
    """The line within the terminal's width, for one that goes on below cannot be redrawn: the bar goes first."""
    text, columns = _line(report, True), (terminal.size(target.fileno()) or (0, 0))[1]
    if not columns or len(text) <= columns:
        return text
    bar, bracket, figures = (report.get("progress") or "").rpartition("]")
    return text.replace(f" {bar}{bracket}", "")[:columns] if figures else text[:columns]


def _redraw(target: TextIO, lines: dict[str, int], identity: str, text: str) -> None:
    """Write `text` on the line of `identity`, counted from the cursor, which stays below all lines."""
    if identity not in lines:
        lines[identity] = len(lines)
        target.write("\n")
    up = len(lines) - lines[identity]
    target.write(f"\x1b[{up}A\r\x1b[2K{text}\r\x1b[{up}B")
    target.flush()
