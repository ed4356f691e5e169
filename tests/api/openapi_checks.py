"""Checks of answers and routes against the API document, and against what dockerd's answers have.

`validate` and `missing_properties` are called on every response that tests receive; each gives a list of faults, empty
if there are none. Properties have dotted names: `State.Health`, `Ports[].Type` of a list's items, `Networks{}.Gateway`
of a map's values; an answer that is a list begins with `[]`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from wherry_api.openapi import document, operations, resolve

HERE = Path(__file__).parent
RECORDED = HERE / "docker_properties.json"
EXCEPTIONS = HERE / "property_exceptions.toml"

VERSION_PREFIX = re.compile(r"^/v(\d+\.\d+|\{(?:[^{}]|\{[^{}]*\})*\})(?=/)")
TEMPLATE_PART = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}")


class Operation(NamedTuple):
    """One operation of the document. `key` is as in the records: `GET /containers/{id}/json`."""

    key: str
    node: Mapping[str, Any]


class Instance(NamedTuple):
    """One JSON object in an answer: its place (`Ports[]`), its properties, and those of them that are not documented.

    The keys of a map are data, not properties.
    """

    place: str
    names: frozenset[str]
    unknown: frozenset[str] = frozenset()


def find(method: str, path: str) -> Operation | None:
    """The operation that a request is for; a version in front of the path and a query behind it do not matter."""
    bare = VERSION_PREFIX.sub("", path.partition("?")[0])
    for pattern, template, item in _patterns():
        if method.lower() in item and pattern.fullmatch(bare):
            return Operation(f"{method.upper()} {template}", item[method.lower()])
    return None


def validate(method: str, path: str, status: int, body: bytes) -> list[str]:
    """What is wrong with a response: an operation, status or property that is not documented, or a body of another shape."""
    operation = find(method, path)
    if operation is None:
        return _unknown_route(method, path, status, body)
    answer = resolve(operation.node["responses"].get(str(status)))
    if answer is None:
        return [f"{operation.key}: status {status} is not documented"]
    if status == 101 or method.upper() == "HEAD":
        return []
    media = answer.get("content", {})
    if not media:
        return [f"{operation.key} {status}: has a body, documented is none"] if body else []
    if "application/json" not in media:
        return []
    try:
        values = decode(body, stream=media["application/json"].get("x-stream", False))
    except ValueError as error:
        return [f"{operation.key} {status}: is no JSON: {error}"]
    schema = media["application/json"]["schema"]
    return [f"{operation.key} {status}: {fault}" for value in values for fault in _faults(value, schema)]


def missing_properties(method: str, path: str, body: bytes, status: int = 200) -> list[str]:
    """Which properties dockerd's answer to the same request always has and this one lacks, exceptions apart."""
    operation = find(method, path)
    if operation is None or status >= 300 or operation.key not in recorded():
        return []
    always = recorded()[operation.key]["always"]
    excepted = exceptions().get(operation.key, {})
    lacking: set[str] = set()
    for instance in instances(operation, status, body):
        for name in always:
            place, last = split(name)
            if place == instance.place and last not in instance.names and name not in excepted:
                lacking.add(name)
    return [f"{operation.key}: {name} missing, dockerd has it" for name in sorted(lacking)]


def properties(method: str, path: str, body: bytes, status: int = 200) -> set[str]:
    """The dotted names of all that an answer has."""
    operation = find(method, path)
    if operation is None or status >= 300:
        return set()
    return {join(i.place, name) for i in instances(operation, status, body) for name in i.names}


def never_shown(seen: Mapping[str, Iterable[str]]) -> list[str]:
    """Properties that dockerd's answers have in some cases and no answer in `seen` (names by operation) ever had."""
    lacking = []
    for key, names in seen.items():
        if key in recorded():
            wanted = set(recorded()[key]["sometimes"]) - set(exceptions().get(key, {})) - set(names)
            lacking += [f"{key}: {name} never shown, dockerd has it in some cases" for name in sorted(wanted)]
    return lacking


def undocumented(routes: Iterable[tuple[str, str]]) -> list[str]:
    """Routes (method, path template) that the document lacks. A HEAD that comes with a documented GET is none."""
    known = {(method, _normal(path)) for method, path in operations()}
    asked = [(method.upper(), _normal(path)) for method, path in routes]
    return sorted({f"{m} {p}" for m, p in asked if (m, p) not in known and not (m == "HEAD" and ("GET", p) in known)})


def unrouted(routes: Iterable[tuple[str, str]]) -> list[str]:
    """Documented operations that have no route."""
    asked = {(method.upper(), _normal(path)) for method, path in routes}
    return sorted(f"{method} {path}" for method, path in operations() if (method, _normal(path)) not in asked)


