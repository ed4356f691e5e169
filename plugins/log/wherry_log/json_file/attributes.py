"""What is added to each line of a log: labels, environment variables, a tag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from wherry.spec.log import Invalid, LogInfo
from wherry_log.json_file.options import Options

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"\.(\w+)")


def attributes(log: LogInfo, options: Options) -> dict[str, str]:
    """The extra attributes for this container. Raises `Invalid` for a tag that cannot be rendered."""
    found = {
        **chosen(log.labels, options.labels, options.labels_regex),
        **chosen(log.env, options.env, options.env_regex),
    }
    tag = render_tag(options.tag, log)
    return {**found, "tag": tag} if tag else found


def chosen(offered: Mapping[str, str], keys: Iterable[str], pattern: str) -> dict[str, str]:
    """The offered entries that are named, or whose key `pattern` matches somewhere."""
    found = {key: offered[key] for key in keys if key in offered}
    if pattern:
        found.update({key: value for key, value in offered.items() if re.search(pattern, key)})
    return found


def tag_fields(log: LogInfo) -> dict[str, str]:
    """What a tag may name. As in Docker, ImageID counts its twelve characters from the digest's algorithm on."""
    return {
        "ID": log.container_id[:12],
        "FullID": log.container_id,
        "Name": log.container_name.lstrip("/"),
        "ImageID": log.image_id[:12],
        "ImageFullID": log.image_id,
        "ImageName": log.image_name,
        "DaemonName": log.daemon_name,
        "Command": " ".join(log.command),
    }


def render_tag(template: str, log: LogInfo) -> str:
    """`{{.Name}}/{{.ID}}` for this container. Raises `Invalid` that lists the fields there are."""
    fields = tag_fields(log)

    def field(action: re.Match[str]) -> str:
        match = _FIELD.fullmatch(action[1].strip(" -"))
        if match is None or match[1] not in fields:
            known = ", ".join(f"{{{{.{name}}}}}" for name in fields)
            raise Invalid(f"log tag {template!r}: cannot evaluate {action[0]}; known are {known}")
        return fields[match[1]]

    return _ACTION.sub(field, template)
