"""Image references: [DOMAIN/]PATH[:TAG][@DIGEST], in the familiar form that hides docker.io/library and always has a tag."""

from __future__ import annotations

import re

import attrs

from wherry.errors import Invalid

DEFAULT_DOMAIN = "docker.io"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_HOST}(?:\.{_HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ID = re.compile(r"[0-9a-f]{64}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BAD = "invalid reference format"


@attrs.frozen
class Reference:
    """A parsed reference; `tag` and `digest` are "" where the text had none."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The familiar name without tag: busybox, localhost:5000/app."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/")

    @property
    def tagged(self) -> str:
        """The familiar name with its tag, `latest` if none was given."""
        return f"{self.repository}:{self.tag or 'latest'}"

    def __str__(self) -> str:
        text = self.repository + (f":{self.tag}" if self.tag else "")
        return f"{text}@{self.digest}" if self.digest else text


def parse_reference(text: str) -> Reference:
    """Parse what a user writes. Raises `Invalid` with the text clients know."""
    rest, _, digest = text.partition("@")
    if digest and not DIGEST.fullmatch(digest):
        raise Invalid(f"{_BAD}: {text!r} has a digest that is not sha256: and 64 hexadecimal digits")
    name, tag = rest, ""
    if ":" in rest.rpartition("/")[2]:
        name, _, tag = rest.rpartition(":")
        if not TAG.fullmatch(tag):
            raise Invalid(f"{_BAD}: {text!r} has a tag that is empty or holds other than letters, digits, _, . and -")
    first, slash, others = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        domain, path = first, others
    else:
        domain, path = DEFAULT_DOMAIN, name
    if domain in (DEFAULT_DOMAIN, "index.docker.io"):
        domain = DEFAULT_DOMAIN
        path = path if "/" in path else f"library/{path}"
    if path != path.lower():
        raise Invalid(f"{_BAD}: repository name ({path}) must be lowercase")
    if _ID.fullmatch(text):
        raise Invalid(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    if not _PATH.fullmatch(path) or not _DOMAIN.fullmatch(domain):
        raise Invalid(_BAD if not text.strip() else f"{_BAD}: {text!r} is not [HOST/]NAME[:TAG][@DIGEST]")
    if len(path) > 255:
        raise Invalid("repository name must not be more than 255 characters")
    return Reference(domain, path, tag, digest)
