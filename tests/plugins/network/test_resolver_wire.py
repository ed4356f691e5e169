"""DNS messages: what is understood, and that anything else is only malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.network.dns_kit import answer, query, response

from wherry_network.resolver import wire
from wherry_network.resolver.wire import Malformed


def understood(data: bytes) -> bool:
    """Whether it is a query; what is none must deserve an error or nothing."""
    try:
        question = wire.parse(data)
    except Malformed as error:
        deserved = error.answer
    else:
        return data[12:].startswith(question.raw)
    return not deserved or answer(deserved).code > 0


@given(st.binary(max_size=300))
def test_any_bytes_are_a_query_or_malformed(data: bytes) -> None:
    assert understood(data)


@given(st.binary(max_size=200), st.integers(0, 30))
def test_any_change_of_a_good_query_is_a_query_or_malformed(noise: bytes, at: int) -> None:
    good = query("alpha.example", edns=1232)
    assert understood(good[:at] + noise + good[at + len(noise) :])


def test_a_query_says_what_an_answer_may_take() -> None:
    plain, extended = wire.parse(query("A.Example", 28)), wire.parse(query("x", edns=4096))
    assert (plain.name, plain.type, plain.size, plain.extended) == ("a.example", 28, 512, False)
    assert (extended.size, extended.extended) == (4096, True)
    assert wire.parse(query("x", edns=100)).size == 512
    assert wire.parse(query("")).name == ""


def test_a_label_with_a_dot_in_it_is_not_two_labels() -> None:
    raw = query("x").replace(b"\1x\0", b"\3a.b\0")
    assert wire.parse(raw).name == "a\\.b"


def test_answers_are_for_one_id_and_one_question_in_any_case() -> None:
    question = wire.parse(query("alpha.example", id=7))
    good = response(query("ALPHA.example", id=7), "192.0.2.1")
    assert wire.answers(good, 7, question)
    assert not wire.answers(good, 8, question)
    assert not wire.answers(response(query("alpha.example", 28, id=7)), 7, question)
    assert not wire.answers(query("alpha.example", id=7), 7, question)
    assert not wire.answers(b"", 7, question)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("4.3.2.1.in-addr.arpa", bytes([1, 2, 3, 4])),
        ("3.2.1.in-addr.arpa", None),
        ("256.3.2.1.in-addr.arpa", None),
        ("x.3.2.1.in-addr.arpa", None),
        ("4.3.2.1.ip6.arpa", None),
        ("2." + "0." * 23 + "1.0.0.0.0.0.d.f.ip6.arpa", bytes.fromhex("fd000001" + "00" * 11 + "02")),
        ("2." + "0." * 30 + "x.ip6.arpa", None),
        ("20." + "0." * 30 + "0.ip6.arpa", None),
        ("0." * 32 + "in-addr.arpa", None),
    ],
)
def test_a_reverse_name_is_an_address(name: str, address: bytes | None) -> None:
    assert wire.reverse_address(name) == address


def test_names_that_dns_cannot_carry_are_refused() -> None:
    assert wire.pointer_record("a.b")
    for name in ("a..b", "x" * 64, ""):
        with pytest.raises(ValueError, match="cannot be a name"):
            wire.pointer_record(name)
