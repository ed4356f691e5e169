"""wherry network create."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import pairs
from wherry_cli.containers.checks import check_label
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OPTIONS = (
    Option("attachable", "", "bool", "Let containers that are not part of a service connect to the network."),
    Option("aux-address", "", "map", "Keep this address out of use, as NAME=ADDRESS. May be repeated."),
    Option("config-from", "", "string", "Take the settings from this configuration-only network."),
    Option("config-only", "", "bool", "Make a network that only holds settings for others."),
    Option("driver", "d", "string", "Use this driver.", "bridge"),
    Option("gateway", "", "strings", "Use this address as a subnet's gateway. May be repeated, one per subnet."),
    Option("ingress", "", "bool", "Make the network through which a swarm publishes its ports."),
    Option("internal", "", "bool", "Let nothing from outside in and nothing out."),
    Option("ip-range", "", "strings", "Give containers addresses from this part of a subnet only. May be repeated."),
    Option("ipam-driver", "", "string", "Use this driver for the administration of addresses.", "default"),
    Option("ipam-opt", "", "map", "Give the address driver an option, as NAME=VALUE. May be repeated."),
    Option("ipv4", "", "bool", "Give containers IPv4 addresses.", True),
    Option("ipv6", "", "bool", "Give containers IPv6 addresses too."),
    Option(
        "label", "", "list", "Set a label on the network, as NAME or NAME=VALUE. May be repeated.", check=check_label
    ),
    Option("opt", "o", "map", "Give the driver an option, as NAME=VALUE. May be repeated."),
    Option("scope", "", "string", "Limit the network to this scope, local or swarm."),
    Option("subnet", "", "strings", "Use this subnet, in CIDR notation. May be repeated."),
)


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Create a network and print its id."""
    body: dict[str, Any] = {
        "Name": arguments[0],
        "Driver": values["driver"],
        "Scope": values["scope"],
        "EnableIPv6": values["ipv6"] if "ipv6" in values.given else None,
        "EnableIPv4": values["ipv4"] if "ipv4" in values.given else None,
        "IPAM": {"Driver": values["ipam-driver"], "Options": pairs(values["ipam-opt"]), "Config": pools(values)},
        "Internal": values["internal"],
        "Attachable": values["attachable"],
        "Ingress": values["ingress"],
        "ConfigOnly": values["config-only"],
        "ConfigFrom": {"Network": values["config-from"]} if values["config-from"] else None,
        "Options": pairs(values["opt"]),
        "Labels": pairs(values["label"]),
    }
    answer = app.client.call(
        "POST", "/networks/create", None, {name: value for name, value in body.items() if value is not None}
    )
    if answer.get("Warning"):
        app.say(f"WARNING: {answer['Warning']}")
    app.print(answer["Id"])
    return 0


def pools(values: Values) -> list[dict[str, Any]]:
    """One pool per subnet, with the range, gateway and reserved addresses that lie in it. Raises CliError."""
    if max(len(values["ip-range"]), len(values["gateway"])) > len(values["subnet"]):
        raise CliError("every ip-range or gateway must have a corresponding subnet")
    found: dict[str, dict[str, Any]] = {}
    for subnet in values["subnet"]:
        if any(_holds(other, subnet) or _holds(subnet, other) for other in found):
            raise CliError("multiple overlapping subnet configuration is not supported")
        found[subnet] = {"Subnet": subnet}
    for key, flag, texts in (("IPRange", "range", values["ip-range"]), ("Gateway", "gateway", values["gateway"])):
        for text in texts:
            pool = found[_holder(list(found), text, flag)]
            if key in pool:
                raise CliError(
                    f"cannot configure multiple {flag}s ({text}, {pool[key]}) on the same subnet ({pool['Subnet']})"
                )
            pool[key] = text
    for name, address in pairs(values["aux-address"]).items():
        pool = found[_holder(list(found), address, "aux-address")]
        pool.setdefault("AuxiliaryAddresses", {})[name] = address
    return list(found.values())


def _holder(subnets: Sequence[str], text: str, flag: str) -> str:
    for subnet in subnets:
        if _holds(subnet, text, flag):
            return subnet
    raise CliError(f"no matching subnet for {flag} {text}")


def _holds(subnet: str, other: str, kind: str = "range") -> bool:
    """Whether an address, or the first one of a subnet, lies in this subnet. Raises CliError for what is no subnet."""
    import ipaddress

    for text in (subnet, other) if "/" in other or kind == "range" else (subnet,):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise CliError(f"invalid CIDR address: {text}") from None
    try:
        return ipaddress.ip_address(other.partition("/")[0]) in ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        return False


CREATE = Command("network create", "[OPTIONS] NETWORK", "Create a network.", run, OPTIONS, least=1, most=1)
