"""Runtimes that do one thing wrong each: runc behind a script that changes what it is told, or what it tells."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from wherry.spec.runtime import Context, Runtime, RuntimeDriver, hookimpl
from wherry_runtime.runc import Driver

# The word that says what to do follows --root PATH; the bundle is named by --bundle PATH.
HEAD = """#!/bin/sh
verb=$3
bundle() { while [ "$1" != --bundle ]; do shift; done; echo "$2"; }
edit() { b=$(bundle "$@"); python3 - "$b/config.json" "$EDIT" <<'END'
import json, sys
path, change = sys.argv[1:]
config = json.load(open(path))
exec(change)
json.dump(config, open(path, "w"))
END
}
"""


class Scripted(RuntimeDriver):
    """Runs runc by way of SCRIPT, which ends in running it, or not."""

    SCRIPT: ClassVar[str] = 'exec runc "$@"'

    def __init__(self, context: Context) -> None:
        self._real = Driver(context)
        self._script = context.root / "script"
        self._script.write_text(f"{HEAD}{self.SCRIPT}\n")
        self._script.chmod(0o755)

    @hookimpl
    def probe(self) -> Runtime:
        return attrs.evolve(self._real.probe(), argv=(str(self._script),))

    @hookimpl
    def adapt(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(config)


def editing(change: str) -> str:
    """A script that changes the bundle before runc sees it."""
    return f"""EDIT='{change}'; export EDIT
case $verb in run|create) edit "$@";; esac
exec runc "$@\""""


class Fickle(Scripted):
    numbers = itertools.count()

    @hookimpl
    def probe(self) -> Runtime:
        return attrs.evolve(super().probe(), version=str(next(self.numbers)))


class Nameless(Scripted):
    @hookimpl
    def probe(self) -> Runtime:
        return attrs.evolve(super().probe(), version="")


class Forgetful(Scripted):
    @hookimpl
    def recognize(self, argv: tuple[str, ...]) -> Runtime:
        return attrs.evolve(super().probe(), argv=argv[:1])


class Idle(Scripted):
    SCRIPT = 'case $verb in run) exit 1;; *) exec runc "$@";; esac'


class Optimistic(Scripted):
    SCRIPT = 'runc "$@"; exit 0'


class Merging(Scripted):
    SCRIPT = 'exec runc "$@" 2>&1'


class Rooting(Scripted):
    SCRIPT = editing('config["process"]["user"] = {"uid": 0, "gid": 0}')


class Naming(Scripted):
    SCRIPT = editing('config["hostname"] = "other"')


class Writing(Scripted):
    SCRIPT = editing('config["root"].pop("readonly", None)')


class Unmounted(Scripted):
    SCRIPT = editing('config["mounts"] = [m for m in config["mounts"] if "type" in m]')


class Mighty(Scripted):
    SCRIPT = editing('config["process"]["capabilities"]["bounding"].append("CAP_SYS_ADMIN")')


class Impatient(Scripted):
    """Starts what is only created."""

    SCRIPT = 'runc "$@" || exit $?; case $verb in create) runc "$1" "$2" start box;; esac'


class Undeleting(Scripted):
    SCRIPT = 'case $verb in delete) exit 0;; *) exec runc "$@";; esac'


class Gentle(Scripted):
    """Forces nothing."""

    SCRIPT = 'case "$verb $4" in "delete --force") exec runc "$1" "$2" delete "$5";; *) exec runc "$@";; esac'


class Deaf(Scripted):
    SCRIPT = 'case $verb in kill) exec runc "$1" "$2" kill "$4" KILL;; *) exec runc "$@";; esac'


class Mute(Scripted):
    SCRIPT = 'runc "$@" 2>/dev/null'


class Meddling(Scripted):
    @hookimpl
    def adapt(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        config["process"]["env"].append("ADAPTED=1")
        return config


BROKEN: dict[str, type[Any]] = {
    "test_probe_twice_finds_the_same": Fickle,
    "test_the_program_is_there_and_has_a_version": Nameless,
    "test_a_program_that_is_recognized_keeps_its_options": Forgetful,
    "test_a_container_runs_to_its_end": Idle,
    "test_the_exit_status_is_the_programs": Optimistic,
    "test_stdout_and_stderr_are_kept_apart": Merging,
    "test_the_program_has_its_user_folder_and_environment": Rooting,
    "test_the_program_sees_its_own_root_and_host_name": Naming,
    "test_a_read_only_root_cannot_be_written": Writing,
    "test_mounts_are_made_in_the_container_alone": Unmounted,
    "test_capabilities_are_those_of_the_config": Mighty,
    "test_a_created_container_waits_until_it_is_started": Impatient,
    "test_a_killed_container_is_stopped_and_can_be_deleted": Undeleting,
    "test_delete_by_force_ends_what_runs": Gentle,
    "test_a_signal_reaches_the_program": Deaf,
    "test_a_program_that_is_not_there_is_named": Mute,
    "test_adapt_twice_gives_the_same_and_keeps_what_runs": Meddling,
}
