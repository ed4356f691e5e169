"""Image archives from before Docker 1.10: a chain of layers, each with a description, and no config of the image.

The config is made of the descriptions as Docker makes it on load, in the same bytes, so that the id is the same: the
members of the top description sorted, each as it stands there, without those that name layers, and with `rootfs` and
`history`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from wherry.errors import Invalid
from wherry_engine.engine.layer_source import Source, plain_tar

_DROPPED = ("id", "parent", "Size", "parent_id", "layer_id", "throwaway")
_MOST = 512  # layers of one image


class Files(Protocol):
    """The files of an archive."""

    def has(self, name: str) -> bool: ...
    def json(self, name: str) -> Any: ...
    def source(self, name: str) -> Source: ...


def legacy_images(files: Files) -> Iterator[tuple[bytes, tuple[str, ...], tuple[Source, ...]]]:
    """(config, names, layers) of each image that `repositories` names."""
    names: dict[str, list[str]] = {}
    for repository, tags in files.json("repositories").items():
        for tag, layer in tags.items():
            names.setdefault(layer, []).append(f"{repository}:{tag}")
    for top, known in names.items():
        chain = _chain(files, top)
        sources = tuple(files.source(f"{layer}/layer.tar") for layer, _ in chain)
        yield _config([description for _, description in chain], sources), tuple(known), sources


def _chain(files: Files, top: str) -> list[tuple[str, dict[str, Any]]]:
    """The layers of an image with their descriptions, base first."""
    chain: list[tuple[str, dict[str, Any]]] = []
    at = top
    while at:
        if len(chain) == _MOST:
            raise Invalid(f"the image archive has a chain of more than {_MOST} layers")
        description = files.json(f"{at}/json")
        chain.append((at, description))
        at = description.get("parent") or ""
    return chain[::-1]


def _config(descriptions: list[dict[str, Any]], sources: tuple[Source, ...]) -> bytes:
    top = {key: value for key, value in descriptions[-1].items() if key not in _DROPPED}
    top["rootfs"] = {"type": "layers", "diff_ids": [_diff_id(source) for source in sources]}
    top["history"] = [_history(each) for each in descriptions]
    text = json.dumps({key: top[key] for key in sorted(top)}, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":  # as Go writes them
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _history(description: Mapping[str, Any]) -> dict[str, Any]:
    by = " ".join((description.get("container_config") or {}).get("Cmd") or ())
    pairs = {
        "created": description.get("created", "0001-01-01T00:00:00Z"),
        "author": description.get("author"),
        "created_by": by,
        "comment": description.get("comment"),
        "empty_layer": description.get("throwaway"),
    }
    return {key: value for key, value in pairs.items() if value}


def _diff_id(source: Source) -> str:
    found = hashlib.sha256()
    for data in plain_tar(source):
        found.update(data)
    return "sha256:" + found.hexdigest()
