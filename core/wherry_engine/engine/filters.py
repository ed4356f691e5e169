"""Filters of lists and events: reading them, and what they match. Pure: callers pass in what is to be searched.

Different keys must all match; of several values of one key any may, except labels, which must all be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from wherry.errors import Invalid, NotFound
from wherry.model.containers import Container
from wherry.model.images import ImageRecord
from wherry.model.networks import NetworkRecord
from wherry.model.volumes import VolumeRecord
from wherry_engine.engine.filter_values import (
    PortRange,
    created,
    flag,
    matches_reference,
    moment,
    number,
    port_range,
    wrong,
)

CONTAINER_KEYS = frozenset(
    [
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    ]
)
IMAGE_KEYS = frozenset(["before", "dangling", "label", "reference", "since", "until"])
NETWORK_KEYS = frozenset(["dangling", "driver", "id", "label", "name", "scope", "type"])
VOLUME_KEYS = frozenset(["dangling", "driver", "label", "name"])
PRUNE_KEYS = frozenset(["label", "label!", "until"])  # of containers and networks
IMAGE_PRUNE_KEYS = PRUNE_KEYS | {"dangling"}
VOLUME_PRUNE_KEYS = frozenset(["all", "label", "label!"])
HEALTH = frozenset(["healthy", "none", "starting", "unhealthy"])
STATUSES = frozenset(["created", "dead", "exited", "paused", "removing", "restarting", "running"])
HEALTHS = frozenset(["healthy", "none", "starting", "unhealthy"])
PREDEFINED = frozenset(["bridge", "host", "none"])


@attrs.frozen
class Filters:
    """Values by key, as a client gave them."""

    values: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)

    def get(self, key: str) -> tuple[str, ...]:
        """The values of a key; () if it was not given."""
        return self.values.get(key, ())

    def exact(self, key: str, source: str) -> bool:
        """Whether a value equals `source`, or the key was not given."""
        values = self.get(key)
        return not values or source in values

    def prefix(self, key: str, *sources: str) -> bool:
        """Whether one of `sources` begins with a value, or the key was not given."""
        values = self.get(key)
        return not values or any(source.startswith(value) for value in values for source in sources)

    def pattern(self, key: str, *sources: str) -> bool:
        """Whether a value is found in one of `sources` as an unanchored regular expression, or the key was not given."""
        values = self.get(key)
        return not values or any(_search(value, source) for value in values for source in sources)

    def labels(self, labels: Mapping[str, str]) -> bool:
        """Whether all values of `label` are there, each `key` or `key=value`, and none of `label!`, which prunes know."""

        def there(value: str) -> bool:
            key, given, wanted = value.partition("=")
            return key in labels and (not given or labels[key] == wanted)

        return all(there(value) for value in self.get("label")) and not any(
            there(value) for value in self.get("label!")
        )

    def boolean(self, key: str) -> bool | None:
        """A key that is true or false; None if it was not given. Raises `Invalid`."""
        return flag(key, self.get(key))


def _search(pattern: str, source: str) -> bool:
    if pattern in source:
        return True
    try:
        return re.search(pattern, source) is not None
    except (re.error, RecursionError):
        return False


def parse_filters(text: str, known: frozenset[str]) -> Filters:
    """Read `{"key": ["value"]}` or `{"key": {"value": true}}`. Raises `Invalid` for anything else and for unknown keys."""
    if not text:
        return Filters()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"invalid filter: not JSON: {error}") from error
    if given is None:
        return Filters()
    if not isinstance(given, dict):
        raise Invalid("invalid filter: must be a JSON object of lists")
    values = {key: _values(key, found) for key, found in given.items()}
    for key in values:
        if key not in known:
            raise Invalid(f"invalid filter '{key}'")
    return Filters({key: found for key, found in values.items() if found})


def _values(key: str, given: object) -> tuple[str, ...]:
    """Both forms of a key's values."""
    if isinstance(given, dict):
        given = list(given)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(value, str) for value in given):
        raise Invalid(f"invalid filter: the values of {key!r} must be a list of texts")
    return tuple(given)


