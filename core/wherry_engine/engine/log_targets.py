"""Where containers' output goes: what their log drivers make of the options."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.errors import Invalid
from wherry.model.containers import Container
from wherry.model.logs import LocalLog, LogInfo
from wherry.spec.log import LogDriver
from wherry.toolkit.options import describe, unknown_options
from wherry_engine.engine.drivers import Drivers
from wherry_engine.loader.catalog import UnknownDriver
from wherry_engine.loader.load import Driver


async def log_target(drivers: Drivers, container: Container) -> LocalLog:
    """What the container's log driver wants written. Raises `Invalid` for options that it refuses."""
    given = container.host.log_config.config
    driver = await knowing(drivers, container.log_driver, given)
    options = driver.parse("OPTIONS", given)
    info = LogInfo(
        container_id=container.id,
        container_name=container.name,
        image_name=container.config.image,
        image_id=container.image_id,
        command=(container.path, *container.args),
        labels=container.config.labels,
        env=dict(entry.partition("=")[::2] for entry in container.config.env),
    )
    return await drivers.call("container.start.log", driver, lambda hook: hook.start(log=info, options=options))


async def check_default_options(drivers: Drivers, name: str, given: Mapping[str, str]) -> None:
    """As with Docker, options that the default driver does not know end the start; what they say is for each container.

    Raises `Invalid`.
    """
    if given:
        try:
            await knowing(drivers, name, given)
        except Invalid as error:
            raise Invalid(f"failed to set log opts: {error.text}") from error


async def knowing(drivers: Drivers, name: str, given: Mapping[str, str]) -> Driver[LogDriver]:
    """The driver of this name, if it knows all these options. Raises `Invalid`."""
    try:
        driver = await drivers.get(LogDriver, name)
    except UnknownDriver as error:  # clients compare the text
        raise Invalid(f'error looking up logging plugin {name}: plugin "{name}" not found') from error
    if unknown := unknown_options(driver.cls.OPTIONS, given):
        known = ", ".join(sorted(each.key for each in describe(driver.cls.OPTIONS)))
        raise Invalid(f"unknown log opt '{unknown[0]}' for {name} log driver; known are {known or 'none'}")
    return driver
