"""The ports of a container in one cell."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def displayed_ports(ports: Sequence[Any]) -> str:
    """Ports in order, neighbours joined to ranges, mappings to another port last."""
    ordered = sorted(
        ports, key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"])
    )
    groups: dict[tuple[str, str], list[int]] = {}
    done: list[str] = []
    moved: list[str] = []
    for port in ordered:
        private, address = port["PrivatePort"], port.get("IP", "")
        if address and port.get("PublicPort", 0) != private:
            moved.append(f"{_join(address, str(port['PublicPort']))}->{private}/{port['Type']}")
            continue
        key = (address, port["Type"])
        group = groups.get(key)
        if group is None:
            groups[key] = [private, private]
        elif private == group[1] + 1:
            group[1] = private
        else:
            done.append(_group(key, group))
            groups[key] = [private, private]
    return ", ".join([*done, *(_group(key, group) for key, group in groups.items()), *moved])


def _group(key: tuple[str, str], group: Sequence[int]) -> str:
    address, kind = key
    numbers = str(group[0]) if group[0] == group[1] else f"{group[0]}-{group[1]}"
    return f"{_join(address, numbers)}->{numbers}/{kind}" if address else f"{numbers}/{kind}"


def _join(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
