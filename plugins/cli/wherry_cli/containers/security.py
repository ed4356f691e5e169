"""--security-opt and capabilities."""

from __future__ import annotations

from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def security(texts: Sequence[str]) -> dict[str, Any]:
    """SecurityOpt, with seccomp profiles read from their files; MaskedPaths and ReadonlyPaths where they are lifted. Raises CliError."""
    options: list[str] = []
    found: dict[str, Any] = {}
    for text in texts:
        if text in ("systempaths=unconfined", "systempaths:unconfined"):
            found |= {"MaskedPaths": [], "ReadonlyPaths": []}
            continue
        name, mark, value = text.partition("=") if "=" in text else text.partition(":")
        if not mark and name != "no-new-privileges":
            raise CliError(f'Invalid --security-opt: "{text}"', 125)
        if name == "seccomp" and value not in ("unconfined", "builtin"):
            text = f"seccomp={_profile(value)}"
        options.append(text)
    return found | ({"SecurityOpt": options} if options else {})


def _profile(path: str) -> str:
    from wherry_cli.output.jsontext import compact

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise CliError(
            f"opening seccomp profile ({path}) failed: open {path}: {(error.strerror or '').lower()}", 125
        ) from None
    from json import loads

    try:
        return compact(loads(text))
    except ValueError as error:
        raise CliError(f"compacting json for seccomp profile ({path}) failed: {error}", 125) from None


def capabilities(texts: Sequence[str]) -> list[str]:
    """Capabilities in their full names, each once; ALL stands for itself."""
    names = [text.strip().upper() for text in texts]
    return list(dict.fromkeys(name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in names))
