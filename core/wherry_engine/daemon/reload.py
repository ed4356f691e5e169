"""SIGHUP: the configuration is read again, and what may change while the engine runs does."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs

from wherry.errors import WherryError
from wherry_engine.daemon.config import Config
from wherry_engine.daemon.config_load import load

# The fields that take effect at once; all others do at the next start.
LIVE = frozenset(
    [
        "debug",
        "default_cgroupns_mode",
        "default_init",
        "default_ipc_mode",
        "default_runtime",
        "default_shm_size",
        "default_ulimits",
        "features",
        "idle",
        "insecure_registries",
        "labels",
        "live_restore",
        "log_driver",
        "log_level",
        "log_opts",
        "max_concurrent_downloads",
        "max_concurrent_uploads",
        "max_download_attempts",
        "no_new_privileges",
        "registry_mirrors",
        "runtimes",
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
