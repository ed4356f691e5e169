"""Answers of libnftables that end in their middle."""

from __future__ import annotations

import json

import pytest

from wherry_network import _nft

WHOLE = json.dumps({"nftables": [{"chain": {"family": "ip", "table": "t", "name": "c", "hook": "forward"}}]})
TORN = WHOLE[:40] + "\n"


class Library:
    """Gives these answers, and the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def set_json_output(self, wanted: bool) -> None:
        assert wanted

    def cmd(self, commands: str) -> tuple[int, str, str]:
        assert commands == "list chains"
        return 0, self.answers.pop(0) if len(self.answers) > 1 else self.answers[0], ""


def nft(*answers: str, monkeypatch: pytest.MonkeyPatch) -> _nft.Nft:
    monkeypatch.setattr(_nft, "_library", lambda: Library(*answers))
    return _nft.Nft()


def test_a_torn_answer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = nft(TORN, TORN, WHOLE, monkeypatch=monkeypatch)
    assert [chain.place for chain in asked.base_chains()] == ["ip t c"]
    asked.close()


def test_an_answer_that_stays_torn_is_an_error_that_shows_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = nft(TORN, monkeypatch=monkeypatch)
    with pytest.raises(_nft.NftError, match="no whole answer to 'list chains'; the last one ends with"):
        asked.base_chains()
    asked.close()
