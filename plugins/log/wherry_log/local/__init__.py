"""The log driver `local`: compact files in Docker's own binary format, rotated and compressed without being told."""

from __future__ import annotations

from typing import Any

import attrs

from wherry.spec.log import Invalid, LocalLog, LogDriver, LogInfo, hookimpl, option
from wherry.toolkit.units import boolean, size
from wherry_log._options import (
    BLOCKING,
    BUFFER,
    BUFFER_HELP,
    MODE_HELP,
    MODES,
    NON_BLOCKING,
    buffer_faults,
    file_count,
    positive_size,
)

MAX_SIZE = 20 << 20


@attrs.frozen(kw_only=True)
class Options:
    """What `--log-opt` accepts."""

    max_size: int = option(
        "max-size", positive_size, default=MAX_SIZE, help="rotate when the file has this size, 20 MiB if unset"
    )
    max_file: int = option("max-file", file_count, default=5, help="how many files are kept")
    compress: bool = option(
        "compress", boolean, default=True, help="compress rotated files; needs max-file of 2 or more"
    )
    mode: str = option("mode", str, default=BLOCKING, choices=MODES, help=MODE_HELP)
    max_buffer_size: int | None = option("max-buffer-size", size, default=None, help=BUFFER_HELP)


class Driver(LogDriver):
    """At most 100 MiB a container unless it is told otherwise, and less once compressed; only engines can read it."""

    OPTIONS = Options

    @hookimpl
    def start(self, log: LogInfo, options: Any) -> LocalLog:
        """Check what one option means for another, and say what to write."""
        faults = buffer_faults(options.mode, options.max_buffer_size)
        if options.compress and options.max_file < 2:
            faults.append("compression cannot be enabled when max file count is 1; give compress=false or more files")
        if faults:
            raise Invalid("; ".join(faults))
        return LocalLog(
            format="local",
            max_size=options.max_size,
            max_files=options.max_file,
            compress=options.compress,
            non_blocking=options.mode == NON_BLOCKING,
            buffer=options.max_buffer_size if options.max_buffer_size is not None else BUFFER,
        )

    @hookimpl
    def stop(self, container_id: str) -> None:
        """Nothing is held for any container."""
