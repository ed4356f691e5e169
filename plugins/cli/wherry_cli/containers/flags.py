"""The flags that run and create share."""

from __future__ import annotations

from wherry_cli.containers.checks import (
    check_attach,
    check_cpus,
    check_dns,
    check_env,
    check_gpus,
    check_host,
    check_label,
    check_mount,
    check_network,
    check_sysctl,
    check_ulimit,
)
from wherry_cli.options import Option

AGAIN = "May be repeated."

PROCESS = (
    Option("attach", "a", "list", f"Connect only this stream: stdin, stdout or stderr. {AGAIN}", check=check_attach),
    Option("detach-keys", "", "string", "Disconnect on this sequence of keys, such as 'ctrl-x,q'.", shown="ctrl-p,ctrl-q"),
    Option("entrypoint", "", "string", "Run this program instead of the image's entry point; empty text removes it."),
    Option("env", "e", "list", f"Set an environment variable, as NAME=VALUE, or as NAME to take over this shell's value. {AGAIN}", check=check_env),
    Option("env-file", "", "list", f"Read environment variables from a file, one a line. {AGAIN}"),
    Option("group-add", "", "list", f"Run with this additional group, by name or number. {AGAIN}"),
    Option("init", "", "bool", "Run a small init as the first process; it passes signals on and reaps orphans."),
    Option("interactive", "i", "bool", "Keep the container's stdin open."),
    Option("stop-signal", "", "string", "Ask the container to end with this signal."),
    Option("stop-timeout", "", "int", "Kill the container when it has not ended after this many seconds; -1 waits for ever.", shown="10"),
    Option("tty", "t", "bool", "Give the container a terminal."),
    Option("user", "u", "string", "Run as this user, as NAME or NUMBER, perhaps with :GROUP."),
    Option("workdir", "w", "string", "Run in this directory; it is made if it is missing."),
)  # fmt: skip

CONTAINER = (
    Option("annotation", "", "map", f"Pass an annotation to the OCI runtime, as NAME=VALUE. {AGAIN}"),
    Option("cidfile", "", "string", "Write the container's id to this file, which must not exist."),
    Option("disable-content-trust", "", "bool", "Do not check an image's signature. Signatures are never checked by this client.", True),
    Option("label", "l", "list", f"Set a label, as NAME or NAME=VALUE. {AGAIN}", check=check_label),
    Option("label-file", "", "list", f"Read labels from a file, one a line. {AGAIN}"),
    Option("log-driver", "", "string", "Record output with this log driver instead of the engine's default."),
    Option("log-opt", "", "list", f"Give the log driver an option, as NAME=VALUE. {AGAIN}"),
    Option("name", "", "string", "Give the container this name."),
    Option("platform", "", "string", "Use the image for this platform, as OS/ARCHITECTURE[/VARIANT]."),
    Option("pull", "", "string", "Pull the image 'always', when it is 'missing', or 'never'.", "missing"),
    Option("quiet", "q", "bool", "Do not show the progress of a pull."),
    Option("restart", "", "string", "Start again after an exit: 'no', 'always', 'unless-stopped', 'on-failure' or 'on-failure:TIMES'.", "no"),
    Option("rm", "", "bool", "Remove the container and its anonymous volumes when it has ended."),
    Option("runtime", "", "string", "Run the container with this OCI runtime."),
)  # fmt: skip

HEALTH = (
    Option("health-cmd", "", "string", "Check the container's health with this shell command."),
    Option("health-interval", "", "duration", "Wait this long between two checks, such as 30s.", shown="0s"),
    Option("health-retries", "", "int", "Call the container unhealthy after this many failures in a row."),
    Option("health-start-interval", "", "duration", "Wait this long between two checks while the container starts up.", shown="0s"),
    Option("health-start-period", "", "duration", "Do not count failures while the container starts up, for this long.", shown="0s"),
    Option("health-timeout", "", "duration", "Count a check that takes longer as a failure.", shown="0s"),
    Option("no-healthcheck", "", "bool", "Do not run the image's health check."),
)  # fmt: skip

