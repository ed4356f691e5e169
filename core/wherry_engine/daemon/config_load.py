"""Reading the configuration: the file, the flags, and what is wrong with them, all at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from wherry.errors import Invalid
from wherry.model.configs import HostConfig
from wherry_engine.daemon.config import DEFAULT_FILE, Config
from wherry_engine.daemon.config_flags import given_by_flags, parser
from wherry_engine.daemon.config_keys import KEYS, REFUSED, WITHOUT_EFFECT
from wherry_engine.engine import resolv_conf


def load(arguments: Sequence[str]) -> Config:
    """The configuration from these arguments and the file. Raises `Invalid` with every fault of the file."""
    return configuration(vars(parser().parse_args(arguments)))


def configuration(parsed: Mapping[str, Any]) -> Config:
    """The same from the arguments as they were parsed."""
    flags = given_by_flags(parsed)
    file = _file(parsed["config_file"])
    values = read_file(file) if file else {}
    if both := sorted(set(flags) & set(values) - {"runtimes"}):
        told = ", ".join(
            f"{name}: (from flag: {_word(flags[name])}, from file: {_word(values[name])})" for name in both
        )
        raise Invalid(
            f"the following directives are specified both as a flag and in the configuration file {file}: {told}"
        )
    if "runtimes" in flags and isinstance(values.get("runtimes"), dict):
        flags["runtimes"] = {**values["runtimes"], **flags["runtimes"]}
    fields, faults = _fields(values, f"the configuration file {file}: ")
    more, wrong = _fields(flags, "")
    if faults or wrong:
        raise Invalid("; ".join((*faults, *wrong)))
    given = {"insecure_tcp": True} if parsed["insecure_tcp"] else {}
    idle = sorted(WITHOUT_EFFECT & {*values, *flags})
    config = Config(**{**fields, **more, **given}, idle=tuple(idle))
    if found := [*_misfits(config)]:
        raise Invalid("; ".join(found))
    return config


def _file(given: str | None) -> Path | None:
    if given and not Path(given).exists():
        raise Invalid(f"the configuration file {given} does not exist")
    file = Path(given) if given else DEFAULT_FILE
    return file if file.exists() else None


def read_file(path: Path) -> dict[str, Any]:
    """What the file says, by key; only keys that are accepted. Raises `Invalid`."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig").strip() or "{}")
    except (OSError, ValueError) as error:
        raise Invalid(f"the configuration file {path} cannot be read: {error}") from error
    if not isinstance(raw, dict):
        raise Invalid(f"the configuration file {path} must hold one JSON object")
    faults = [
        f"{key} is not supported: {REFUSED[key]}" for key, value in raw.items() if key in REFUSED and _says(value)
    ]
    if unknown := [key for key in raw if key not in KEYS and key not in REFUSED and key not in WITHOUT_EFFECT]:
        names = ", ".join(f"{key}{_near(key)}" for key in unknown)
        faults.append(f"the following directives don't match any configuration option: {names}")
    if faults:
        raise Invalid(f"the configuration file {path}: {'; '.join(faults)}")
    return {key: value for key, value in raw.items() if key not in REFUSED}


def _says(value: Any) -> bool:
    """Whether more is asked than what is so anyway."""
    return value not in (False, None, "", 0, [], {})


def _near(key: str) -> str:
    found = get_close_matches(key, KEYS, 3, 0.65)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fields(values: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Fields of Config, and faults."""
    found: dict[str, Any] = {}
    faults = []
    for name, value in values.items():
        if name not in KEYS:
            continue
        try:
            found[KEYS[name].sets] = KEYS[name].read(value)
        except ValueError as error:
            faults.append(f"{where}{name}: {error}")
        except Invalid as error:
            faults.append(f"{where}{name}: {error.text}")
    return found, faults


def _misfits(config: Config) -> Sequence[str]:
    """What is right by itself and does not go together."""
    asked = HostConfig(dns=config.dns, dns_search=config.dns_search, dns_options=config.dns_opts)
    return [*resolv_conf.faults(asked), *config.default_bridge.faults()]
