"""--publish and --expose."""

from __future__ import annotations

from wherry_cli.errors import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Bindings = dict[str, list[dict[str, str]]]

PROTOCOLS = ("tcp", "udp", "sctp")


def ports(published: Sequence[str], exposed: Sequence[str]) -> tuple[list[str], Bindings]:
    """(exposed ports, bindings by port), ports as "80/tcp". Raises CliError."""
    bindings: Bindings = {}
    for text in published:
        for port, binding in publication(text):
            bindings.setdefault(port, []).append(binding)
    names = list(bindings)
    for text in exposed:
        names += [port for port in exposition(text) if port not in names]
    return names, bindings


def publication(text: str) -> list[tuple[str, dict[str, str]]]:
    """One --publish: [[ADDRESS:]PORT[-PORT]:]PORT[-PORT][/PROTOCOL], or published=PORT,target=PORT,protocol=P. Raises CliError."""
    if "=" in text:
        text = _short(text)
    front, _, last = text.rpartition(":")
    address, _, host = front.rpartition(":")
    inner, protocol = _protocol(last)
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address and not _is_address(address):
        raise CliError(f"invalid IP address: {address}", 125)
    if not inner:
        raise CliError(f"no port specified: {text}<empty>", 125)
    first, end = _range(inner, "containerPort")
    host_first, host_end = _range(host, "hostPort") if host else (0, 0)
    if host and end - first != host_end - host_first and end != first:
        raise CliError(f"invalid ranges specified for container and host Ports: {inner} and {host}", 125)
    if protocol not in PROTOCOLS:
        raise CliError(f"invalid proto: {protocol}", 125)
    found = []
    for step in range(end - first + 1):
        shown = str(host_first + step) if host else ""
        if host and first == end and host_first != host_end:
            shown += f"-{host_end}"  # one port, and a range to choose its host port from
        found.append((f"{first + step}/{protocol}", {"HostIp": address, "HostPort": shown}))
    return found


def exposition(text: str) -> list[str]:
    """One --expose: PORT[-PORT][/PROTOCOL]. Raises CliError."""
    if ":" in text:
        raise CliError(f"invalid port format for --expose: {text}", 125)
    inner, protocol = _protocol(text)
    first, end = _range(inner, "range format for --expose")
    return [f"{port}/{protocol}" for port in range(first, end + 1)]


def _short(text: str) -> str:
    """The long form of --publish as the short one."""
    known = {"target": "", "published": "", "protocol": "tcp", "mode": "ingress"}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals or key.lower() not in known:
            raise CliError(f"invalid field {key}", 125)
        known[key.lower()] = value
    return (
        f"{known['published']}:{known['target']}/{known['protocol']}"
        if known["published"]
        else f"{known['target']}/{known['protocol']}"
    )


def _protocol(text: str) -> tuple[str, str]:
    inner, slash, protocol = text.partition("/")
    return inner, protocol.lower() if slash and protocol else "tcp"


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, end = text.partition("-")
    numbers = [int(part) if part.isascii() and part.isdecimal() else -1 for part in (first, end if dash else first)]
    if not all(0 <= number <= 65535 for number in numbers) or numbers[1] < numbers[0]:
        raise CliError(f"invalid {what}: {text}", 125)
    return numbers[0], numbers[1]


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
