"""The log drivers `json-file`, `local` and `none`, through their entry points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wherry.errors import Invalid
from wherry.model.logs import LocalLog, LogInfo
from wherry.spec.base import Context
from wherry.spec.log import LogDriver
from wherry_engine.loader.load import Driver, load_driver

LOG = LogInfo(
    container_id="0123456789abcdef" * 4,
    container_name="/web",
    image_name="nginx:1",
    image_id="sha256:fedcba9876543210",
    command=("nginx", "-g", "daemon off;"),
    labels={"tier": "front", "team.name": "red", "team.mail": "r@x"},
    env={"MODE": "live", "SECRET": "s"},
)


@pytest.fixture
def json_file(tmp_path: Path) -> Driver[LogDriver]:
    return load("json-file", tmp_path)


def load(name: str, root: Path) -> Driver[LogDriver]:
    def place(config: Any) -> Context:
        return Context(root, root, "t", config)

    return load_driver(LogDriver, name, place)


def start(driver: Driver[LogDriver], **given: str) -> LocalLog:
    options = driver.parse("OPTIONS", {key.replace("_", "-"): text for key, text in given.items()})
    return driver.hook.start(log=LOG, options=options)


def test_without_options_a_log_grows_without_limit(json_file: Driver[LogDriver]) -> None:
    assert start(json_file) == LocalLog(format="json-file")


def test_sizes_are_decimal_but_the_buffer_is_binary(json_file: Driver[LogDriver]) -> None:
    log = start(json_file, max_size="10m", max_file="3", compress="true", mode="non-blocking", max_buffer_size="4m")
    assert (log.max_size, log.max_files, log.compress) == (10_000_000, 3, True)
    assert (log.non_blocking, log.buffer) == (True, 4 << 20)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"max_size": "0"}, "max-size must be a positive number"),
        ({"max_size": "much"}, "option max-size: 'much' is not accepted"),
        ({"max_file": "0"}, "max-file cannot be less than 1"),
        ({"max_file": "many"}, "max-file is a whole number"),
        (
            {"compress": "true", "max_size": "1m"},
            "compress cannot be true when max-file is less than 2 or max-size is not",
        ),
        (
            {"compress": "true", "max_file": "2"},
            "compress cannot be true when max-file is less than 2 or max-size is not",
        ),
        ({"mode": "sometimes"}, "option mode: 'sometimes' is not one of blocking, non-blocking"),
        ({"max_buffer_size": "1m"}, "max-buffer-size option is only supported with 'mode=non-blocking'"),
        ({"labels_regex": "("}, "not a regular expression"),
        ({"colour": "red"}, "unknown option 'colour'; known are compress, env"),
        ({"tag": "{{.Nonsense}}"}, r"cannot evaluate {{\.Nonsense}}; known are {{\.ID}}, {{\.FullID}}"),
    ],
)
def test_wrong_options_are_refused(json_file: Driver[LogDriver], given: dict[str, str], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        start(json_file, **given)


def test_all_faults_are_told_at_once(json_file: Driver[LogDriver]) -> None:
    with pytest.raises(
        Invalid, match=r"max-size must be a positive number; option max-file: .* max-file cannot be less"
    ):
        start(json_file, max_size="0", max_file="0")


def test_labels_and_variables_are_added_by_name_and_by_pattern(json_file: Driver[LogDriver]) -> None:
    log = start(json_file, labels="tier,absent", labels_regex=r"^team\.n", env="MODE", env_regex="^NOPE")
    assert log.attributes == {"tier": "front", "team.name": "red", "MODE": "live"}


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{{.ID}}/{{ .Name }}", "0123456789ab/web"),
        ("{{.ImageName}} {{.ImageID}} {{.ImageFullID}}", "nginx:1 sha256:fedcb sha256:fedcba9876543210"),
        ("{{.DaemonName}}: {{.Command}}", "wherry: nginx -g daemon off;"),
        ("plain", "plain"),
    ],
)
def test_a_tag_is_rendered_for_the_container(json_file: Driver[LogDriver], template: str, tag: str) -> None:
    assert start(json_file, tag=template).attributes == {"tag": tag}


def test_none_writes_nothing_and_stops_quietly(tmp_path: Path, json_file: Driver[LogDriver]) -> None:
    none = load("none", tmp_path)
    assert start(none) == LocalLog(format="none")
    for driver in (none, json_file):
        driver.hook.stop(container_id="never-seen")
        assert not driver.has("send")


def test_local_rotates_and_compresses_without_being_told(tmp_path: Path) -> None:
    local = load("local", tmp_path)
    assert start(local) == LocalLog(format="local", max_size=20 << 20, max_files=5, compress=True)
    told = start(local, max_size="10m", max_file="1", compress="false", mode="non-blocking", max_buffer_size="4m")
    assert told == LocalLog(
        format="local", max_size=10_000_000, max_files=1, compress=False, non_blocking=True, buffer=4 << 20
    )
    assert not local.has("send")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"max_file": "1"}, "compression cannot be enabled when max file count is 1; give compress=false"),
        ({"max_file": "0"}, "max-file cannot be less than 1"),
        ({"max_size": "-1"}, "option max-size: '-1' is not accepted"),
        ({"compress": "perhaps"}, "option compress: 'perhaps' is not accepted"),
        ({"max_buffer_size": "1m"}, "max-buffer-size option is only supported with 'mode=non-blocking'"),
        ({"tag": "x"}, "unknown option 'tag'; known are compress, max-buffer-size, max-file, max-size, mode"),
    ],
)
def test_local_refuses_wrong_options(tmp_path: Path, given: dict[str, str], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        start(load("local", tmp_path), **given)