NETWORK = (
    Option("add-host", "", "list", f"Add a line to /etc/hosts, as HOST:ADDRESS; the address 'host-gateway' is this host's. {AGAIN}", check=check_host),
    Option("dns", "", "list", f"Ask this DNS server. {AGAIN}", check=check_dns),
    Option("dns-opt", "", "list", "", target="dns-option"),
    Option("dns-option", "", "list", f"Add an option to the resolver's configuration. {AGAIN}"),
    Option("dns-search", "", "list", f"Look up short names in this domain too; '.' means in none. {AGAIN}"),
    Option("domainname", "", "string", "Set the NIS domain name."),
    Option("expose", "", "list", f"Note that the container listens on this port or range of ports, as PORT[-PORT][/PROTOCOL]. {AGAIN}"),
    Option("hostname", "h", "string", "Set the host name, instead of the container's short id."),
    Option("ip", "", "string", "Give the container this IPv4 address in its network."),
    Option("ip6", "", "string", "Give the container this IPv6 address in its network."),
    Option("link", "", "list", f"Make another container known in this one, as NAME or NAME:ALIAS. {AGAIN}"),
    Option("link-local-ip", "", "list", f"Give the container this link-local address too. {AGAIN}"),
    Option("mac-address", "", "string", "Give the container's interface this MAC address."),
    Option("net", "", "network", "", target="network", check=check_network),
    Option("net-alias", "", "list", "", target="network-alias"),
    Option("network", "", "network", f"Connect to this network: NAME, host, none, container:NAME, or name=NAME,alias=X,ip=ADDRESS. {AGAIN}", check=check_network),
    Option("network-alias", "", "list", f"Make the container known in its network under this name too. {AGAIN}"),
    Option("publish", "p", "list", f"Publish a port of the container, as [[ADDRESS:]PORT:]CONTAINER-PORT[/PROTOCOL]; ports may be ranges. {AGAIN}"),
    Option("publish-all", "P", "bool", "Publish every exposed port on a free port of the host."),
)  # fmt: skip

FILES = (
    Option("device", "", "list", f"Show a device of the host in the container, as PATH[:PATH-INSIDE[:rwm]]. {AGAIN}"),
    Option("device-cgroup-rule", "", "list", f"Allow access to devices by a rule such as 'c 1:3 rwm'. {AGAIN}"),
    Option("gpus", "", "gpu-request", "Give the container GPUs: 'all', a number, or device=ID,...", check=check_gpus),
    Option("mount", "", "mount", f"Mount something, as type=bind|volume|tmpfs,source=X,target=PATH and further options. {AGAIN}", check=check_mount),
    Option("read-only", "", "bool", "Let the container write to its volumes only."),
    Option("shm-size", "", "bytes", "Make /dev/shm this large.", shown="64m"),
    Option("storage-opt", "", "list", f"Give the storage driver an option for this container, as NAME=VALUE. {AGAIN}"),
    Option("tmpfs", "", "list", f"Mount an empty file system in memory, as PATH[:OPTIONS]. {AGAIN}"),
    Option("volume", "v", "list", f"Mount a volume or a path of the host, as [SOURCE:]PATH[:OPTIONS]. {AGAIN}"),
    Option("volume-driver", "", "string", "Create volumes with this driver."),
    Option("volumes-from", "", "list", f"Mount what another container mounts, as NAME or NAME:ro. {AGAIN}"),
)  # fmt: skip

