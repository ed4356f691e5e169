"""Config blobs of images: reading and writing them (OCI image specification, "Image Configuration")."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from wherry.errors import Invalid
from wherry.model.configs import Config, HealthConfig
from wherry.model.images import History, Image
from wherry.model.references import DIGEST
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.layer_names import chain_ids


def digest(blob: bytes) -> str:
    """The digest that names a blob."""
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def read_config(blob: bytes, *, added_ns: int = 0, parent: str = "") -> Image:
    """The image that a config blob describes. Raises `Invalid`."""
    try:
        raw = json.loads(blob)
        diff_ids = tuple(raw["rootfs"]["diff_ids"] or ())
        if bad := [each for each in diff_ids if not DIGEST.fullmatch(each)]:
            raise Invalid(f"the image's config names a layer {bad[0]!r}, which is no sha256 digest")
        run = raw.get("config") or {}
        return Image(
            id=digest(blob),
            config=_run_config(run),
            created=raw.get("created") or "",
            architecture=raw.get("architecture") or "amd64",
            variant=raw.get("variant") or "",
            os=raw.get("os") or "linux",
            author=raw.get("author") or "",
            comment=raw.get("comment") or "",
            docker_version=raw.get("docker_version") or "",
            layers=diff_ids,
            chain_ids=chain_ids(diff_ids),
            history=tuple(_history(step) for step in raw.get("history") or ()),
            parent=parent,
            added_ns=added_ns,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Invalid(f"the image's config is malformed: {error!r}") from error


def _run_config(raw: Mapping[str, Any]) -> Config:
    health = raw.get("Healthcheck")
    return Config(
        hostname=raw.get("Hostname") or "",
        domainname=raw.get("Domainname") or "",
        user=raw.get("User") or "",
        exposed_ports=tuple(raw.get("ExposedPorts") or ()),
        env=tuple(raw.get("Env") or ()),
        cmd=_texts(raw.get("Cmd")),
        healthcheck=None if not health else _health(health),
        args_escaped=bool(raw.get("ArgsEscaped")),
        volumes=tuple(raw.get("Volumes") or ()),
        working_dir=raw.get("WorkingDir") or "",
        entrypoint=_texts(raw.get("Entrypoint")),
        on_build=_texts(raw.get("OnBuild")),
        labels=dict(raw.get("Labels") or {}),
        stop_signal=raw.get("StopSignal") or "",
        shell=_texts(raw.get("Shell")),
    )


def run_config(config: Config) -> dict[str, Any]:
    """The "config" object of a config blob, all fields that a commit or import may set."""
    health = config.healthcheck
    return {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports} or None,
        "Env": list(config.env),
        "Entrypoint": _listed(config.entrypoint),
        "Cmd": _listed(config.cmd),
        "Healthcheck": health and {_HEALTH[key]: value for key, value in attrs.asdict(health).items() if value},
        "ArgsEscaped": config.args_escaped,
        "Volumes": {path: {} for path in config.volumes} or None,
        "WorkingDir": config.working_dir,
        "OnBuild": _listed(config.on_build),
        "Labels": dict(config.labels) or None,
        "StopSignal": config.stop_signal,
        "Shell": _listed(config.shell),
    }


def _listed(texts: Sequence[str] | None) -> list[str] | None:
    return None if texts is None else list(texts)


_HEALTH = {
    "test": "Test", "interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod",
    "start_interval": "StartInterval", "retries": "Retries",
}  # fmt: skip


def _health(raw: Mapping[str, Any]) -> HealthConfig:
    return HealthConfig(
        test=_texts(raw.get("Test")),
        interval=raw.get("Interval", 0),
        timeout=raw.get("Timeout", 0),
        start_period=raw.get("StartPeriod", 0),
        start_interval=raw.get("StartInterval", 0),
        retries=raw.get("Retries", 0),
    )


def _texts(value: Sequence[str] | str | None) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return ("/bin/sh", "-c", value)
    return None if value is None else tuple(value)


def _history(raw: Mapping[str, Any]) -> History:
    created = 0
    with contextlib.suppress(ValueError):  # a date nobody can read is no reason to refuse an image
        created = int(datetime.fromisoformat(raw.get("created") or "").timestamp() * 1e9)
    return History(
        created_ns=created,
        created_by=raw.get("created_by") or "",
        comment=raw.get("comment") or "",
        author=raw.get("author") or "",
        empty_layer=bool(raw.get("empty_layer")),
    )


def now_text() -> str:
    """This moment as configs write it (RFC 3339, in ns)."""
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"


def imported_config(diff_id: str, run: Mapping[str, Any], message: str, platform: Platform) -> bytes:
    """The config blob of a one-layer image made from a root file system."""
    created = now_text()
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        **({"variant": platform.variant} if platform.variant else {}),
        "created": created,
        "comment": message,
        "config": dict(run),
        "history": [{"created": created, "comment": message}],
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return json.dumps(document, separators=(",", ":")).encode()
