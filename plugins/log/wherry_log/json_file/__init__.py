"""The log driver `json-file`, Docker's default: one JSON object a line, rotated by size."""

from wherry_log.json_file.driver import Driver

__all__ = ["Driver"]
