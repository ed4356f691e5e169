"""wherry network ls, rm, connect and disconnect."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import LIST_FORMAT, NO_TRUNC, each, filters, pairs, path_name
from wherry_cli.options import Option, Values
from wherry_client.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _ls(app: App, values: Values, arguments: list[str]) -> int:
    from wherry_cli.commands._networks import LISTING
    from wherry_cli.output.natural import natural_key

    found = app.client.call("GET", "/networks", {"filters": filters(values["filter"])})
    found.sort(key=lambda network: natural_key(network["Name"]))
    app.write(LISTING.render(found, format=values["format"], quiet=values["quiet"], full=values["no-trunc"]))
    return 0


def _rm(app: App, values: Values, arguments: list[str]) -> int:
    def remove(name: str) -> str:
        try:
            app.client.call("DELETE", f"/networks/{path_name(name)}")
        except ApiError as error:
            if not (values["force"] and error.status == 404):
                raise
            return ""
        return name

    return each(app, arguments, remove)


def _connect(app: App, values: Values, arguments: list[str]) -> int:
    network, container = arguments
    addresses = {"IPv4Address": values["ip"], "IPv6Address": values["ip6"], "LinkLocalIPs": values["link-local-ip"]}
    endpoint: dict[str, Any] = {
        "IPAMConfig": {name: value for name, value in addresses.items() if value},
        "Links": values["link"],
        "Aliases": values["alias"],
        "DriverOpts": pairs(values["driver-opt"]),
        "GwPriority": values["gw-priority"],
    }
    endpoint = {name: value for name, value in endpoint.items() if value}
    app.client.call(
        "POST", f"/networks/{path_name(network)}/connect", None, {"Container": container, "EndpointConfig": endpoint}
    )
    return 0


def _disconnect(app: App, values: Values, arguments: list[str]) -> int:
    network, container = arguments
    app.client.call(
        "POST", f"/networks/{path_name(network)}/disconnect", None, {"Container": container, "Force": values["force"]}
    )
    return 0


LS = Command(
    "network ls",
    "[OPTIONS]",
    "List networks.",
    _ls,
    (
        Option("filter", "f", "filter", "Show only networks that match, such as 'driver=bridge'. May be repeated."),
        LIST_FORMAT,
        NO_TRUNC,
        Option("quiet", "q", "bool", "Print only ids."),
    ),
)
RM = Command(
    "network rm",
    "NETWORK [NETWORK...]",
    "Remove networks that no container uses.",
    _rm,
    (Option("force", "f", "bool", "Do not complain about networks that do not exist."),),
    least=1,
    most=-1,
)
CONNECT = Command(
    "network connect",
    "[OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network.",
    _connect,
    (
        Option("alias", "", "strings", "Make the container known in the network under this name too. May be repeated."),
        Option(
            "driver-opt",
            "",
            "strings",
            "Give the network's driver an option for this endpoint, as NAME=VALUE. May be repeated.",
        ),
        Option("gw-priority", "", "int", "Prefer this network's gateway as the default: the highest number wins."),
        Option("ip", "", "string", "Give the container this IPv4 address in the network."),
        Option("ip6", "", "string", "Give the container this IPv6 address in the network."),
        Option("link", "", "list", "Make another container known in this one, as NAME or NAME:ALIAS. May be repeated."),
        Option("link-local-ip", "", "strings", "Give the container this link-local address too. May be repeated."),
    ),
    least=2,
    most=2,
)
DISCONNECT = Command(
    "network disconnect",
    "[OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network.",
    _disconnect,
    (Option("force", "f", "bool", "Disconnect even what the engine cannot reach any more."),),
    least=2,
    most=2,
)
