#!/usr/bin/env python3
"""Build the images that demo, tests and benchmarks use from Debian's packages, as docker-archive tars.

    python3 scripts/images.py busybox        print the path of the archive, made if it is not cached
    python3 scripts/images.py web
    python3 scripts/images.py web-two        shares two of its three layers with web

Only the standard library, apt-get and dpkg-deb are used; no maintainer script runs. The same packages give the same bytes.
The cache is ${XDG_CACHE_HOME:-/var/cache}/wherry-images; remove it to build again with newer packages.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
MOMENT = 1_600_000_000  # the time stamp of whatever has none of its own: archives must not depend on the clock
CREATED = "2020-09-13T12:26:40Z"
# Packages whose only use is in maintainer scripts and service management, which an image does not run.
UNUSED = frozenset(
    {"debconf", "cdebconf", "debconf-2.0", "iproute2", "init-system-helpers", "lsb-base", "sysvinit-utils"}
)
SITE_PACKAGES = frozenset({"nginx", "nginx-common"})
DROPPED = re.compile(
    r"usr/share/(doc|man|locale|lintian|bug|gcc)/|usr/share/doc-base|etc/(init\.d|logrotate\.d|ufw)|usr/lib/systemd/"
)
# The directories that merged-/usr systems replace by links: whatever a package has there goes to usr/.
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}

ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
NGINX_CONF = """\
worker_processes 1;
error_log /dev/stderr notice;
pid /run/nginx.pid;
user www-data;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    server {
        listen 80 default_server;
        root /srv/www;
    }
}
"""
PAGE = "<!doctype html>\n<title>Wherry</title>\n<h1>{}</h1>\n"


@dataclass
class Tree:
    """The entries of one layer by name, each a tar header with its content."""

    entries: dict[str, tuple[tarfile.TarInfo, bytes]] = field(default_factory=dict)

    def folder(self, name: str, mode: int = 0o755) -> None:
        """A directory."""
        self._add(name, tarfile.DIRTYPE, mode)

    def file(self, name: str, content: bytes | str, mode: int = 0o644) -> None:
        """A regular file."""
        self._add(name, tarfile.REGTYPE, mode, content=content.encode() if isinstance(content, str) else content)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._add(name, tarfile.SYMTYPE, 0o777, target=target)

    def _add(self, name: str, kind: bytes, mode: int, *, content: bytes = b"", target: str = "") -> None:
        header = tarfile.TarInfo(name)
        header.type, header.mode, header.linkname, header.size, header.mtime = kind, mode, target, len(content), MOMENT
        self.entries[name] = (header, content)

    def package(self, archive: Path) -> None:
        """Everything that a .deb file holds, in the places of a merged-/usr system."""
        stream = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
            for header in tar:
                name = header.name.removeprefix("./").rstrip("/")
                if name in ("", ".", *MERGED) or DROPPED.search(name + "/"):
                    continue
                if name.split("/")[0] in MERGED:
                    name = f"usr/{name}"
                content = tar.extractfile(header) if header.isreg() else None
                header.name = name
                if header.islnk():
                    header.linkname = header.linkname.removeprefix("./")
                self.entries[name] = (header, content.read() if content else b"")

    def layer(self) -> bytes:
        """The tar of this layer, in the order of its names."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            # A hard link must come after what it links to.
            for _, (header, content) in sorted(self.entries.items(), key=lambda item: (item[1][0].islnk(), item[0])):
                tar.addfile(header, io.BytesIO(content))
        return buffer.getvalue()


@dataclass(frozen=True)
class Image:
    """An image to be: its tag, its layers from the lowest up, and the part of its configuration that says how it runs."""

    tag: str
    layers: Sequence[bytes]
    config: dict[str, object]

    def archive(self) -> bytes:
        """The docker-archive tar: manifest.json, a configuration, and a folder with layer.tar for each layer."""
        digests = [hashlib.sha256(layer).hexdigest() for layer in self.layers]
        config = json.dumps(
            {
                "architecture": ARCHITECTURES[platform.machine()],
                "os": "linux",
                "created": CREATED,
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
                "history": [{"created": CREATED, "created_by": f"scripts/images.py: {self.tag}"} for _ in digests],
            },
            sort_keys=True,
        ).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        paths = [f"{digest}/layer.tar" for digest in digests]
        manifest = json.dumps([{"Config": name, "RepoTags": [self.tag], "Layers": paths}]).encode()
        tree = Tree()
        tree.file("manifest.json", manifest)
        tree.file(name, config)
        for path, layer in zip(paths, self.layers, strict=True):
            tree.file(path, layer)
        return tree.layer()


def busybox_image(tag: str = "busybox:latest") -> Image:
    """Debian's static busybox with a symbolic link for each applet."""
    tree = Tree()
    for name in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "usr/sbin", "var"):
        tree.folder(name, 0o1777 if name == "tmp" else 0o755)
    tree.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            tree.link(f"bin/{applet}", "busybox")
    for name, text in ACCOUNTS.items():
        tree.file(name, text)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Image(tag, [tree.layer()], {"Cmd": ["sh"], "Env": [path]})


