"""Values of flags that are refused while the command line is read; what parses them properly stays unimported till then."""

from __future__ import annotations

_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)


def check_host(text: str) -> None:
    """`HOST:ADDRESS` of --add-host. Raises ValueError."""
    from wherry_cli.containers.networks import extra_host

    extra_host(text)


def check_mount(text: str) -> None:
    """One --mount. Raises ValueError."""
    from wherry_cli.containers.mounts import mount

    mount(text)


def check_network(text: str) -> None:
    """One --network. Raises ValueError."""
    from wherry_cli.containers.networks import network

    network(text)


def check_ulimit(text: str) -> None:
    """One --ulimit. Raises ValueError."""
    from wherry_cli.containers.limits import ulimit

    ulimit(text)


def check_attach(text: str) -> None:
    """One --attach. Raises ValueError."""
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")


def check_cpus(text: str) -> None:
    """--cpus. Raises ValueError."""
    from wherry_cli.containers.limits import nano_cpus

    nano_cpus(text)


def check_env(text: str) -> None:
    """One --env. Raises ValueError."""
    if text.startswith("=") or not text:
        raise ValueError(f"invalid environment variable: {text}")


def check_gpus(text: str) -> None:
    """One --gpus. Raises ValueError."""
    from wherry_cli.containers.limits import gpu_request

    gpu_request(text)


def check_label(text: str) -> None:
    """One --label. Raises ValueError."""
    name = text.partition("=")[0].lstrip()
    if not name:
        raise ValueError(f"invalid label '{text}': empty name")
    if name.split() != [name]:
        raise ValueError(f"label '{text.partition('=')[0].lstrip()}' contains whitespaces")


def check_dns(text: str) -> None:
    """One --dns. Raises ValueError."""
    from ipaddress import ip_address

    try:
        ip_address(text.strip().partition("%")[0])
    except ValueError:
        raise ValueError(f"IP address is not correctly formatted: {text}") from None


def check_sysctl(text: str) -> None:
    """One --sysctl: those of namespaces. Raises ValueError."""
    name, equals, _ = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
