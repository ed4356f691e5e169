"""SIGHUP: the configuration is read again, and what may change while the engine runs does."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs

from wherry.errors import WherryError
from wherry_engine.daemon.config import Config, load

# The fields that take effect at once; all others do at the next start.
LIVE = frozenset(
    [
        "debug",
        "default_init",
        "default_shm_size",
        "default_ulimits",
        "labels",
        "live_restore",
        "log_driver",
        "log_level",
        "log_opts",
        "no_new_privileges",
        "shutdown_timeout",
    ]
)

log = logging.getLogger(__name__)


def reread(arguments: Sequence[str], running: Config) -> Config:
    """The configuration from now on. A faulty one is reported and changes nothing."""
    try:
        found = load(arguments)
    except WherryError as error:
        log.error("the configuration stays as it was: %s", error.text)
        return running
    changed = [
        field.name for field in attrs.fields(Config) if getattr(found, field.name) != getattr(running, field.name)
    ]
    if later := sorted(set(changed) - LIVE):
        log.warning("changes of %s take effect at the next start", ", ".join(name.replace("_", "-") for name in later))
    return attrs.evolve(running, **{name: getattr(found, name) for name in changed if name in LIVE})
