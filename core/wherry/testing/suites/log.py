"""What every log driver must do."""

from __future__ import annotations

import time
from typing import ClassVar

import attrs
import pytest

from wherry.errors import Invalid, WherryError
from wherry.model.logs import LocalLog, LogInfo, Record
from wherry.spec.log import LogDriver
from wherry.testing.conformance import Subject, Suite
from wherry.toolkit.options import describe

INFO = LogInfo(
    container_id="0123456789abcdef" * 4,
    container_name="/web",
    image_name="nginx:1",
    image_id="sha256:fedcba9876543210",
    command=("nginx", "-g", "daemon off;"),
    labels={"tier": "front"},
    env={"MODE": "live"},
)
OTHER = attrs.evolve(INFO, container_id="fedcba9876543210" * 4, container_name="/other", labels={}, env={})


class LogSubject(Subject[LogDriver]):
    """A log driver."""

    def start(self, info: LogInfo = INFO, **given: str) -> LocalLog:
        """What is to be written for a container."""
        return self.hook.start(log=info, options=self.options(**given))

    def stop(self, info: LogInfo = INFO) -> None:
        """The container's output has ended."""
        self.hook.stop(container_id=info.container_id)

    def knows(self, option: str) -> bool:
        """Whether the driver has this option."""
        return option in {each.key for each in describe(self.driver.cls.OPTIONS)}


class LogConformance(Suite):
    """The checks. Subclass this and say DRIVERS, and OPTIONS if a container needs some."""

    FAMILY = "log"
    SPEC = LogDriver
    SUBJECT: ClassVar[type[LogSubject]] = LogSubject

    def test_a_log_starts_and_stops(self, subject: LogSubject) -> None:
        assert isinstance(subject.start(), LocalLog)
        subject.stop()

    def test_start_twice_gives_the_same_answer(self, subject: LogSubject) -> None:
        assert subject.start() == subject.start()

    def test_stop_may_be_repeated(self, subject: LogSubject) -> None:
        subject.start()
        for info in (INFO, INFO, OTHER):
            subject.stop(info)

    def test_a_container_that_starts_again_logs_as_before(self, subject: LogSubject) -> None:
        first = subject.start()
        subject.stop()
        assert subject.start() == first

    def test_containers_do_not_disturb_each_other(self, subject: LogSubject) -> None:
        first = subject.start()
        subject.start(OTHER)
        subject.stop(OTHER)
        assert subject.start() == first

    def test_a_restart_of_the_engine_changes_nothing(self, subject: LogSubject) -> None:
        first = subject.start()
        subject.again()
        assert subject.start() == first
        subject.stop()

    def test_a_container_that_ran_through_a_restart_can_stop(self, subject: LogSubject) -> None:
        subject.start()
        subject.again()
        subject.stop()

    def test_an_unknown_option_is_refused(self, subject: LogSubject) -> None:
        with pytest.raises(Invalid):
            subject.start(no_driver_has_this="1")

    def test_every_option_says_what_it_does(self, subject: LogSubject) -> None:
        assert all(each.help for each in describe(subject.driver.cls.OPTIONS))

    def test_the_local_log_has_a_format_that_the_monitor_writes(self, subject: LogSubject) -> None:
        assert subject.start().format in ("json-file", "local", "none")

    def test_sizes_and_counts_make_sense(self, subject: LogSubject) -> None:
        log = subject.start()
        assert log.max_size == -1 or log.max_size > 0
        assert log.max_files >= 1
        assert log.buffer > 0

    def test_only_a_log_that_rotates_is_compressed(self, subject: LogSubject) -> None:
        log = subject.start()
        assert not log.compress or (log.max_files > 1 and log.max_size > 0)

    def test_attributes_are_texts(self, subject: LogSubject) -> None:
        for key, value in subject.start().attributes.items():
            assert isinstance(key, str)
            assert isinstance(value, str)

    def test_a_size_is_taken_as_it_is_said(self, subject: LogSubject) -> None:
        if not subject.knows("max-size"):
            pytest.skip("the driver has no max-size")
        assert subject.start(max_size="10m").max_size in (10_000_000, 10 << 20)
        with pytest.raises(WherryError):
            subject.start(max_size="much")

    def test_a_log_that_must_not_block_says_so(self, subject: LogSubject) -> None:
        if not subject.knows("mode"):
            pytest.skip("the driver has no mode")
        assert subject.start(mode="non-blocking").non_blocking
        assert not subject.start(mode="blocking").non_blocking

    @pytest.mark.hook("send")
    def test_what_is_sent_is_kept_locally_until_then(self, subject: LogSubject) -> None:
        assert subject.start().format != "none"

    @pytest.mark.hook("send")
    def test_batches_are_taken_also_empty_ones(self, subject: LogSubject) -> None:
        subject.start()
        lines = [Record(time.time_ns(), "stdout", b"line\n"), Record(time.time_ns(), "stderr", b"\xff\x00 no text")]
        for batch in ([], lines):
            subject.hook.send(container_id=INFO.container_id, records=batch)
        subject.stop()


class TestLog(LogConformance):
    """The drivers of the command line."""
