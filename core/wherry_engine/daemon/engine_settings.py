"""From the daemon's configuration to the engine's settings."""

from __future__ import annotations

from collections.abc import Mapping

from wherry.model.system import Registries
from wherry_engine.daemon.config import Config
from wherry_engine.engine.ipam import DEFAULT_POOLS
from wherry_engine.engine.resolv_conf import ResolvConf
from wherry_engine.engine.settings import Settings


def engine_settings(config: Config, environment: Mapping[str, str]) -> Settings:
    """How the engine is to run; `environment` is the supervisor's."""
    return Settings(
        data_root=config.data_root,
        exec_root=config.exec_root,
        storage_driver=config.storage_driver,
        defaults=config.defaults,
        labels=config.labels,
        runtimes=config.runtimes,
        default_runtime=config.default_runtime,
        cgroup_parent=config.cgroup_parent,
        init_path=config.init_path,
        seccomp_profile=config.seccomp_profile,
        default_bridge=config.default_bridge,
        address_pools=config.default_address_pools or DEFAULT_POOLS,
        network_options=config.default_network_opts,
        host_gateway=config.host_gateway_ip,
        dns=ResolvConf(config.dns, config.dns_search, config.dns_opts),
        driver_configs=config.driver_configs,
        preferred=config.preferred,
        trusted=config.trusted,
        environment=environment,
        registries=Registries(
            mirrors=config.registry_mirrors,
            insecure=("::1/128", "127.0.0.0/8", *config.insecure_registries),
            http_proxy=config.proxies.get("http-proxy", ""),
            https_proxy=config.proxies.get("https-proxy", ""),
            no_proxy=config.proxies.get("no-proxy", ""),
        ),
        experimental=config.experimental,
        debug=config.debug,
        live_restore=config.live_restore,
        shutdown_timeout=config.shutdown_timeout,
    )
