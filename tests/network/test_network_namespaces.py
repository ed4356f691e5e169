"""Network namespaces on paths, and what runs in them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from wherry.linux import netlink
from wherry.linux.namespaces import create_netns, in_netns, is_netns, remove_netns, set_sysctl
from wherry.linux.steps import current, step

pytestmark = pytest.mark.root


def own() -> str:
    return os.readlink("/proc/thread-self/ns/net")


def test_a_namespace_lives_on_its_path_with_its_loopback_up(tmp_path: Path) -> None:
    path, before = tmp_path / "deep" / "space", own()
    create_netns(path)
    try:
        with open(path) as namespace:
            assert in_netns(namespace.fileno(), own) != before
            loopback = in_netns(namespace.fileno(), lambda: netlink.find_link("lo"))
        assert loopback is not None
        assert loopback.up
        assert own() == before
    finally:
        remove_netns(path)
    assert not path.exists()


def test_making_and_removing_may_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "space"
    create_netns(path)
    first = os.stat(path).st_ino
    create_netns(path)
    assert os.stat(path).st_ino == first
    for _ in range(2):
        remove_netns(path)
    assert not is_netns(path)


def test_a_plain_file_on_the_path_is_no_namespace_and_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "space"
    path.write_text("left by an engine that was killed")
    assert not is_netns(path)
    create_netns(path)
    assert is_netns(path)
    remove_netns(path)


def test_settings_are_made_inside_and_those_the_kernel_lacks_left_out(tmp_path: Path) -> None:
    path, name = tmp_path / "space", "ipv4/ip_default_ttl"
    before = Path("/proc/sys/net", name).read_text()
    create_netns(path, sysctls={name: "77", "ipv4/no_such_setting": "1"})
    try:
        with open(path) as namespace:
            assert in_netns(namespace.fileno(), Path("/proc/sys/net", name).read_text) == "77\n"
        assert Path("/proc/sys/net", name).read_text() == before
    finally:
        remove_netns(path)


def test_what_fails_inside_fails_outside_in_the_same_step(tmp_path: Path) -> None:
    path = tmp_path / "space"
    seen: list[str | None] = []

    def fail() -> None:
        seen.append(current())
        raise ValueError("no")

    create_netns(path)
    try:
        with open(path) as namespace, step("test.inside"), pytest.raises(ValueError, match="no"):
            in_netns(namespace.fileno(), fail)
    finally:
        remove_netns(path)
    assert seen == ["test.inside"]


def test_what_is_no_namespace_cannot_be_entered_and_no_thread_stays_behind() -> None:
    threads = threading.active_count()
    with open("/dev/null") as wrong, pytest.raises(OSError, match="setns"):
        in_netns(wrong.fileno(), own)
    assert threading.active_count() == threads


def test_a_setting_that_is_right_already_is_not_written() -> None:
    set_sysctl("net/ipv4/ip_default_ttl", Path("/proc/sys/net/ipv4/ip_default_ttl").read_text().strip())
