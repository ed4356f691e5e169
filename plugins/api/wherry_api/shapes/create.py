"""The body of a container's creation, as the engine's values. Faults are noted in the body's list, all of them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from wherry.model.configs import (
    BindOptions,
    Config,
    HealthConfig,
    HostConfig,
    LogConfig,
    MountRequest,
    PortBinding,
    Resources,
    RestartPolicy,
    TmpfsOptions,
    VolumeOptions,
)
from wherry.model.containers import ContainerSpec
from wherry.model.networks import EndpointSpec
from wherry_api.shapes.endpoints import read_endpoint
from wherry_api.shapes.ports import is_host_port, port_key
from wherry_api.shapes.read import Fields, maybe_sections
from wherry_api.shapes.resources import read_resources
from wherry_api.versions import Version

DEFAULT_NETWORK = "default"  # of whatever network the engine has for those who name none
_MAC_WARNING = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)


def read_container(body: Fields, name: str, platform: str, version: Version) -> tuple[ContainerSpec, list[str]]:
    """What a client asks for, and warnings about how it asked. Raises `Invalid` with all that is wrong in the body."""
    config, host = read_config(body), read_host_config(body.section("HostConfig"))
    networking = body.section("NetworkingConfig")
    endpoints = {key: read_endpoint(each) for key, each in networking.section_map("EndpointsConfig").items()}
    # Where docker-py has it, and where Docker once read what belongs into HostConfig.
    host = attrs.evolve(host, runtime=host.runtime or body.text("Runtime"))
    host = _for_version(host, version)
    if DEFAULT_NETWORK in endpoints:
        endpoints[host.network_mode] = endpoints.pop(DEFAULT_NETWORK)
    if version < (1, 44) and len(endpoints) > 1:
        names = ", ".join(sorted(endpoints))
        networking.fault("", f"Container cannot be created with multiple network endpoints: {names}")
    warnings = _place_mac(config, host, endpoints, body, version)
    body.check()
    return ContainerSpec(name=name, config=config, host=host, endpoints=endpoints, platform=platform), warnings


def _for_version(host: HostConfig, version: Version) -> HostConfig:
    """Old clients were promised other defaults."""
    if not host.network_mode:
        host = attrs.evolve(host, network_mode=DEFAULT_NETWORK)
    if version < (1, 40) and not host.ipc_mode:
        host = attrs.evolve(host, ipc_mode="shareable")
    if version < (1, 25) and host.auto_remove:  # the client removes
        host = attrs.evolve(host, auto_remove=False)
    return host


def _place_mac(
    config: Config, host: HostConfig, endpoints: dict[str, EndpointSpec], body: Fields, version: Version
) -> list[str]:
    """An address that was given for the whole container is that of its main network."""
    mac, mode = config.mac_address, host.network_mode
    if not mac:
        return []
    if mode in ("host", "none") or mode.startswith("container:"):
        body.fault("", "conflicting options: mac-address and the network mode")
        return []
    found = endpoints.get(mode, EndpointSpec())
    if found.mac_address not in ("", mac):
        body.fault(
            "",
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        )
    endpoints[mode] = attrs.evolve(found, mac_address=mac)
    return [_MAC_WARNING] if version >= (1, 44) else []


def read_config(body: Fields) -> Config:
    """The Config part; it lies in the body itself."""
    env = body.texts("Env")
    for index, value in enumerate(env):
        if not value or value.startswith("="):
            body.fault(f"Env[{index}]", f"is an invalid environment variable: {value!r}")
    health = body.maybe_section("Healthcheck")
    return Config(
        hostname=body.text("Hostname"),
        domainname=body.text("Domainname"),
        user=body.text("User"),
        attach_stdin=body.boolean("AttachStdin"),
        attach_stdout=body.boolean("AttachStdout"),
        attach_stderr=body.boolean("AttachStderr"),
        exposed_ports=_exposed(body),
        tty=body.boolean("Tty"),
        open_stdin=body.boolean("OpenStdin"),
        stdin_once=body.boolean("StdinOnce"),
        env=env,
        cmd=body.command("Cmd"),
        healthcheck=None if health is None else read_health(health),
        args_escaped=body.boolean("ArgsEscaped"),
        image=body.text("Image"),
        volumes=body.keys("Volumes"),
        working_dir=body.text("WorkingDir"),
        entrypoint=body.command("Entrypoint"),
        network_disabled=body.boolean("NetworkDisabled"),
        mac_address=body.text("MacAddress"),
        on_build=body.maybe_texts("OnBuild"),
        labels=body.text_map("Labels"),
        stop_signal=body.text("StopSignal"),
        stop_timeout=body.maybe_integer("StopTimeout"),
        shell=body.command("Shell"),
    )


def _exposed(body: Fields) -> tuple[str, ...]:
    found = []
    for key in body.keys("ExposedPorts"):
        if (port := port_key(key)) is None:
            body.fault("ExposedPorts", f"has an invalid port specification: {key!r}")
        else:
            found.append(port)
    return tuple(found)


def read_health(fields: Fields) -> HealthConfig:
    """A health check."""
    return HealthConfig(
        test=fields.maybe_texts("Test"),
        interval=fields.integer("Interval"),
        timeout=fields.integer("Timeout"),
        start_period=fields.integer("StartPeriod"),
        start_interval=fields.integer("StartInterval"),
        retries=fields.integer("Retries"),
    )


def read_host_config(host: Fields) -> HostConfig:
    """The HostConfig part."""
    logging, restart = host.section("LogConfig"), host.section("RestartPolicy")
    console = host.integers("ConsoleSize")
    if console and (len(console) != 2 or min(console) < 0):
        host.fault("ConsoleSize", "must be [height, width]")
        console = ()
    return HostConfig(
        resources=read_resources(host),
        binds=host.maybe_texts("Binds"),
        container_id_file=host.text("ContainerIDFile"),
        log_config=LogConfig(type=logging.text("Type"), config=logging.text_map("Config")),
        network_mode=host.text("NetworkMode"),
        port_bindings=_bindings(host),
        restart_policy=read_policy(restart),
        auto_remove=host.boolean("AutoRemove"),
        volume_driver=host.text("VolumeDriver"),
        volumes_from=host.maybe_texts("VolumesFrom"),
        mounts=maybe_sections(host, "Mounts", _mount),
        console_size=(console[0], console[1]) if console else (0, 0),
        annotations=host.maybe_text_map("Annotations"),
        cap_add=host.command("CapAdd"),
        cap_drop=host.command("CapDrop"),
        cgroupns_mode=host.text("CgroupnsMode"),
        dns=host.texts("Dns"),
        dns_options=host.texts("DnsOptions"),
        dns_search=host.texts("DnsSearch"),
        extra_hosts=host.maybe_texts("ExtraHosts"),
        group_add=host.maybe_texts("GroupAdd"),
        ipc_mode=host.text("IpcMode"),
        cgroup=host.text("Cgroup"),
        links=host.maybe_texts("Links"),
        oom_score_adj=host.integer("OomScoreAdj"),
        pid_mode=host.text("PidMode"),
        privileged=host.boolean("Privileged"),
        publish_all_ports=host.boolean("PublishAllPorts"),
        readonly_rootfs=host.boolean("ReadonlyRootfs"),
        security_opt=host.maybe_texts("SecurityOpt"),
        storage_opt=host.maybe_text_map("StorageOpt"),
        tmpfs=host.maybe_text_map("Tmpfs"),
        uts_mode=host.text("UTSMode"),
        userns_mode=host.text("UsernsMode"),
        shm_size=host.integer("ShmSize"),
        sysctls=host.maybe_text_map("Sysctls"),
        runtime=host.text("Runtime"),
        isolation=host.text("Isolation"),
        init=host.maybe_boolean("Init"),
        masked_paths=host.maybe_texts("MaskedPaths"),
        readonly_paths=host.maybe_texts("ReadonlyPaths"),
    )


def read_policy(fields: Fields) -> RestartPolicy:
    """A restart policy."""
    return RestartPolicy(name=fields.text("Name") or "no", maximum_retry_count=fields.integer("MaximumRetryCount"))


def read_update(body: Fields) -> tuple[Resources, RestartPolicy | None]:
    """Limits to change, and the restart policy if it is to change. Raises `Invalid`."""
    limits, policy = read_resources(body), body.section("RestartPolicy")
    found = read_policy(policy) if policy.text("Name") else None
    body.check()
    return limits, found


def _bindings(host: Fields) -> Mapping[str, tuple[PortBinding, ...]]:
    section = host.section("PortBindings")
    found: dict[str, tuple[PortBinding, ...]] = {}
    for key in host.keys("PortBindings"):
        port = port_key(key)
        if port is None:
            host.fault("PortBindings", f"has an invalid port specification: {key!r}")
            continue
        bindings = []
        for each in section.sections(key):
            binding = PortBinding(host_ip=each.text("HostIp"), host_port=each.text("HostPort"))
            if not is_host_port(binding.host_port):
                each.fault("HostPort", f"is an invalid port specification: {binding.host_port!r}")
            bindings.append(binding)
        found[port] = (*found.get(port, ()), *bindings)
    return found


def _mount(fields: Fields) -> MountRequest:
    bind, volume, tmpfs = (fields.maybe_section(f"{kind}Options") for kind in ("Bind", "Volume", "Tmpfs"))
    return MountRequest(
        type=fields.text("Type"),
        target=fields.text("Target"),
        source=fields.text("Source"),
        read_only=fields.boolean("ReadOnly"),
        consistency=fields.text("Consistency"),
        bind_options=None if bind is None else _bind_options(bind),
        volume_options=None if volume is None else _volume_options(volume),
        tmpfs_options=None
        if tmpfs is None
        else TmpfsOptions(size_bytes=tmpfs.integer("SizeBytes"), mode=tmpfs.integer("Mode")),
    )


def _bind_options(fields: Fields) -> BindOptions:
    return BindOptions(
        propagation=fields.text("Propagation"),
        non_recursive=fields.boolean("NonRecursive"),
        create_mountpoint=fields.boolean("CreateMountpoint"),
        read_only_non_recursive=fields.boolean("ReadOnlyNonRecursive"),
        read_only_force_recursive=fields.boolean("ReadOnlyForceRecursive"),
    )


def _volume_options(fields: Fields) -> VolumeOptions:
    driver = fields.section("DriverConfig")
    return VolumeOptions(
        no_copy=fields.boolean("NoCopy"),
        labels=fields.text_map("Labels"),
        driver_name=driver.text("Name"),
        driver_options=driver.text_map("Options"),
        subpath=fields.text("Subpath"),
    )
