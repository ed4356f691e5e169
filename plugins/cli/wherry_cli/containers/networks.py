"""--network and what belongs to a container's endpoints; --add-host."""

from __future__ import annotations

from wherry_cli.containers.mounts import fields
from wherry_cli.errors import CliError
from wherry_cli.options import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry_cli.options import Values

    Endpoint = dict[str, Any]


def extra_host(text: str) -> str:
    """One --add-host as HOST:ADDRESS. Raises ValueError."""
    mark = "=" if "=" in text else ":"
    name, found, address = text.partition(mark)
    if not found or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != "host-gateway":
        import ipaddress

        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{address}"


def network(text: str) -> tuple[str, Endpoint]:
    """One --network: a name, or name=NAME with options of the endpoint. Raises ValueError."""
    if "=" not in text:
        return text, {}
    name, endpoint = "", _endpoint()
    for field in fields(text):
        key, equals, value = (part.strip() for part in field.partition("="))
        if not equals:
            raise ValueError(f"invalid field {field}")
        key = key.lower()
        if key == "name":
            name = value
        elif key == "alias":
            endpoint["Aliases"].append(value)
        elif key in ("ip", "ip6"):
            endpoint["IPAMConfig"]["IPv4Address" if key == "ip" else "IPv6Address"] = value
        elif key == "link-local-ip":
            endpoint["IPAMConfig"].setdefault("LinkLocalIPs", []).append(value)
        elif key == "mac-address":
            endpoint["MacAddress"] = value
        elif key == "driver-opt":
            option, has_value, setting = value.partition("=")
            if not has_value:
                raise ValueError("invalid key value pair format in driver options")
            endpoint["DriverOpts"][option.strip().lower()] = setting.strip()
        elif key == "gw-priority":
            endpoint["GwPriority"] = integer(value)
        else:
            raise ValueError(f"invalid field key {key}")
    if not name:
        raise ValueError(f"a network without a name: {text}")
    return name, _said(endpoint)


def _endpoint() -> Endpoint:
    return {"IPAMConfig": {}, "Aliases": [], "DriverOpts": {}, "MacAddress": "", "GwPriority": 0}


def _said(endpoint: Endpoint) -> Endpoint:
    return {name: value for name, value in endpoint.items() if value}


def networks(values: Values) -> tuple[str, dict[str, Endpoint]]:
    """(network mode, endpoints by network) of all flags together. Raises CliError."""
    wanted = [network(text) for text in values["network"]] or [("default", {})]
    mode, first = wanted[0]
    user_defined = mode not in ("default", "bridge", "host", "none") and not mode.startswith("container:")
    if (values["network-alias"] or first.get("Aliases")) and not user_defined:
        raise CliError("network-scoped aliases are only supported for user-defined networks", 125)
    own = _first_endpoint(values, user_defined=user_defined)
    for member, flag in (("Aliases", "network-alias"), ("MacAddress", "mac-address")):
        if member in own and member in first:
            raise CliError(
                f"conflicting options: cannot specify both --{flag} and per-network {flag.removeprefix('network-')}",
                125,
            )
    addresses = {**first.get("IPAMConfig", {}), **own.get("IPAMConfig", {})}
    first = {**first, **own, **({"IPAMConfig": addresses} if addresses else {})}
    if own and mode.startswith("container:"):
        raise CliError(
            "conflicting options: a container that shares another's network has no endpoint of its own to set up", 125
        )
    endpoints: dict[str, Endpoint] = {}
    for name, endpoint in [(mode, first), *wanted[1:]]:
        if name in endpoints:
            raise CliError(f'network "{name}" is specified multiple times', 125)
        endpoints[name] = endpoint
    if len(endpoints) > 1 and any(name in ("host", "none") or name.startswith("container:") for name in endpoints):
        raise CliError("conflicting options: cannot attach both user-defined and non-user-defined network-modes", 125)
    return mode, endpoints if len(endpoints) > 1 or any(endpoints.values()) else {}


def _first_endpoint(values: Values, *, user_defined: bool) -> Endpoint:
    """What the flags without a network's name say about the first one."""
    endpoint = _endpoint()
    endpoint["Aliases"] = list(values["network-alias"])
    endpoint["MacAddress"] = values["mac-address"]
    addresses = {
        "IPv4Address": values["ip"],
        "IPv6Address": values["ip6"],
        "LinkLocalIPs": list(values["link-local-ip"]),
    }
    endpoint["IPAMConfig"] = _said(addresses)
    endpoint["Links"] = list(values["link"]) if user_defined else []
    return _said(endpoint)
