"""Containers as items of a list. This runs for every container of every list: it is written to be fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import Invalid
from wherry.model.containers import Container, State
from wherry.model.images import ImageRecord
from wherry.model.references import parse_reference
from wherry_api.shapes.containers import mount_json
from wherry_api.shapes.endpoints import summary_json
from wherry_api.shapes.ports import ports_json
from wherry_api.shapes.times import human_duration
from wherry_api.versions import Version

Json = dict[str, Any]


_HEALTHS = {"starting": " (health: starting)", "healthy": " (healthy)", "unhealthy": " (unhealthy)"}


def status_text(state: State, now_ns: int) -> str:
    """What it is doing, for a person."""
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {human_duration(now_ns - state.finished_ns)} ago"
    if state.running:
        health = _HEALTHS[state.health.status] if state.health else ""
        return f"Up {human_duration(now_ns - state.started_ns)}{' (Paused)' if state.status == 'paused' else health}"
    if state.status == "removing":
        return "Removal In Progress"
    if state.status == "dead":
        return "Dead"
    if not state.started_ns:
        return "Created"
    return f"Exited ({state.exit_code}) {human_duration(now_ns - state.finished_ns)} ago"


def command_text(container: Container) -> str:
    """What runs, in one line."""
    return " ".join([container.path, *(f"'{each}'" if " " in each else each for each in container.args)])


class ImageNames:
    """Tells whether the name a container was made from still means the image that it has."""

    def __init__(self, images: Sequence[ImageRecord]) -> None:
        self._ids = {name: record.id for record in images for name in (*record.tags, *record.digests)}
        self._known: dict[tuple[str, str], str] = {}

    def shown(self, name: str, image_id: str) -> str:
        """The name, or the id if the name means another image or none by now."""
        found = self._known.get((name, image_id))
        if found is None:
            found = self._known[name, image_id] = name if self._means(name, image_id) else image_id
        return found

    def _means(self, name: str, image_id: str) -> bool:
        try:
            reference = parse_reference(name)
        except Invalid:
            reference = None
        if reference is not None:
            known = self._ids.get(str(reference) if reference.digest else reference.tagged)
            if known is not None:
                return known == image_id
        digits = name.removeprefix("sha256:")
        return bool(digits) and image_id.removeprefix("sha256:").startswith(digits)


def container_json(container: Container, image: str, now_ns: int, version: Version) -> Json:
    """One container of a list."""
    host: Json = {"NetworkMode": container.host.network_mode}
    if container.host.annotations and version >= (1, 46):
        host["Annotations"] = container.host.annotations
    networks: Mapping[str, Json] = {name: summary_json(each) for name, each in container.networks.items()}
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": image,
        "ImageID": container.image_id,
        "Command": command_text(container),
        "Created": container.created_ns // 10**9,
        "Ports": ports_json(container),
        "Labels": container.config.labels,
        "State": container.state.status,
        "Status": status_text(container.state, now_ns),
        "HostConfig": host,
        "NetworkSettings": {"Networks": networks},
        "Mounts": [mount_json(each) for each in container.mounts],
    }