def web_image(archives: dict[str, Path], tag: str, heading: str) -> Image:
    """nginx in three layers: what it links to, itself, the site."""
    base, server, site = Tree(), Tree(), Tree()
    for name in (
        "dev",
        "etc",
        "proc",
        "root",
        "run",
        "srv",
        "sys",
        "tmp",
        "usr",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "var",
    ):
        base.folder(name, 0o1777 if name == "tmp" else 0o755)
    for name in MERGED:
        if name in ("bin", "sbin", "lib") or (name == "lib64" and platform.machine() == "x86_64"):
            base.folder(f"usr/{name}")
            base.link(name, f"usr/{name}")
    for name, text in ACCOUNTS.items():
        base.file(name, text)
    for package, archive in archives.items():
        (server if package in SITE_PACKAGES else base).package(archive)
    for name in ("var/log", "var/log/nginx", "var/lib", "var/lib/nginx"):
        server.folder(name)
    server.link("var/log/nginx/access.log", "/dev/stdout")
    server.link("var/log/nginx/error.log", "/dev/stderr")
    server.file("etc/nginx/nginx.conf", NGINX_CONF)
    site.folder("srv/www")
    site.file("srv/www/index.html", PAGE.format(heading))
    config: dict[str, object] = {
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    }
    return Image(tag, [base.layer(), server.layer(), site.layer()], config)


def apt_show(packages: Sequence[str]) -> dict[str, dict[str, str]]:
    """{package: fields} of the versions that apt would install; names that it does not know are left out."""
    command = ["apt-cache", "--no-all-versions", "show", *packages]
    text = subprocess.run(command, capture_output=True, text=True).stdout  # it fails when it misses but one of them
    stanzas = [dict(re.findall(r"^([A-Za-z-]+): (.*)$", part, re.MULTILINE)) for part in text.split("\n\n")]
    return {fields["Package"]: fields for fields in stanzas if fields}


def closure(package: str) -> dict[str, str]:
    """{package: version} of this package and all it depends on, without those that an image does not need."""
    found: dict[str, str] = {}
    waiting = {package}
    while waiting:
        shown = apt_show(sorted(waiting))
        found.update({name: fields["Version"] for name, fields in shown.items()})
        needs = ",".join(fields.get(key, "") for fields in shown.values() for key in ("Pre-Depends", "Depends"))
        first = {group.split("|")[0].split("(")[0].split(":")[0].strip() for group in needs.split(",")}
        waiting = first - found.keys() - UNUSED - {""}
    return dict(sorted(found.items()))


def download(versions: dict[str, str], folder: Path) -> dict[str, Path]:
    """{package: its .deb file}, fetched into `folder`."""
    wanted = [f"{name}={version}" for name, version in versions.items()]
    # As root, apt fetches as the user _apt only into folders that this user can write.
    folder.chmod(0o777)
    subprocess.run(["apt-get", "download", "-q", *wanted], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return {name: next(folder.glob(f"{name}_*.deb")) for name in versions}


def cache() -> Path:
    """The folder of finished archives."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "wherry-images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached(name: str) -> Path:
    """Where the archive lies that this recipe makes."""
    return cache() / f"{name}-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]}.tar"


def store(path: Path, image: Image) -> None:
    """Write an archive, whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(image.archive())
    partial.rename(path)


def busybox() -> Path:
    """The archive of busybox:latest."""
    path = cached("busybox")
    if not path.exists():
        store(path, busybox_image())
    return path


def web() -> tuple[Path, Path]:
    """The archives of web:latest and of web:two, which differ in their uppermost layer."""
    headings = {"latest": "Wherry is afloat", "two": "Wherry is afloat, twice"}
    paths = {tag: cached(f"web-{tag}") for tag in headings}
    if not all(path.exists() for path in paths.values()):
        versions = closure("nginx")
        if "nginx" not in versions:
            subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
            versions = closure("nginx")
        if "nginx" not in versions:
            raise SystemExit("apt knows no package nginx; the web image is built from it")
        with tempfile.TemporaryDirectory() as folder:
            archives = download(versions, Path(folder))
            for tag, heading in headings.items():
                store(paths[tag], web_image(archives, f"web:{tag}", heading))
    return paths["latest"], paths["two"]


def main(arguments: Sequence[str]) -> Iterator[Path]:
    """The archives that are asked for, each printed by the caller."""
    for name in arguments or ("busybox", "web", "web-two"):
        if name == "busybox":
            yield busybox()
        elif name in ("web", "web-two"):
            yield web()[name == "web-two"]
        else:
            raise SystemExit(f"unknown image {name!r}; known are busybox, web and web-two")


if __name__ == "__main__":
    for made in main(sys.argv[1:]):
        print(made)
