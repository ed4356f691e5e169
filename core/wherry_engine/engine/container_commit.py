"""Making an image of what a container changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from wherry.model.commits import CommitSpec
from wherry.model.configs import Config
from wherry.model.containers import Container
from wherry.model.images import Image
from wherry.model.mounts import Change
from wherry.model.names import new_id
from wherry_engine.engine.changes import Run, apply_changes
from wherry_engine.engine.container_archive import Archives
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_pause import Pauser
from wherry_engine.engine.image_config import now_text, run_config
from wherry_engine.engine.images import Images


class Committer:
    """Commits containers."""

    def __init__(self, *, book: Book, archives: Archives, images: Images, pauser: Pauser) -> None:
        self._book, self._archives, self._images, self._pauser = book, archives, images, pauser

    async def commit(self, ref: str, spec: CommitSpec) -> str:
        """Make the image; returns its id."""
        container = self._book.get(ref)
        async with self._pauser.hold(container.id) if spec.pause else nullcontext():
            return await self._commit(container, spec)

    async def _commit(self, container: Container, spec: CommitSpec) -> str:
        run = apply_changes(_merged(run_config(container.config), spec.config), spec.changes)
        parent = self._images.get(container.image_id).image
        below = await self._images.config(parent)
        changes = await self._archives.changes(container.id)

        def config(diff_id: str) -> bytes:
            return _config(below, container.config, run, spec, diff_id)

        listed = _listed(changes)
        try:
            layer = self._archives.layer(container, listed) if changes else None
            image = await self._images.commit(parent, config, layer, spec.repository, spec.tag)
        finally:
            os.close(listed)
        self._emit(container, image, spec)
        return image.id

    def _emit(self, container: Container, image: Image, spec: CommitSpec) -> None:
        name = f"{spec.repository}:{spec.tag or 'latest'}" if spec.repository else ""
        more = {"imageRef": name} if name else {}
        self._book.emit("commit", container, comment=spec.comment, imageID=image.id, **more)


def _listed(changes: Sequence[Change]) -> int:
    """The changes as the helper reads them, in memory."""
    opened = os.memfd_create(f"changes-{new_id()[:8]}")
    with os.fdopen(os.dup(opened), "w") as file:
        for each in changes:
            file.write(json.dumps([each.path, each.kind]) + "\n")
    os.lseek(opened, 0, os.SEEK_SET)
    return opened


def _merged(run: Run, given: Mapping[str, Any]) -> Run:
    """`run` with the fields that are given and say something; variables and labels are added to those there are."""
    said = {key: value for key, value in given.items() if key in run and value not in (None, "", [], {})}
    if "Env" in said:
        pairs = dict(entry.partition("=")[::2] for entry in [*(run["Env"] or ()), *said["Env"]])
        said["Env"] = [f"{key}={value}" for key, value in pairs.items()]
    if "Labels" in said:
        said["Labels"] = {**(run["Labels"] or {}), **said["Labels"]}
    return {**run, **said}


def _config(below: Mapping[str, Any], config: Config, run: Run, spec: CommitSpec, diff_id: str) -> bytes:
    created = now_text()
    step = {
        "created": created,
        "author": spec.author,
        "created_by": " ".join(config.cmd or ()),
        "comment": spec.comment,
        "empty_layer": not diff_id,
    }
    document = {
        "architecture": below.get("architecture"),
        "os": below.get("os"),
        "variant": below.get("variant"),
        "created": created,
        "author": spec.author,
        "comment": spec.comment,
        "config": {key: value for key, value in run.items() if value not in (None, "", False)},
        "history": [*(below.get("history") or ()), {key: value for key, value in step.items() if value}],
        "rootfs": {"type": "layers", "diff_ids": [*below["rootfs"]["diff_ids"], *([diff_id] if diff_id else [])]},
    }
    return json.dumps({key: value for key, value in document.items() if value}, separators=(",", ":")).encode()
