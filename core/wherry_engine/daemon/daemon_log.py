"""The daemon's own log, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from wherry_engine.daemon.config import Config

LEVELS = {"warn": logging.WARNING, "fatal": logging.CRITICAL}


class Lines(logging.Formatter):
    """One object of JSON a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its time (RFC 3339) and, after an exception, the traceback."""
        found = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            found["error"] = self.formatException(record.exc_info)
        return json.dumps(found)


def log_to_stderr(config: Config) -> None:
    """Begin."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(Lines() if config.log_format == "json" else text)
    logging.getLogger().addHandler(handler)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    set_level(config)


def set_level(config: Config) -> None:
    """Log from this level on."""
    level: int | str = LEVELS.get(config.log_level, config.log_level.upper())
    logging.getLogger().setLevel(logging.DEBUG if config.debug else level)