SECURITY = (
    Option("cap-add", "", "list", f"Add a capability, or ALL. {AGAIN}"),
    Option("cap-drop", "", "list", f"Take a capability away, or ALL. {AGAIN}"),
    Option("cgroupns", "", "string", "Use a cgroup namespace of its own ('private') or the host's ('host')."),
    Option("ipc", "", "string", "Share IPC: none, private, shareable, host or container:NAME."),
    Option("isolation", "", "string", "Use this isolation; Linux knows only 'default'."),
    Option("pid", "", "string", "See the processes of 'host' or 'container:NAME'."),
    Option("privileged", "", "bool", "Take away all protection: every capability, device and system call."),
    Option("security-opt", "", "list", f"Set a security option, such as no-new-privileges or seccomp=FILE. {AGAIN}"),
    Option("sysctl", "", "map", f"Set a kernel parameter of the container's namespaces, as NAME=VALUE. {AGAIN}", check=check_sysctl),
    Option("userns", "", "string", "Use the host's user namespace ('host') where the engine maps users."),
    Option("uts", "", "string", "Use the host's name ('host')."),
)  # fmt: skip

LIMITS = (
    Option("blkio-weight", "", "uint16", "Weigh this container's disk access against others, from 10 to 1000."),
    Option("blkio-weight-device", "", "list", f"Weigh access to one device, as PATH:WEIGHT. {AGAIN}"),
    Option("cgroup-parent", "", "string", "Put the container's cgroup below this one."),
    Option("cpu-count", "", "int", "Number of CPUs (Windows only)."),
    Option("cpu-percent", "", "int", "Percentage of the CPUs (Windows only)."),
    Option("cpu-period", "", "int", "Account CPU time in periods of this many microseconds."),
    Option("cpu-quota", "", "int", "Allow this many microseconds of CPU time in each period."),
    Option("cpu-rt-period", "", "int", "Account realtime CPU time in periods of this many microseconds."),
    Option("cpu-rt-runtime", "", "int", "Allow this many microseconds of realtime CPU time in each period."),
    Option("cpu-shares", "c", "int", "Weigh this container's CPU time against others; 1024 is usual."),
    Option("cpus", "", "decimal", "Allow as much CPU time as this many CPUs give, such as 1.5.", check=check_cpus),
    Option("cpuset-cpus", "", "string", "Run only on these CPUs, such as 0-2,7."),
    Option("cpuset-mems", "", "string", "Use only the memory of these NUMA nodes."),
    Option("device-read-bps", "", "list", f"Limit reading from a device, as PATH:BYTES-A-SECOND. {AGAIN}"),
    Option("device-read-iops", "", "list", f"Limit reading from a device, as PATH:OPERATIONS-A-SECOND. {AGAIN}"),
    Option("device-write-bps", "", "list", f"Limit writing to a device, as PATH:BYTES-A-SECOND. {AGAIN}"),
    Option("device-write-iops", "", "list", f"Limit writing to a device, as PATH:OPERATIONS-A-SECOND. {AGAIN}"),
    Option("io-maxbandwidth", "", "bytes", "Bandwidth of the system drive (Windows only)."),
    Option("io-maxiops", "", "int", "Operations of the system drive (Windows only)."),
    Option("kernel-memory", "", "bytes", "Has no effect any more: kernels do not limit their own memory apart."),
    Option("memory", "m", "bytes", "Allow this much memory, such as 512m."),
    Option("memory-reservation", "", "bytes", "Try to bring the container below this much memory when memory is short."),
    Option("memory-swap", "", "bytes", "Allow this much memory and swap together; -1 allows any amount of swap."),
    Option("memory-swappiness", "", "int", "Swap this container's memory this readily, from 0 to 100.", -1),
    Option("oom-kill-disable", "", "bool", "Stall the container instead of killing it when its memory is used up."),
    Option("oom-score-adj", "", "int", "Make the kernel kill this container sooner or later when memory is short, from -1000 to 1000."),
    Option("pids-limit", "", "int", "Allow this many processes; -1 allows any number."),
    Option("ulimit", "", "ulimit", f"Set a resource limit of the processes, as NAME=SOFT[:HARD]. {AGAIN}", check=check_ulimit),
)  # fmt: skip

SHARED = (*PROCESS, *CONTAINER, *HEALTH, *NETWORK, *FILES, *SECURITY, *LIMITS)
