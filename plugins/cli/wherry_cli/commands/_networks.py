"""How networks are listed."""

from __future__ import annotations

from wherry_cli.output import human
from wherry_cli.output.listing import Listing, labels_text


def _boolean(value: bool) -> str:
    return "true" if value else "false"


LISTING = Listing(
    "*network.networkContext",
    {
        "ID": ("NETWORK ID", lambda item, short: human.short_id(item["Id"]) if short else item["Id"]),
        "Name": ("NAME", lambda item, short: item["Name"]),
        "Driver": ("DRIVER", lambda item, short: item["Driver"]),
        "Scope": ("SCOPE", lambda item, short: item["Scope"]),
        "IPv4": ("IPV4", lambda item, short: _boolean(item.get("EnableIPv4", True))),
        "IPv6": ("IPV6", lambda item, short: _boolean(item["EnableIPv6"])),
        "Internal": ("INTERNAL", lambda item, short: _boolean(item["Internal"])),
        "Labels": ("LABELS", lambda item, short: labels_text(item.get("Labels"))),
        "CreatedAt": ("CREATED AT", lambda item, short: human.Instant(item["Created"]).sentence()),
    },
    ("ID", "Name", "Driver", "Scope"),
)
