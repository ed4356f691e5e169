"""Template text cut into pieces: literal text and the tokens of each action."""

from __future__ import annotations

import json
import re

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_COMMENT = re.compile(r"(?<=\{\{)(-\s+)?/\*.*?\*/(\s+-)?(?=\}\})", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<char>'(?:[^'\\\n]|\\.)')
      | (?P<number>[-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?|0[xX][0-9a-fA-F]+)
      | (?P<declare>:=|=)
      | (?P<mark>[(),|])
      | (?P<variable>\$\w*)
      | (?P<field>\.\w+)
      | (?P<dot>\.)
      | (?P<word>\w+)""",
    re.VERBOSE,
)


class TemplateError(Exception):
    """A template that cannot be understood (`parsing`), or asks for something that is not there."""

    def __init__(self, text: str, *, parsing: bool = False) -> None:
        super().__init__(f"template: {text}")
        self.parsing = parsing


class Token:
    """One word of an action; `at` is its offset in the template, `glued` that no space stands before it."""

    __slots__ = ("at", "glued", "kind", "text", "value")

    def __init__(self, kind: str, text: str, at: int, glued: bool) -> None:
        self.kind = kind
        self.text = text
        self.at = at
        self.glued = glued
        self.value = _literal(kind, text)


def _literal(kind: str, text: str) -> object:
    try:
        if kind == "string":
            return text[1:-1] if text[0] == "`" else json.loads(text, strict=False)
        if kind == "char":
            return ord(json.loads(f'"{text[1:-1]}"'))
        if kind == "number":
            return float(text) if "." in text or ("e" in text.lower() and "x" not in text.lower()) else int(text, 0)
    except (ValueError, TypeError):
        raise TemplateError(f":1: bad literal {text}", parsing=True) from None
    return None


def split(source: str) -> list[str | list[Token]]:
    """Literal texts and actions in turn. Raises TemplateError."""
    source = _COMMENT.sub(r'\1""\2', source)
    parts: list[str | list[Token]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[at : match.start()]
        parts.append(_trimmed(text, trim, match[1] is not None))
        parts.append(_tokens(match[2], match.start(2)))
        at, trim = match.end(), match[3] is not None
    rest = source[at:]
    if "{{" in rest:
        raise TemplateError(":1: unclosed action", parsing=True)
    parts.append(_trimmed(rest, trim, False))
    return parts


def _trimmed(text: str, left: bool, right: bool) -> str:
    text = text.lstrip(" \t\r\n") if left else text
    return text.rstrip(" \t\r\n") if right else text


def _tokens(text: str, offset: int) -> list[Token]:
    tokens: list[Token] = []
    at, glued = 0, False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            shown = "unterminated quoted string" if text[at] == '"' else f"unexpected {text[at]!r} in command"
            raise TemplateError(f":1: {shown}", parsing=True)
        if match.lastgroup == "space":
            glued = False
        else:
            tokens.append(Token(str(match.lastgroup), match[0], offset + at, glued))
            glued = True
        at = match.end()
    return tokens
