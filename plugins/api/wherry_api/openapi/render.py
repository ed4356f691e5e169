"""Renders the API document as a page for people, docs/api.md: `python -m wherry_api.openapi.render > docs/api.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from wherry_api.openapi import COMMON_RESPONSES, METHODS, document, resolve

PREFACE = """\
<!-- Made from plugins/api/wherry_api/openapi by `python -m wherry_api.openapi.render`. Change it there. -->

# The engine's API

A running engine serves this document to programs at `/openapi.json`.
"""


def markdown() -> str:
    """The whole page."""
    whole = document()
    lines = [PREFACE, whole["info"]["description"]]
    for tag in whole["tags"]:
        lines += [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
        for path, item in whole["paths"].items():
            for method in METHODS:
                if tag["name"] in item.get(method, {}).get("tags", ()):
                    lines += _operation(method, path, item[method])
    lines += [
        "## Shapes",
        "",
        "A shape's parts are written with dots: `Ports[]` is each of a list, `Networks{}` each of a map.",
        "",
    ]
    for name, schema in whole["components"]["schemas"].items():
        lines += _shape(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {method.upper()} {path}", "", operation["summary"], "")
    if "description" in operation:
        yield from (operation["description"].rstrip(), "")
    parameters = [resolve(p) for p in operation.get("parameters", ())]
    if parameters:
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for p in parameters:
            yield f"| `{p['name']}` | {p['in']} | {_kind(p['schema'])} | {_cell(p['description'])} |"
        yield ""
    if "requestBody" in operation:
        kinds = [f"{_kind(c['schema'])} as `{media}`" for media, c in operation["requestBody"]["content"].items()]
        yield from (f"The body is {' or '.join(kinds)}.", "")
    yield from ("| status | answer | |", "|---|---|---|")
    for status, answer in operation["responses"].items():
        if answer == COMMON_RESPONSES.get(status):  # the preface tells of them
            continue
        yield f"| {status} | {_answer(resolve(answer))} | {_cell(resolve(answer)['description'])} |"
    yield ""


def _answer(answer: Mapping[str, Any]) -> str:
    """What comes back: nothing, or a shape, or bytes of some kind."""
    for media, content in answer.get("content", {}).items():
        if media == "application/json":
            kind = _kind(content["schema"])
            return f"stream of {kind}" if content.get("x-stream") else kind
    return ", ".join(f"`{media}`" for media in answer.get("content", {}))


def _shape(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "", schema["description"], "")
    for part in schema.get("allOf", ()):
        if "$ref" in part:
            yield from (f"All of {_kind(part)}, and:", "")
    rows = list(_rows(schema, ""))
    if rows:
        yield from ("| property | type | |", "|---|---|---|", *rows, "")
    else:
        yield from (f"It is of type {_kind(schema)}.", "")


def _rows(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """A row for each property in a schema, deeper ones after their owner; a named shape has its own table."""
    for part in schema.get("allOf", ()):
        yield from _rows(part, place)
    for name, child in schema.get("properties", {}).items():
        dotted = f"{place}.{name}" if place else name
        needed = " (always)" if name in schema.get("required", ()) else ""
        text = child.get("description") or resolve(child).get("description", "")
        old = "Outdated. " if child.get("deprecated") else ""
        yield f"| `{dotted}` | {_kind(child)}{needed} | {_cell(old + text)} |"
        yield from _rows(child, dotted)
    if "items" in schema:
        yield from _rows(schema["items"], f"{place}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _rows(schema["additionalProperties"], f"{place}{{}}")


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema's type in words, linked to the table of a named shape."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" if value else "empty" for value in schema["enum"])
    types = schema.get("type", "object")
    words = [_word(kind, schema) for kind in ([types] if isinstance(types, str) else types)]
    return " or ".join(words)


def _word(kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_kind(schema['additionalProperties'])}"
    return "bytes" if schema.get("format") == "binary" else kind


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
