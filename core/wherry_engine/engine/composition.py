"""Putting an engine's parts together: what each is given, in the one place that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from wherry.linux import cgroups
from wherry.model.containers import Container
from wherry.spec.storage import StorageDriver
from wherry_engine.engine.actors import Actors
from wherry_engine.engine.broadcasts import Broadcasts
from wherry_engine.engine.check import Check
from wherry_engine.engine.check_objects import Objects
from wherry_engine.engine.check_places import Places as HostPlaces
from wherry_engine.engine.check_records import Records
from wherry_engine.engine.container_archive import Archives
from wherry_engine.engine.container_book import Book
from wherry_engine.engine.container_commit import Committer
from wherry_engine.engine.container_create import Creator
from wherry_engine.engine.container_ends import Ends
from wherry_engine.engine.container_files import Folders
from wherry_engine.engine.container_launch import Launcher, Parts
from wherry_engine.engine.container_pause import Pauser
from wherry_engine.engine.container_run import Runner
from wherry_engine.engine.container_stats import Statistics
from wherry_engine.engine.container_stop import Stopper
from wherry_engine.engine.container_streams import Streams
from wherry_engine.engine.container_update import Updater
from wherry_engine.engine.container_verbs import Verbs
from wherry_engine.engine.container_view import Views
from wherry_engine.engine.containers import Containers
from wherry_engine.engine.drivers import Drivers
from wherry_engine.engine.endpoints import Endpoints
from wherry_engine.engine.events import Events
from wherry_engine.engine.execs import Execs
from wherry_engine.engine.groups import Groups
from wherry_engine.engine.health_probes import Prober
from wherry_engine.engine.image_book import ImageBook
from wherry_engine.engine.image_platform import Platform
from wherry_engine.engine.images import Images, make_images
from wherry_engine.engine.layer_names import snapshot_name
from wherry_engine.engine.layers import Layers
from wherry_engine.engine.link_remove import Unlinker
from wherry_engine.engine.memberships import Memberships
from wherry_engine.engine.network_care import NetworkCare
from wherry_engine.engine.networks import Networks
from wherry_engine.engine.processes import Processes, ProcessExit
from wherry_engine.engine.restarts import Restarts
from wherry_engine.engine.runtimes import Runtimes
from wherry_engine.engine.sandboxes import Sandboxes
from wherry_engine.engine.settings import Settings
from wherry_engine.engine.volumes import Volumes
from wherry_engine.journal.journal import Journal
from wherry_engine.loader.load import Driver
from wherry_engine.state.database import Database
from wherry_engine.work import Pool


@attrs.frozen(kw_only=True)
class Ground:
    """What the parts stand on."""

    settings: Settings
    instance: str  # the engine's id
    groups: Groups
    database: Database
    journal: Journal
    drivers: Drivers
    storage: Driver[StorageDriver]
    seccomp: str  # the profile of containers that name none; "" is the built-in one
    processes: Processes
    events: Events
    broadcasts: Broadcasts
    on_exit: Callable[[ProcessExit], None]


@attrs.frozen(kw_only=True)
class Composed:
    """The parts that an engine speaks to."""

    archives: Archives
    care: NetworkCare
    check: Check
    committer: Committer
    containers: Containers
    creator: Creator
    endpoints: Endpoints
    ends: Ends
    execs: Execs
    images: Images
    memberships: Memberships
    networks: Networks
    prober: Prober
    records: Records
    restarts: Restarts
    runtimes: Runtimes
    stopper: Stopper
    volumes: Volumes


def compose(given: Ground) -> Composed:
    """Make every part; nothing is done yet."""
    settings, database, journal = given.settings, given.database, given.journal
    drivers, events, storage, processes = given.drivers, given.events, given.storage, given.processes
    folders = Folders(settings.data_root, settings.exec_root)
    groups = given.groups
    actors, book = Actors(journal.settle), Book(database, events)
    runtimes = Runtimes(drivers, settings.runtimes, settings.default_runtime)
    layers = Layers(
        database=database, journal=journal, drivers=drivers, storage=storage, processes=processes,
        actors=actors, mounts=settings.data_root / "mounts", records=settings.data_root / "images" / "layers",
    )  # fmt: skip
    images = make_images(
        book=ImageBook(database, events, actors, book.image_users), journal=journal, layers=layers, drivers=drivers,
        storage=storage, processes=processes, data_root=settings.data_root,
        platform=Platform.of_host(),
    )  # fmt: skip
    networks = Networks(
        database=database, journal=journal, drivers=drivers, events=events, actors=actors,
        book=book, instance=given.instance, address_pools=settings.address_pools, options=settings.network_options,
    )  # fmt: skip
    volumes = Volumes(
        database=database, journal=journal, drivers=drivers, events=events, actors=actors,
        processes=processes, mounts=settings.data_root / "volume-mounts", users=book.volume_users,
    )  # fmt: skip
    endpoints = Endpoints(
        networks, drivers, Sandboxes(settings.exec_root), given.broadcasts, settings.dns, settings.host_gateway
    )
    parts = Parts(
        folders=folders,
        drivers=drivers,
        storage=storage,
        runtimes=runtimes,
        endpoints=endpoints,
        volumes=volumes,
        processes=processes,
        groups=groups,
        cgroup_version=cgroups.version(),
        init_path=settings.init_path,
        seccomp=given.seccomp,
        find=book.get,
        parent=partial(_parent, images),
        image_size=partial(_image_size, images),
    )
    launcher = Launcher(parts)
    streams = Streams(book, processes, folders)
    restarts = Restarts()
    execs = Execs(book, runtimes, folders, processes.execs, groups)
    prober = Prober(book, actors, execs)
    creator = Creator(
        book=book, journal=journal, parts=parts, launcher=launcher, images=images,
        networks=networks, defaults=settings.defaults,
    )  # fmt: skip
    runner = Runner(
        book=book, journal=journal, actors=actors, parts=parts, launcher=launcher, creator=creator,
        streams=streams, networks=networks, restarts=restarts, prober=prober,
    )  # fmt: skip
    ends = Ends(
        book=book, journal=journal, actors=actors, parts=parts, launcher=launcher, creator=creator, runner=runner,
        restarts=restarts, prober=prober,
    )  # fmt: skip
    pauser = Pauser(book=book, journal=journal, actors=actors, prober=prober, groups=groups)
    stopper = Stopper(
        book=book, actors=actors, processes=processes, creator=creator, runner=runner, streams=streams,
        pauser=pauser, restarts=restarts,
    )  # fmt: skip
    updater = Updater(
        book=book, journal=journal, actors=actors, groups=groups,
        cgroup_version=parts.cgroup_version,
    )  # fmt: skip
    verbs = Verbs(
        book=book, actors=actors, events=events, processes=processes, launcher=launcher,
        endpoints=endpoints, stopper=stopper, groups=groups,
    )  # fmt: skip
    statistics = Statistics(book=book, launcher=launcher, groups=groups, cgroup_version=parts.cgroup_version)
    containers = Containers(
        book=book, creator=creator, runner=runner, stopper=stopper, pauser=pauser, updater=updater,
        verbs=verbs, streams=streams, statistics=statistics, launcher=launcher, folders=folders,
        unlinker=Unlinker(book, journal, actors, folders),
    )  # fmt: skip
    memberships = Memberships(
        book=book, journal=journal, actors=actors, networks=networks, endpoints=endpoints,
        processes=processes, folders=folders,
    )  # fmt: skip
    care = NetworkCare(drivers=drivers, networks=networks, endpoints=endpoints, book=book, actors=actors)
    records = Records(
        containers, images, volumes, journal, endpoints,
        volume_mounts=settings.data_root / "volume-mounts",
    )  # fmt: skip
    pool = Pool("check", 2)
    objects = Objects(
        drivers=drivers, storage=storage, networks=networks, care=care, processes=processes,
        runtimes=runtimes, journal=journal, records=records, on_exit=given.on_exit,
    )  # fmt: skip
    check = Check(records, HostPlaces(folders, groups, pool), objects, actors, pool)
    views = Views(book=book, journal=journal, actors=actors, parts=parts, launcher=launcher)
    archives = Archives(book=book, parts=parts, views=views)
    committer = Committer(book=book, archives=archives, images=images, pauser=pauser)
    return Composed(
        archives=archives,
        care=care,
        check=check,
        committer=committer,
        containers=containers,
        creator=creator,
        endpoints=endpoints,
        ends=ends,
        execs=execs,
        images=images,
        memberships=memberships,
        networks=networks,
        prober=prober,
        records=records,
        restarts=restarts,
        runtimes=runtimes,
        stopper=stopper,
        volumes=volumes,
    )


def _parent(images: Images, container: Container) -> str | None:
    image = images.base(container.image_id)
    return snapshot_name(image.chain_ids[-1]) if image and image.chain_ids else None


def _image_size(images: Images, container: Container) -> int:
    image = images.base(container.image_id)
    return image.size if image else 0
