"""Sizes, times, columns and JSON in Docker's spelling."""

from __future__ import annotations

import pytest

from wherry_cli.output import human
from wherry_cli.output.columns import align
from wherry_cli.output.jsontext import compact, indent, squeeze
from wherry_cli.output.natural import natural_key


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (12, "12B"),
        (999, "999B"),
        (1000, "1kB"),
        (4261550, "4.26MB"),
        (999_600, "1e+03kB"),
        (1.5e9, "1.5GB"),
        (2.1e6, "2.1MB"),
    ],
)
def test_sizes_are_in_powers_of_a_thousand(count: float, text: str) -> None:
    assert human.size(count) == text


def test_memory_is_in_powers_of_1024() -> None:
    assert human.binary_size(25217814528) == "23.49GiB"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64m", 64 << 20),
        ("1.5g", 3 << 29),
        ("4096", 4096),
        ("10MB", 10 << 20),
        ("2GiB", 2 << 30),
        ("5b", 5),
        ("1 k", 1024),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert human.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "x", "-1", "1z", "1..5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        human.parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (190, "3 minutes"),
        (3700, "About an hour"),
        (3600 * 5, "5 hours"),
        (3600 * 47, "47 hours"),
        (86400 * 3, "3 days"),
        (86400 * 20, "2 weeks"),
        (86400 * 100, "3 months"),
        (86400 * 800, "2 years"),
    ],
)
def test_durations_are_in_words(seconds: float, text: str) -> None:
    assert human.duration(seconds) == text


def test_durations_are_read() -> None:
    assert human.parse_duration("1h2m3.5s") == 3723_500_000_000
    assert human.parse_duration("250ms") == 250_000_000
    assert human.parse_duration("0") == 0
    for text in ("", "5", "m", "1x", "1m2"):
        with pytest.raises(ValueError, match="invalid duration"):
            human.parse_duration(text)


def test_times_are_taken_apart() -> None:
    instant = human.Instant("2024-05-01T10:11:12.120+02:00")
    assert instant.sentence() == "2024-05-01 10:11:12.12 +0200 +0200"
    assert instant.seconds == 1714551072
    assert human.Instant("2024-02-29T23:59:59Z").sentence() == "2024-02-29 23:59:59 +0000 UTC"
    assert human.Instant("2024-05-01T10:11:12.5Z").date_line() == "Wed May  1 10:11:12 2024"
    with pytest.raises(ValueError):
        human.Instant("yesterday")


def test_moments_are_durations_unix_times_or_dates() -> None:
    assert human.nanoseconds("10s", now=1000) == "990.000000000"
    assert human.nanoseconds("1714558272") == "1714558272"
    assert human.nanoseconds("1714558272.5") == "1714558272.500000000"
    assert human.nanoseconds("2024-05-01T10:11:12Z") == "1714558272"
    assert human.nanoseconds("2024-05-01T10:11:12.25Z") == "1714558272.250000000"
    with pytest.raises(ValueError, match="failed to parse value as time"):
        human.nanoseconds("soon")


def test_columns_are_at_least_ten_wide_and_three_apart() -> None:
    assert align("A\tB\nlonger than ten\t\nx\ty") == "A                 B\nlonger than ten   \nx                 y"
    assert align("A\tB") == "A         B"


def test_a_line_without_tabs_ends_a_column() -> None:
    assert (
        align("long long long\tx\nbreak\ta\tb".replace("break\t", "break\n"))
        == "long long long   x\nbreak\na         b"
    )


def test_json_is_indented_without_a_change_of_its_tokens() -> None:
    text = '[{"a":1.50,"b":"\\u003c {x}, :","c":{},"d":[],"e":[1,null]}]'
    assert indent(text) == (
        '[\n    {\n        "a": 1.50,\n        "b": "\\u003c {x}, :",\n        "c": {},\n        "d": [],\n        "e": [\n            1,\n'
        "            null\n        ]\n    }\n]"
    )
    assert squeeze(indent(text)) == text


def test_json_is_escaped_on_request() -> None:
    assert compact({"b": "<ä&>", "a": 1}, escape=True, sort=True) == '{"a":1,"b":"\\u003cä\\u0026\\u003e"}'
    assert compact({"b": "<"}) == '{"b":"<"}'


def test_numbers_in_names_sort_as_numbers() -> None:
    assert sorted(["net10", "net2", "bridge", "net"], key=natural_key) == ["bridge", "net", "net2", "net10"]
