"""Signals by name and number."""

from __future__ import annotations

import signal

import pytest

from wherry.errors import Invalid
from wherry_engine.engine.signals import parse_signal


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("15", 15), ("RTMIN", signal.SIGRTMIN), ("64", 64),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3), ("RTMAX-1", signal.SIGRTMAX - 1),
    ],
)  # fmt: skip
def test_a_signal_is_found_by_its_names_and_its_number(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["NOSUCH", "", "0", "SIG", "RTMIN-1", "RTMAX+1", "RTMIN+40", "1.5"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=f"invalid signal: {text.replace('+', '.')}"):
        parse_signal(text)


@pytest.mark.parametrize("text", ["65", "99", "-1"])
def test_a_number_that_linux_has_not_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=f"the linux daemon does not support signal {text}"):
        parse_signal(text)
