"""wherry info."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.commands._common import INSPECT_FORMAT_HELP
from wherry_cli.errors import CliError
from wherry_cli.options import Option, Values
from wherry_cli.output.human import binary_size
from wherry_client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Info = Mapping[str, Any]


def run(app: App, values: Values, arguments: list[str]) -> int:
    """Show the engine's own account of itself; its warnings go to stderr."""
    from wherry_cli.commands.version import client_version

    form = values["format"]
    if form:
        app.print(_formatted(app.client.call("GET", "/info"), form, client_version()))
        return 0
    app.write(f"Client:\n Version:    {client_version()}\n Debug Mode: false\n\nServer:\n")
    try:
        info = app.client.call("GET", "/info")
    except ClientError as error:
        app.say(str(error))
        return 1
    app.write("".join(f"{line}\n" for line in _lines(info)) + "\n")
    for warning in info.get("Warnings") or []:
        app.say(warning)
    return 0


def _formatted(info: dict[str, Any], form: str, version: str) -> str:
    data = {**info, "ClientInfo": {"Debug": False, "Version": version, "Plugins": [], "Warnings": None}}
    if form == "json":
        from wherry_cli.output.jsontext import compact

        return compact(data)
    from wherry_cli.output.template import Template, TemplateError

    try:
        return Template(form).render(data)
    except TemplateError as error:
        raise CliError(
            f"template parsing error: {error}" if error.parsing else str(error), 64 if error.parsing else 1
        ) from None


def _lines(info: Info) -> Iterator[str]:
    yield from _counts(info)
    yield from _plugins(info)
    yield from _processes(info)
    yield from _host(info)
    yield from _settings(info)


def _counts(info: Info) -> Iterator[str]:
    yield f" Containers: {info['Containers']}"
    yield f"  Running: {info['ContainersRunning']}"
    yield f"  Paused: {info['ContainersPaused']}"
    yield f"  Stopped: {info['ContainersStopped']}"
    yield f" Images: {info['Images']}"
    yield from _when(info, "Server Version", "ServerVersion")
    yield from _when(info, "Storage Driver", "Driver")
    for name, value in info.get("DriverStatus") or []:
        yield f"  {name}: {value}"
    yield from _when(info, "Logging Driver", "LoggingDriver")
    yield from _when(info, "Cgroup Driver", "CgroupDriver")
    yield from _when(info, "Cgroup Version", "CgroupVersion")


def _plugins(info: Info) -> Iterator[str]:
    plugins = info.get("Plugins") or {}
    yield " Plugins:"
    yield f"  Volume: {' '.join(plugins.get('Volume') or [])}"
    yield f"  Network: {' '.join(plugins.get('Network') or [])}"
    if plugins.get("Authorization"):
        yield f"  Authorization: {' '.join(plugins['Authorization'])}"
    yield f"  Log: {' '.join(plugins.get('Log') or [])}"
    if info.get("CDISpecDirs"):
        yield " CDI spec directories:"
        yield from (f"  {path}" for path in info["CDISpecDirs"])


def _processes(info: Info) -> Iterator[str]:
    swarm = info.get("Swarm") or {}
    yield f" Swarm: {swarm.get('LocalNodeState', '')}"
    if swarm.get("Error"):
        yield f"  Error: {swarm['Error']}"
    if info.get("Runtimes"):
        yield f" Runtimes: {' '.join(sorted(info['Runtimes']))}"
        yield f" Default Runtime: {info.get('DefaultRuntime', '')}"
    if info.get("OSType") == "linux":
        yield f" Init Binary: {info.get('InitBinary', '')}"
        for title, name in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
            yield f" {title} version: {(info.get(name) or {}).get('ID', '')}"
        if info.get("SecurityOptions"):
            yield " Security Options:"
            for option in info["SecurityOptions"]:
                yield from _security(option)


def _security(option: str) -> Iterator[str]:
    parts = [part.partition("=")[::2] for part in option.split(",")]
    for name, value in parts:
        yield f"  {value}" if name == "name" else f"   {name[:1].upper() + name[1:]}: {value}"


def _host(info: Info) -> Iterator[str]:
    for title, name in (
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    ):
        yield from _when(info, title, name)
    yield f" CPUs: {info.get('NCPU', 0)}"
    yield f" Total Memory: {binary_size(info.get('MemTotal', 0))}"
    for title, name in (("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir")):
        yield from _when(info, title, name)


def _settings(info: Info) -> Iterator[str]:
    yield f" Debug Mode: {_truth(info.get('Debug'))}"
    if info.get("Debug"):
        for title, name in (
            ("File Descriptors", "NFd"),
            ("Goroutines", "NGoroutines"),
            ("System Time", "SystemTime"),
            ("EventsListeners", "NEventsListener"),
        ):
            yield f"  {title}: {info.get(name, '')}"
    for title, name in (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")):
        yield from _when(info, title, name)
    yield from _listed("Labels", info.get("Labels"))
    yield f" Experimental: {_truth(info.get('ExperimentalBuild'))}"
    registries = info.get("RegistryConfig") or {}
    secure = [
        name for name, entry in sorted((registries.get("IndexConfigs") or {}).items()) if not entry.get("Secure", True)
    ]
    yield from _listed("Insecure Registries", [*secure, *(registries.get("InsecureRegistryCIDRs") or [])])
    yield from _listed("Registry Mirrors", registries.get("Mirrors"))
    yield f" Live Restore Enabled: {_truth(info.get('LiveRestoreEnabled'))}"
    yield from _when(info, "Product License", "ProductLicense")
    pools = [f"Base: {pool['Base']}, Size: {pool['Size']}" for pool in info.get("DefaultAddressPools") or []]
    yield from _listed("Default Address Pools", pools, "   ")
    if info.get("FirewallBackend"):
        yield f" Firewall Backend: {info['FirewallBackend'].get('Driver', '')}"


def _when(info: Info, title: str, name: str) -> Iterator[str]:
    if info.get(name):
        yield f" {title}: {info[name]}"


def _listed(title: str, items: Any, indent: str = "  ") -> Iterator[str]:
    if items:
        yield f" {title}:"
        yield from (f"{indent}{item}" for item in items)


def _truth(value: object) -> str:
    return "true" if value else "false"


INFO = Command(
    "system info",
    "[OPTIONS]",
    "Show what the engine has and can do.",
    run,
    (Option("format", "f", "string", INSPECT_FORMAT_HELP),),
)
