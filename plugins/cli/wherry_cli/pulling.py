"""Fetching an image that the engine does not have."""

from __future__ import annotations

import sys

from wherry_cli import progress
from wherry_cli.app import App
from wherry_cli.references import full_repository, split_reference


def pull(app: App, image: str, *, platform: str = "", quiet: bool = False) -> None:
    """Let the engine fetch `image`; its reports go to stderr. Raises ApiError, CliError."""
    repository, tag, digest = split_reference(image)
    query = {"fromImage": full_repository(repository), "tag": digest or tag or "latest", "platform": platform}
    response = app.client.request("POST", "/images/create", query)
    progress.show(response.objects(), sys.stderr, quiet=quiet)
