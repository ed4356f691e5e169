"""The engine's own description of its API: readable parts in YAML, put together into one OpenAPI document."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

METHODS = ("get", "head", "post", "put", "delete")
PATHS = (
    "system",
    "containers",
    "container_files",
    "execs",
    "images",
    "networks",
    "volumes",
    "plugins",
    "swarm",
    "wherry",
)
SCHEMAS = (
    "common",
    "system",
    "containers",
    "execs",
    "configs",
    "host_config",
    "resources",
    "stats",
    "images",
    "networks",
    "volumes",
    "plugins",
    "cluster",
    "wherry",
)

# What any operation may answer; the paths' files list the rest.
COMMON_RESPONSES = {
    status: {"$ref": f"#/components/responses/{name}"}
    for status, name in {"400": "BadRequest", "500": "Fault", "501": "Unsupported", "503": "Unavailable"}.items()
}


@cache
def document() -> dict[str, Any]:
    """The whole document, read once. Callers share it and must not change it."""
    here = files(__name__)
    whole = _read(here / "root.yaml")
    shared = _read(here / "shared.yaml")
    whole["paths"] = _merged(here / "paths", PATHS)
    whole["components"] = {**shared, "schemas": _merged(here / "schemas", SCHEMAS)}
    for item in whole["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            for status, answer in COMMON_RESPONSES.items():
                responses.setdefault(status, answer)
            operation["responses"] = dict(sorted(responses.items()))
    return whole


@cache
def document_json() -> bytes:
    """The document as it is served."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()


def operations() -> list[tuple[str, str]]:
    """Each documented operation: its method in capitals and its path, `("GET", "/containers/{id}/json")`."""
    return [
        (method.upper(), path) for path, item in document()["paths"].items() for method in METHODS if method in item
    ]


def resolve(node: Any) -> Any:
    """What a node of the document refers to, or the node itself."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _merged(folder: Traversable, names: tuple[str, ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names:
        for key, value in _read(folder / f"{name}.yaml").items():
            if key in merged:
                raise ValueError(f"{name}.yaml describes {key} a second time")
            merged[key] = value
    return merged


def _read(file: Traversable) -> dict[str, Any]:
    import yaml  # a twentieth of an engine's start, and few ask for the document

    # The loader in C reads the whole document eight times as fast; not every build of PyYAML has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    tree = yaml.load(file.read_text("utf-8"), Loader=loader)
    if not isinstance(tree, dict):
        raise ValueError(f"{file.name} is no mapping")
    return tree
