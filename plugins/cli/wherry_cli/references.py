"""Names of images and platforms, taken apart."""

from __future__ import annotations

from wherry_cli.errors import CliError


def split_reference(text: str) -> tuple[str, str, str]:
    """(repository, tag, digest) of NAME[:TAG][@DIGEST]; what is not said is empty. Raises CliError."""
    name, _, digest = text.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    wrong = f'"{text}" is not a valid repository/tag: '
    if (path := _path(repository)) != path.lower():
        raise CliError(f"{wrong}invalid reference format: repository name ({path}) must be lowercase")
    import re

    component = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
    domain = repository[: -len(path)] if repository.endswith(path) else ""
    good = re.fullmatch(rf"{component}(?:/{component})*", path) and re.fullmatch(r"(?:[\w.:\[\]-]+/)?", domain)
    if not good or (colon and "/" not in name.rpartition(":")[2] and not re.fullmatch(r"\w[\w.-]{0,127}", tag)):
        raise CliError(f"{wrong}invalid reference format")
    if re.fullmatch(r"[0-9a-f]{64}", text):
        raise CliError(f"{wrong}invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    return repository, tag, digest


def _path(repository: str) -> str:
    """The part after the registry's name, with the default one's library/ in front of a bare name."""
    first, slash, rest = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return rest
    return repository if slash else f"library/{repository}"


def full_repository(repository: str) -> str:
    """The repository with its registry's name, as a registry is asked for it."""
    first, slash, _ = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return repository
    return f"docker.io/{repository}" if slash else f"docker.io/library/{repository}"


def familiar(text: str) -> str:
    """A name as people write it, with the tag that it implies."""
    repository, tag, digest = split_reference(text)
    repository = repository.removeprefix("docker.io/").removeprefix("library/")
    return f"{repository}@{digest}" if digest else f"{repository}:{tag or 'latest'}"


def platform_json(text: str) -> str:
    """OS[/ARCHITECTURE[/VARIANT]] as the JSON object that the API takes. Raises CliError."""
    from json import dumps

    parts = text.lower().split("/")
    if len(parts) > 3 or not all(parts):
        raise CliError(f'invalid platform "{text}": write OS/ARCHITECTURE, such as linux/amd64')
    return dumps(dict(zip(("os", "architecture", "variant"), parts, strict=False)), separators=(",", ":"))