# --- containers ---


@attrs.frozen(kw_only=True)
class _Ports:
    exposed: tuple[PortRange, ...]
    published: tuple[PortRange, ...]

    def match(self, container: Container) -> bool:
        if any(each.holds(key) for each in self.exposed for key in container.config.exposed_ports):
            return True
        return any(
            wanted.contains(port, mapping.protocol)
            for mapping in container.ports
            for ranges, port in ((self.exposed, mapping.container_port), (self.published, mapping.host_port))
            for wanted in ranges
        )


def select_containers(
    containers: Sequence[Container],
    filters: Filters,
    *,
    everything: bool,
    limit: int,
    images: Callable[[], Sequence[ImageRecord]],
    find: Callable[[str], Container],
    find_image: Callable[[str], ImageRecord],
) -> list[Container]:
    """The containers (given newest first) that a list shows. Raises `Invalid` for values that cannot be, and `NotFound`."""
    for value in filters.get("health"):
        if value not in HEALTHS:
            raise Invalid(f"Unrecognised filter value for health: {value}")
    statuses, codes = _statuses(filters), [number("exited", value) for value in filters.get("exited")]
    ports = _Ports(
        exposed=tuple(port_range("expose", value) for value in filters.get("expose")),
        published=tuple(port_range("publish", value) for value in filters.get("publish")),
    )
    task = filters.boolean("is-task")
    if bad := [value for value in filters.get("health") if value not in HEALTH]:
        raise Invalid(f"unrecognized filter value for health: {bad[0]}")
    older, newer = (_bound(filters, key, find) for key in ("before", "since"))
    ancestors = _ancestors(filters, images, find_image) if filters.get("ancestor") else None
    if not filters.values and everything and limit <= 0:
        return list(containers)
    found: list[Container] = []
    for each in containers:
        if limit > 0 and len(found) == limit:
            break
        state = each.state
        if not (state.running or everything or limit > 0 or statuses) or task:
            continue
        if statuses and state.status not in statuses:
            continue
        if codes and (state.running or not state.started_ns or state.exit_code not in codes):
            continue
        if (older and each.created_ns >= older) or (newer and each.created_ns <= newer):
            continue
        if ancestors is not None and each.image_id not in ancestors:
            continue
        if (ports.exposed or ports.published) and not ports.match(each):
            continue
        if _named(filters, each) and _placed(filters, each):
            found.append(each)
    return found


def _statuses(filters: Filters) -> tuple[str, ...]:
    given = filters.get("status")
    if bad := [value for value in given if value not in STATUSES]:
        raise wrong("status", bad)
    return given


def _bound(filters: Filters, key: str, find: Callable[[str], Container]) -> int:
    """When the container named by before or since was created, 0 if none is named."""
    return find(filters.get(key)[0]).created_ns if filters.get(key) else 0


def _named(filters: Filters, container: Container) -> bool:
    return (
        filters.prefix("id", container.id)
        and filters.pattern("name", container.name, "/" + container.name)
        and filters.labels(container.config.labels)
        and filters.exact("health", container.state.health.status if container.state.health else "none")
        and filters.exact("isolation", container.host.isolation or "default")
    )


def _placed(filters: Filters, container: Container) -> bool:
    if volumes := filters.get("volume"):
        places = {place for mount in container.mounts for place in (mount.name or mount.source, mount.destination)}
        if places.isdisjoint(volumes):
            return False
    return not filters.get("network") or any(
        name == wanted or record.network_id.startswith(wanted)
        for wanted in filters.get("network")
        for name, record in container.networks.items()
    )


