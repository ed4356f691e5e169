"""Clients that make, use and remove objects of every kind, and remember what was acknowledged to them."""

from __future__ import annotations

import http.client
import random
import threading
from typing import Any

from tests.archives import folder
from tests.fire.daemon import IMAGE, Api, Fire, Refused, eventually

WORKERS = 4
STEPS = (
    "start", "stop", "kill", "pause", "exec", "exec", "rename", "update", "copy", "commit", "tag", "import", "network", "connect", "volume",
)  # fmt: skip
KEPT = 0.2  # of what is made is not removed by who made it, but for networks, of which there are few
PATHS = {"container": "containers", "network": "networks", "volume": "volumes", "image": "images"}
Object = tuple[str, str]  # kind, name


TREE = folder(("word", b"hello"))


class Worker(threading.Thread):
    """Makes, uses and removes objects, one life of a container after the other, and remembers what was acknowledged."""

    def __init__(self, number: int, api: Api, seed: str) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.number, self.api, self.random = number, api, random.Random(f"{seed}/{number}")
        self.over = threading.Event()
        self.life = ""  # the name that all objects of the present life begin with
        self.made: set[Object] = set()
        self.removed: set[Object] = set()
        self.doubtful: set[str] = set()  # lives in which a request was cut off or refused
        self.faults: list[str] = []

    def run(self) -> None:
        count = 0
        while not self.over.is_set():
            count += 1
            self.life = f"w{self.number}-{count}-"
            try:
                self._live(f"{self.life}c")
            except (OSError, http.client.HTTPException):
                self.doubtful.add(self.life)
                self.over.wait(0.05)
            except Refused as refused:
                self.doubtful.add(self.life)
                self.faults.append(f"{self.life}: {refused}")

    def _live(self, name: str) -> None:
        policy = self.random.choice(["no", "no", "always", "on-failure"])
        mode = self.random.choice(["none", "none", "bridge"])
        self.api.create(name, RestartPolicy={"Name": policy}, Binds=[f"{self.life}data:/data"], NetworkMode=mode)
        self.made |= {("container", name), ("volume", f"{self.life}data")}
        running = False
        for step in self.random.sample(STEPS, 5):
            if step in ("start", "rename", "update", "copy", "commit", "tag", "import", "network", "volume"):
                name = getattr(self, f"do_{step}")(name) or name
                running = running or step == "start"
            elif running and (step != "connect" or mode == "bridge"):
                getattr(self, f"do_{step}")(name)
                running = step not in ("stop", "kill", "pause")
        for kind, made in sorted(self.made - self.removed):
            if made.startswith(self.life) and (self.random.random() > KEPT or kind == "network"):
                self._remove(kind, made)

    # --- what a life is made of ---

    def _remove(self, kind: str, name: str) -> None:
        if kind == "container":
            self.api("DELETE", f"/containers/{name}", force=1)
        else:
            try:
                self.api("DELETE", f"/{PATHS[kind]}/{name}")
            except Refused as refused:
                if refused.status not in (403, 409):  # a container that was kept uses it
                    raise
                return
        self.removed.add((kind, name))

    def do_start(self, name: str) -> None:
        self.api("POST", f"/containers/{name}/start")

    def do_stop(self, name: str) -> None:
        self.api("POST", f"/containers/{name}/stop")

    def do_kill(self, name: str) -> None:
        self.api("POST", f"/containers/{name}/kill")

    def do_pause(self, name: str) -> None:
        self.api("POST", f"/containers/{name}/pause")

    def do_exec(self, name: str) -> None:
        id = self.api("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})["Id"]
        self.api("POST", f"/exec/{id}/start", {"Detach": True})

    def do_rename(self, name: str) -> str:
        renamed = f"{self.life}renamed"
        self.api("POST", f"/containers/{name}/rename", name=renamed)
        self.removed.add(("container", name))
        self.made.add(("container", renamed))
        return renamed

    def do_update(self, name: str) -> None:
        self.api("POST", f"/containers/{name}/update", {"PidsLimit": 100})

    def do_copy(self, name: str) -> None:
        self.api("PUT", f"/containers/{name}/archive?path=/tmp", TREE)

    def do_commit(self, name: str) -> None:
        self.api("POST", "/commit", container=name, repo=f"{self.life}committed")
        self.made.add(("image", f"{self.life}committed"))

    def do_tag(self, _name: str) -> None:
        self.api("POST", f"/images/{IMAGE}/tag", repo=f"{self.life}tagged")
        self.made.add(("image", f"{self.life}tagged"))

    def do_import(self, _name: str) -> None:
        self.api("POST", "/images/create", TREE, fromSrc="-", repo=f"{self.life}imported")
        self.made.add(("image", f"{self.life}imported"))

    def do_volume(self, _name: str) -> None:
        self.api("POST", "/volumes/create", {"Name": f"{self.life}volume"})
        self.made.add(("volume", f"{self.life}volume"))

    def do_network(self, _name: str) -> None:
        self.api("POST", "/networks/create", {"Name": f"{self.life}network"})
        self.made.add(("network", f"{self.life}network"))

    def do_connect(self, name: str) -> None:
        if ("network", f"{self.life}network") in self.made:
            self.api("POST", f"/networks/{self.life}network/connect", {"Container": name})
            self.api("POST", f"/networks/{self.life}network/disconnect", {"Container": name})


def working(fire: Fire, seed: str) -> list[Worker]:
    """Four of them, at work."""
    workers = [Worker(number, fire.api, seed) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    return workers


def end(workers: list[Worker]) -> None:
    """Let each come to the end of its present life."""
    for worker in workers:
        worker.over.set()
    for worker in workers:
        worker.join(30)
        worker.life = ""


def remove_all(fire: Fire) -> None:
    for kind, name in sorted(_found(fire)):
        eventually(lambda p=f"/{PATHS[kind]}/{name}": fire.api("DELETE", p, force=1) is not None)  # type: ignore[misc]


def _found(fire: Fire) -> set[Object]:
    """All objects that workers have made."""
    containers = [each["Names"][0][1:] for each in fire.api("GET", "/containers/json", all=1)]
    images = [tag.removesuffix(":latest") for each in fire.api("GET", "/images/json") for tag in each["RepoTags"] or ()]
    networks = [each["Name"] for each in fire.api("GET", "/networks")]
    volumes = [each["Name"] for each in fire.api("GET", "/volumes")["Volumes"]]
    names = {"container": containers, "image": images, "network": networks, "volume": volumes}
    return {(kind, name) for kind, all in names.items() for name in all if name.startswith("w")}


def check(fire: Fire, workers: list[Worker]) -> None:
    """What was acknowledged before we ask is so, but for what is being done meanwhile."""
    made = {each for worker in workers for each in tuple(worker.made)}
    removed = {each for worker in workers for each in tuple(worker.removed)}
    unsure = {worker.life for worker in workers if worker.life}
    found = _found(fire)
    unsure |= {worker.life for worker in workers if worker.life}
    unsure |= {life for worker in workers for life in tuple(worker.doubtful)}

    def sure(objects: set[Object]) -> set[Object]:
        return {(kind, name) for kind, name in objects if "-".join(name.split("-")[:2]) + "-" not in unsure}

    assert not (removed & found), f"removed, and back: {removed & found}"
    assert not sure(made - removed - found), f"made, and lost: {sure(made - removed - found)}"
    assert not sure(found - made), f"made by nobody: {sure(found - made)}"


def left(fire: Fire) -> list[Any]:
    """What there should not be once all is removed: files, and what the engine's own check finds."""
    folders = ("containers", "mounts", "volume-mounts", "images/tmp", "storage/overlay2/active", "storage/overlay2/new")
    files = [str(path) for folder in folders for path in (fire.where.data / folder).iterdir()]
    return [*files, *fire.api("GET", "/wherry/check")]
