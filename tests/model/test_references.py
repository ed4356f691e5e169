"""Image references in familiar form."""

import pytest

from wherry.errors import Invalid
from wherry.model.references import parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1.35", "busybox:1.35"),
        ("docker.io/library/busybox", "busybox:latest"),
        ("docker.io/me/app:x", "me/app:x"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("registry.example.com/team/app:1.0", "registry.example.com/team/app:1.0"),
        ("a/b/c", "a/b/c:latest"),
    ],
)
def test_a_reference_has_one_familiar_form(text: str, tagged: str) -> None:
    assert parse_reference(text).tagged == tagged


def test_a_digest_is_kept() -> None:
    parsed = parse_reference(f"busybox:1@{DIGEST}")
    assert (parsed.repository, parsed.tag, parsed.digest) == ("busybox", "1", DIGEST)


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a b", "a:", ":x", "a//b", "-a", "a@sha256:12", "a:" + "x" * 129, "a\0b", "../a"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="invalid reference format"):
        parse_reference(text)
