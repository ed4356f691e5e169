"""A log driver that is as it should be, and others that do one thing wrong each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from wherry.errors import Conflict, NotFound, Unavailable
from wherry.spec.log import Context, LocalLog, LogDriver, LogInfo, Record, hookimpl, option
from wherry.toolkit.units import size


@attrs.frozen
class Options:
    max_size: int = option("max-size", size, default=-1, help="Begin a new file at this size")
    mode: str = option("mode", str, default="blocking", help="Whether a full buffer stops the container")


class Shipping(LogDriver):
    """Ships what is written locally as json-file."""

    OPTIONS: ClassVar[type] = Options

    def __init__(self, context: Context) -> None:
        self.started: set[str] = set()

    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        self.started.add(log.container_id)
        return LocalLog(
            format="json-file", max_size=options.max_size, non_blocking=options.mode == "non-blocking",
            attributes=dict(log.labels),
        )  # fmt: skip

    @hookimpl
    def stop(self, container_id: str) -> None:
        self.started.discard(container_id)

    @hookimpl
    def send(self, container_id: str, records: Sequence[Record]) -> None:
        return None


class Absent(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Any) -> LocalLog:
        return None  # type: ignore[return-value]


class Fickle(Shipping):
    calls = 0

    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        self.calls += 1
        return attrs.evolve(super().start(log, options), max_files=self.calls)


class StoppingOnce(Shipping):
    @hookimpl
    def stop(self, container_id: str) -> None:
        if container_id not in self.started:
            raise NotFound(container_id)
        super().stop(container_id)


class Final(Shipping):
    """Logs no container twice."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.ended: set[str] = set()

    @hookimpl
    def stop(self, container_id: str) -> None:
        self.ended.add(container_id)

    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        if log.container_id in self.ended:
            raise Conflict("it has ended")
        return super().start(log, options)


class Confused(Shipping):
    """Counts how many containers it has seen."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.seen: set[str] = set()

    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        self.seen.add(log.container_id)
        return attrs.evolve(super().start(log, options), max_files=len(self.seen))


class Numbering(Shipping):
    """Counts its own starts."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        counter = context.root / "starts"
        self.number = int(counter.read_text()) + 1 if counter.exists() else 1
        counter.write_text(str(self.number))

    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return attrs.evolve(super().start(log, options), max_files=self.number)


@attrs.frozen
class Anything(Options):
    any: str = option("no-driver-has-this", str, default="", help="Whatever it is, it is taken")


class Lax(Shipping):
    OPTIONS = Anything


@attrs.frozen
class Wordless(Options):
    max_size: int = option("max-size", size, default=-1, help="")


class Unexplained(Shipping):
    OPTIONS = Wordless


class Foreign(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return LocalLog(format="xml")  # type: ignore[arg-type]


class Senseless(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return LocalLog(format="json-file", max_files=0)


class Compressing(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return LocalLog(format="json-file", compress=True)


class Typeless(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return LocalLog(format="json-file", attributes={"number": 1})  # type: ignore[dict-item]


class Unlimited(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return attrs.evolve(super().start(log, options), max_size=-1)


class Stubborn(Shipping):
    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return attrs.evolve(super().start(log, options), non_blocking=False)


class Reckless(Shipping):
    """Has nothing from which a batch could be sent again."""

    @hookimpl
    def start(self, log: LogInfo, options: Options) -> LocalLog:
        return LocalLog(format="none")


class Choosy(Shipping):
    @hookimpl
    def send(self, container_id: str, records: Sequence[Record]) -> None:
        for record in records:
            try:
                record.line.decode()
            except UnicodeDecodeError as error:
                raise Unavailable("this is no text") from error


BROKEN: dict[str, type[Any]] = {
    "test_a_log_starts_and_stops": Absent,
    "test_start_twice_gives_the_same_answer": Fickle,
    "test_stop_may_be_repeated": StoppingOnce,
    "test_a_container_that_starts_again_logs_as_before": Final,
    "test_containers_do_not_disturb_each_other": Confused,
    "test_a_restart_of_the_engine_changes_nothing": Numbering,
    "test_a_container_that_ran_through_a_restart_can_stop": StoppingOnce,
    "test_an_unknown_option_is_refused": Lax,
    "test_every_option_says_what_it_does": Unexplained,
    "test_the_local_log_has_a_format_that_the_monitor_writes": Foreign,
    "test_sizes_and_counts_make_sense": Senseless,
    "test_only_a_log_that_rotates_is_compressed": Compressing,
    "test_attributes_are_texts": Typeless,
    "test_a_size_is_taken_as_it_is_said": Unlimited,
    "test_a_log_that_must_not_block_says_so": Stubborn,
    "test_what_is_sent_is_kept_locally_until_then": Reckless,
    "test_batches_are_taken_also_empty_ones": Choosy,
}
