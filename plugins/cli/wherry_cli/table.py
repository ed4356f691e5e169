"""Every command: its module, the name of its Command there, and its summary. Modules are imported when they run.

Written by hand and checked by a test against the modules themselves.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str, str]] = {
    "container attach": ("attach", "ATTACH", "Connect this terminal to a running container."),
    "container commit": ("container_files", "COMMIT", "Make an image of what a container changed."),
    "container cp": ("cp", "CP", "Copy files between a container and this host."),
    "container create": ("run", "CREATE", "Create a container without starting it."),
    "container exec": ("exec", "EXEC", "Run another program in a running container."),
    "container diff": ("container_files", "DIFF", "Show what a container changed of its image's files."),
    "container export": ("container_files", "EXPORT", "Write a container's root file system to an archive."),
    "container inspect": ("inspect", "CONTAINER_INSPECT", "Show all details of containers."),
    "container kill": ("lifecycle", "KILL", "Send a signal to running containers."),
    "container logs": ("logs", "LOGS", "Show what a container has written."),
    "container ls": ("ps", "PS", "List containers."),
    "container pause": ("verbs", "PAUSE", "Let all processes of containers stand still."),
    "container port": ("verbs", "PORT", "Show where a container's ports are published."),
    "container prune": ("prune", "CONTAINER_PRUNE", "Remove all stopped containers."),
    "container rename": ("verbs", "RENAME", "Give a container another name."),
    "container restart": ("lifecycle", "RESTART", "Stop and start containers."),
    "container rm": ("lifecycle", "RM", "Remove containers."),
    "container run": ("run", "RUN", "Create a container from an image and start it."),
    "container start": ("start", "START", "Start containers that are not running."),
    "container stats": (
        "stats",
        "STATS",
        "Show what running containers use: processors, memory, network, disks.",
    ),
    "container stop": ("lifecycle", "STOP", "Stop running containers."),
    "container top": ("verbs", "TOP", "Show the processes of a container, as the host's ps does."),
    "container unpause": ("verbs", "UNPAUSE", "Let the processes of paused containers go on."),
    "container update": (
        "verbs",
        "UPDATE",
        "Change limits and restart policy of containers; those that run have them at once.",
    ),
    "container wait": ("lifecycle", "WAIT", "Wait until containers have stopped and print their exit codes."),
    "image history": ("history", "HISTORY", "Show how an image was made, step by step."),
    "image import": ("load", "IMPORT", "Make an image of one layer from a tar file of a file system."),
    "image inspect": ("inspect", "IMAGE_INSPECT", "Show all details of images."),
    "image load": ("load", "LOAD", "Load images from an archive."),
    "image ls": ("images", "IMAGES", "List images."),
    "image prune": ("prune", "IMAGE_PRUNE", "Remove images that have no name, or all that no container uses."),
    "image rm": ("images_change", "RMI", "Remove images."),
    "image save": ("save", "SAVE", "Write images to an archive."),
    "image tag": ("images_change", "TAG", "Give an image another name."),
    "network connect": ("network", "CONNECT", "Connect a container to a network."),
    "network create": ("network_create", "CREATE", "Create a network."),
    "network disconnect": ("network", "DISCONNECT", "Disconnect a container from a network."),
    "network inspect": ("inspect", "NETWORK_INSPECT", "Show all details of networks."),
    "network ls": ("network", "LS", "List networks."),
    "network prune": ("prune", "NETWORK_PRUNE", "Remove all networks that no container uses."),
    "network rm": ("network", "RM", "Remove networks."),
    "plugin inspect": ("plugin", "INSPECT", "Show what a driver offers: its hooks, features and options."),
    "plugin ls": ("plugin", "LS", "List the installed drivers and their state."),
    "system check": ("check", "CHECK", "Compare what is recorded with what is on the host, and mend it."),
    "system df": ("df", "DF", "Show what images, containers and volumes take on the disk."),
    "system events": ("events", "EVENTS", "Show what happens in the engine as it happens."),
    "system info": ("info", "INFO", "Show what the engine has and can do."),
    "system prune": (
        "prune",
        "SYSTEM_PRUNE",
        "Remove what is not used: stopped containers, networks, images, and on request volumes.",
    ),
    "volume create": ("volume", "CREATE", "Create a volume."),
    "volume inspect": ("inspect", "VOLUME_INSPECT", "Show all details of volumes."),
    "volume ls": ("volume", "LS", "List volumes."),
    "volume prune": ("prune", "VOLUME_PRUNE", "Remove anonymous volumes that no container uses, or all of them."),
    "volume rm": ("volume", "RM", "Remove volumes."),
    "completion": (
        "completion",
        "COMPLETION",
        "Print a script that completes wherry's command lines in a shell; its first lines say where to put it.",
    ),
    "doctor": (
        "doctor",
        "DOCTOR",
        "Look whether this host has what Wherry needs, and say how to mend what it lacks. Changes nothing.",
    ),
    "inspect": ("inspect", "INSPECT", "Show all details of containers, images, networks and volumes."),
    "version": ("version", "VERSION", "Show the versions of this client and the engine."),
}

ALIASES: dict[str, str] = {
    **{
        verb: f"container {verb}"
        for verb in [
            "attach",
            "commit",
            "cp",
            "create",
            "diff",
            "exec",
            "export",
            "kill",
            "logs",
            "pause",
            "port",
            "rename",
            "restart",
            "rm",
            "run",
            "start",
            "stats",
            "stop",
            "top",
            "unpause",
            "update",
            "wait",
        ]
    },
    **{verb: f"image {verb}" for verb in ["history", "import", "load", "save", "tag"]},
    "ps": "container ls",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "images": "image ls",
    "image list": "image ls",
    "image remove": "image rm",
    "rmi": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "plugin list": "plugin ls",
    "volume list": "volume ls",
    "volume remove": "volume rm",
    "events": "system events",
    "info": "system info",
}

GROUPS: dict[str, str] = {
    "container": "Manage containers.",
    "image": "Manage images.",
    "network": "Manage networks.",
    "plugin": "Show the drivers that the engine is made of.",
    "system": "Look at the engine as a whole.",
    "volume": "Manage volumes.",
}

COMMON = ("run", "exec", "ps", "images", "logs", "stop", "rm", "version", "info")


def canonical(path: str) -> str | None:
    """The command that `path` ("ps", "container list") names, or None."""
    name = ALIASES.get(path, path)
    return name if name in COMMANDS else None
