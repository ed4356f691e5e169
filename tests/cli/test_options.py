"""The command line as Docker's clients read it."""

from __future__ import annotations

import pytest

from wherry_cli.errors import FlagError
from wherry_cli.options import Option, Values, parse

OPTIONS = (
    Option("all", "a", "bool", "All."),
    Option("quiet", "q", "bool", "Quiet."),
    Option("name", "n", "string", "Name."),
    Option("label", "l", "list", "Labels."),
    Option("gateway", "", "strings", "Gateways."),
    Option("count", "c", "int", "Count.", 7),
    Option("memory", "m", "bytes", "Memory."),
    Option("interval", "", "duration", "Interval."),
    Option("filter", "f", "filter", "Filters."),
    Option("old-name", "", "string", "", target="name"),
)


def read(*words: str, interspersed: bool = True) -> tuple[Values, list[str]]:
    return parse(OPTIONS, words, interspersed=interspersed)


def test_long_flags_take_their_value_after_a_space_or_an_equals_sign() -> None:
    values, rest = read("--name", "x", "--count=3", "--all", "word")
    assert (values["name"], values["count"], values["all"], rest) == ("x", 3, True, ["word"])


def test_short_flags_join_and_take_their_value_in_three_ways() -> None:
    assert read("-aqnx")[0]["name"] == "x"
    assert read("-aqn", "x")[0]["name"] == "x"
    assert read("-n=x")[0]["name"] == "x"
    assert read("-aq")[0]["quiet"] is True


def test_truth_values_can_be_said() -> None:
    assert read("--all=false")[0]["all"] is False
    assert read("-a=1")[0]["all"] is True


def test_lists_collect_and_comma_lists_split() -> None:
    values, _ = read("-l", "a=b,c", "--label", "d", "--gateway", "1,2", "--gateway", "3")
    assert values["label"] == ["a=b,c", "d"]
    assert values["gateway"] == ["1", "2", "3"]


def test_values_are_converted() -> None:
    values, _ = read("-m", "1.5g", "--interval", "1m30s", "-c", "-4")
    assert (values["memory"], values["interval"], values["count"]) == (1610612736, 90 * 10**9, -4)


def test_what_was_not_given_has_its_default() -> None:
    values, _ = read()
    assert (values["count"], values["name"], values["label"], values.given) == (7, "", [], set())


def test_an_old_name_sets_the_new_one() -> None:
    assert read("--old-name", "x")[0]["name"] == "x"


def test_two_dashes_end_the_flags() -> None:
    assert read("a", "--", "-a")[1] == ["a", "-a"]


def test_the_first_word_ends_the_flags_where_a_command_follows() -> None:
    values, rest = read("-a", "image", "-q", interspersed=False)
    assert (values["all"], values["quiet"], rest) == (True, False, ["image", "-q"])


def test_help_is_always_known() -> None:
    assert "help" in read("--help")[0].given
    assert "help" in read("-h")[0].given


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-z"], "unknown shorthand flag: 'z' in -z"),
        (["-az"], "unknown shorthand flag: 'z' in -az"),
        (["--name"], "flag needs an argument: --name"),
        (["-n"], "flag needs an argument: 'n' in -n"),
        (["-c", "x"], 'invalid argument "x" for "-c, --count" flag: a whole number is expected'),
        (["-m", "much"], 'invalid argument "much" for "-m, --memory" flag: invalid size: \'much\''),
        (["-f", "x"], 'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)'),
        (["--all=perhaps"], 'invalid argument "perhaps" for "-a, --all" flag: say true or false'),
    ],
)
def test_mistakes_are_named(words: list[str], text: str) -> None:
    with pytest.raises(FlagError) as caught:
        read(*words)
    assert str(caught.value) == text