def _ancestors(
    filters: Filters, images: Callable[[], Sequence[ImageRecord]], find: Callable[[str], ImageRecord]
) -> set[str]:
    """The ids of the named images and of all that descend from them. Unknown names match nothing."""
    wanted: set[str] = set()
    for name in filters.get("ancestor"):
        try:
            wanted.add(find(name).id)
        except (NotFound, Invalid):
            continue
    grown = True
    records = images() if wanted else ()
    while grown:
        children = {record.id for record in records if record.image.parent in wanted} - wanted
        grown = bool(children)
        wanted |= children
    return wanted


# --- images, networks, volumes ---


def _until(filters: Filters, now_ns: int) -> int:
    """The moment before which things must have been made; 0 for any."""
    return min((moment("until", value, now_ns) for value in filters.get("until")), default=0)


def select_images(
    images: Iterable[ImageRecord],
    filters: Filters,
    *,
    everything: bool,
    now_ns: int,
    find: Callable[[str], ImageRecord],
) -> list[ImageRecord]:
    """The images that a list shows; nameless parents of other images only with `everything`, and not as dangling ones.

    With references an image shows those of its names that match.
    """
    images = list(images)
    dangling, references = filters.boolean("dangling"), filters.get("reference")
    until = _until(filters, now_ns)
    before, since = ([created(find(value).image.created) for value in filters.get(key)] for key in ("before", "since"))
    parents = {record.image.parent for record in images if record.image.parent}
    found = []
    for record in images:
        nameless = not record.tags and not record.digests
        if nameless and record.id in parents and (dangling or not everything):
            continue
        if (dangling is not None and nameless != dangling) or not filters.labels(record.image.config.labels):
            continue
        made = created(record.image.created)
        if any(made >= bound for bound in before) or any(made <= bound for bound in since) or (until and made > until):
            continue
        if references:
            record = _matching(record, references)
            if not (record.tags or record.digests):
                continue
        found.append(record)
    return found


def _matching(record: ImageRecord, references: Iterable[str]) -> ImageRecord:
    """The image with those of its names that match any of the references."""
    tags, digests = (
        tuple(name for name in names if any(matches_reference(wanted, name) for wanted in references))
        for names in (record.tags, record.digests)
    )
    return attrs.evolve(record, tags=tags, digests=digests)


def image_prune_candidates(images: Iterable[ImageRecord], filters: Filters, *, now_ns: int) -> list[ImageRecord]:
    """The images that a prune may remove: without a name, or any with `dangling=false`."""
    dangling = filters.boolean("dangling") is not False
    until = _until(filters, now_ns)
    return [
        record
        for record in images
        if not (dangling and (record.tags or record.digests))
        and not (until and created(record.image.created) > until)
        and filters.labels(record.image.config.labels)
    ]


def select_networks(
    networks: Iterable[NetworkRecord], filters: Filters, *, used: Callable[[str], bool]
) -> list[NetworkRecord]:
    """The networks that match; `used` tells whether containers are attached to the network of an id."""
    dangling = filters.boolean("dangling")
    if bad := [value for value in filters.get("type") if value not in ("custom", "builtin")]:
        raise wrong("type", bad)
    return [
        each
        for each in networks
        if filters.exact("driver", each.kind)
        and filters.exact("scope", "local")
        and filters.exact("type", "builtin" if each.predefined or each.name in PREDEFINED else "custom")
        and filters.pattern("name", each.name)
        and filters.prefix("id", each.id)
        and filters.labels(each.spec.labels)
        and (dangling is None or (each.predefined or used(each.id)) != dangling)
    ]


def select_volumes(
    volumes: Iterable[VolumeRecord], filters: Filters, *, used: Callable[[str], bool]
) -> list[VolumeRecord]:
    """The volumes that match; `used` tells whether a container refers to the volume of a name."""
    dangling = filters.boolean("dangling")
    return [
        each
        for each in volumes
        if filters.exact("driver", each.driver)
        and filters.pattern("name", each.name)
        and filters.labels(each.labels)
        and (dangling is None or used(each.name) != dangling)
    ]
