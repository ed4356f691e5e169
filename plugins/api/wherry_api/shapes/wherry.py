"""The shapes of what this engine has beyond Docker's."""

from __future__ import annotations

from typing import Any

from wherry.model.findings import Finding
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


def finding_json(finding: Finding) -> dict[str, Any]:
    """One thing on which records and host disagree."""
    return {
        "Kind": finding.kind,
        "Object": finding.object,
        "Text": finding.text,
        "Mend": finding.mend,
        "Mendable": finding.mendable,
        "Mended": finding.mended,
        "Error": finding.error,
    }
