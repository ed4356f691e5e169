"""What a query gets: an answer from the names that its sandbox sees, or one from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from wherry_network.resolver import wire
from wherry_network.resolver.names import Names
from wherry_network.resolver.state import Entry
from wherry_network.resolver.wire import Question

Reply = Callable[[bytes], None]
_SIZES = {wire.A: 4, wire.AAAA: 16}


def local(names: Names, viewer: Entry, question: Question, room: int) -> bytes | None:
    """The answer if it can be given here: a name that is known here is never asked about elsewhere."""
    if question.cls != wire.IN:
        return None
    if question.type == wire.PTR:
        return _reverse(names, viewer, question, room)
    addresses = names.addresses(viewer, question.name, _SIZES.get(question.type, 0))
    if addresses is not None:  # none of this type is not the same as no such name
        return wire.answer(question, [wire.address_record(each) for each in addresses], room)
    short = "." not in question.name and question.type in _SIZES
    return wire.answer(question, (), room) if viewer.keeps_short_names and short else None


def _reverse(names: Names, viewer: Entry, question: Question, room: int) -> bytes | None:
    address = wire.reverse_address(question.name)
    for name in names.names(viewer, address) if address else ():
        try:
            return wire.answer(question, [wire.pointer_record(name)], room)
        except ValueError:  # a container may have a name that DNS cannot carry; its id always can be
            continue
    return None
