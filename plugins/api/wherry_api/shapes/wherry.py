"""The shapes of what this engine has beyond Docker's."""

from __future__ import annotations

from typing import Any

from wherry_engine.loader.report import PluginRow


def plugin_json(row: PluginRow) -> dict[str, Any]:
    """A driver with its state."""
    return {
        "Family": row.family,
        "Name": row.name,
        "Version": row.version,
        "Distribution": row.distribution,
        "State": row.state,
        "Reason": row.reason,
    }
