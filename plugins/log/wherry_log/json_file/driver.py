"""The driver: it checks and translates options; the monitor writes the file."""

from __future__ import annotations

from typing import Any

from wherry.spec.log import Invalid, LocalLog, LogDriver, LogInfo, hookimpl
from wherry_log._options import BUFFER, NON_BLOCKING, buffer_faults
from wherry_log.json_file.attributes import attributes
from wherry_log.json_file.options import Options


class Driver(LogDriver):
    """One JSON object a line in a file beside the container, rotated by size."""

    OPTIONS = Options

    @hookimpl
    def start(self, log: LogInfo, options: Any) -> LocalLog:
        """Check what one option means for another, and say what to write."""
        faults = list(_faults(options))
        if faults:
            raise Invalid("; ".join(faults))
        return LocalLog(
            format="json-file",
            max_size=options.max_size if options.max_size is not None else -1,
            max_files=options.max_file,
            compress=options.compress,
            attributes=attributes(log, options),
            non_blocking=options.mode == NON_BLOCKING,
            buffer=options.max_buffer_size if options.max_buffer_size is not None else BUFFER,
        )

    @hookimpl
    def stop(self, container_id: str) -> None:
        """Nothing is held for any container."""


def _faults(options: Options) -> list[str]:
    faults = []
    if options.compress and (options.max_file < 2 or options.max_size is None):
        faults.append("compress cannot be true when max-file is less than 2 or max-size is not set")
    return faults + buffer_faults(options.mode, options.max_buffer_size)
