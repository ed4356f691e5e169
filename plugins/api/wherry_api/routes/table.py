"""All routes there are, in one table: what is not here has no answer, and the API's document lists the same."""

from __future__ import annotations

from wherry_api.router import Route
from wherry_api.routes import (
    container_files,
    container_stats,
    container_streams,
    container_verbs,
    containers,
    events,
    execs,
    images,
    networks,
    plugins,
    swarm,
    system,
    volumes,
    wherry,
)

ROUTES: tuple[Route, ...] = (
    *system.ROUTES,
    *events.ROUTES,
    *containers.ROUTES,
    *container_streams.ROUTES,
    *container_stats.ROUTES,
    *execs.ROUTES,
    *container_files.ROUTES,
    *container_verbs.ROUTES,
    *images.ROUTES,
    *networks.ROUTES,
    *volumes.ROUTES,
    *plugins.ROUTES,
    *swarm.ROUTES,
    *wherry.ROUTES,
)