def instances(operation: Operation, status: int, body: bytes) -> Iterator[Instance]:
    """Each JSON object of a response's body, with its place."""
    answer = resolve(operation.node["responses"].get(str(status), {}))
    media = answer.get("content", {}).get("application/json")
    if media is not None:
        for value in decode(body, stream=media.get("x-stream", False)):
            yield from walk(value, media["schema"])


def walk(value: Any, schema: Any, place: str = "") -> Iterator[Instance]:
    """The objects in a value, as the schema sees them. Without a schema's word an object is not looked into."""
    known, items, others = shape(schema)
    if isinstance(value, list) and items is not None:
        for item in value:
            yield from walk(item, items, f"{place}[]")
    elif isinstance(value, dict) and (known or others is not None):
        other_names = frozenset(value) - frozenset(known)
        yield (
            Instance(place, frozenset(value), other_names)
            if others is None
            else Instance(place, frozenset(value) - other_names)
        )
        for name, child in value.items():
            if name in known:
                yield from walk(child, known[name], join(place, name))
            elif others is not None:
                yield from walk(child, others, f"{place}{{}}")


def shape(schema: Any) -> tuple[dict[str, Any], Any, Any]:
    """A schema's named properties, the schema of its items, and that of a map's values, alternatives included."""
    node = resolve(schema)
    known = dict(node.get("properties", {}))
    items = node.get("items")
    others = node.get("additionalProperties")
    for part in (*node.get("allOf", ()), *node.get("anyOf", ())):
        more, part_items, part_others = shape(part)
        known.update(more)
        items = part_items if items is None else items
        others = part_others if others is None else others
    return known, items, others


def decode(body: bytes, *, stream: bool) -> list[Any]:
    """The JSON values of a body: one, or any number one after the other."""
    if not stream:
        return [json.loads(body)]
    text, values = body.decode().lstrip(), []
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        values.append(value)
        text = text[end:].lstrip()
    return values


def join(place: str, name: str) -> str:
    """The dotted name of what an object at `place` has as `name`. A dot in the name itself is kept."""
    return f"{place}.{name}" if place else name


def split(dotted: str) -> tuple[str, str]:
    """A dotted name's place and last name."""
    place, _, name = dotted.rpartition(".")
    return place, name


@cache
def recorded() -> dict[str, dict[str, list[str]]]:
    """What dockerd's answers have, by operation: names each object at that place had, and names that some had."""
    tree: dict[str, dict[str, list[str]]] = json.loads(RECORDED.read_text())
    return tree


@cache
def exceptions() -> dict[str, dict[str, str]]:
    """Properties that dockerd has and we do not mean to have, by operation, each with the reason."""
    return tomllib.loads(EXCEPTIONS.read_text())


def _faults(value: Any, schema: Any) -> Iterator[str]:
    for error in _validator(json.dumps(schema)).iter_errors(value):
        yield f"{error.json_path}: {error.message[:300]}"
    for instance in walk(value, schema):
        for name in sorted(instance.unknown):
            yield f"{join(instance.place, name)} is not documented"


def _unknown_route(method: str, path: str, status: int, body: bytes) -> list[str]:
    """What no operation is for may only be refused, in the usual shape."""
    if status not in (400, 404, 405):
        return [f"{method.upper()} {path}: not documented, and answered with {status}"]
    if method.upper() == "HEAD":
        return []
    schema = {"$ref": "#/components/schemas/Error"}
    return [f"{method.upper()} {path} {status}: {fault}" for fault in _faults(json.loads(body), schema)]


@cache
def _validator(schema: str) -> Draft202012Validator:
    # The schema's own references begin at the document's root, so its root gets what they lead to.
    return Draft202012Validator({**json.loads(schema), "components": document()["components"]})


@cache
def _patterns() -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
    """Each path as a pattern, those with the fewest variables first, so that /images/json is no image's name."""
    found = []
    for template, item in document()["paths"].items():
        slashes = {
            p["name"]
            for operation in item.values()
            for p in map(resolve, operation.get("parameters", ()))
            if p.get("x-slashes")
        }
        parts = [
            (".+" if part[1:-1] in slashes else "[^/]+") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]*\})", template)
        ]
        found.append((re.compile("".join(parts)), template, item))
    return sorted(found, key=lambda entry: (entry[1].count("{"), -entry[1].count("/")))


def _normal(path: str) -> str:
    return TEMPLATE_PART.sub("{}", VERSION_PREFIX.sub("", path)) or "/"
