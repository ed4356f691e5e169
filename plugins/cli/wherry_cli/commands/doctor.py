"""wherry doctor: what this host lacks, with the command that mends it, and what a running engine warns of."""

from __future__ import annotations

from wherry_cli.app import App, Command
from wherry_cli.options import Option, Values
from wherry_client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry_cli.host_checks import Finding

DATA_ROOT = "/var/lib/wherry"


def _doctor(app: App, values: Values, arguments: list[str]) -> int:
    from pathlib import Path

    from wherry_cli.host_checks import BAD, CHECKS, Host

    host = Host(Path(values["data-root"]).absolute())
    findings = [finding for check in CHECKS for finding in check(host)]
    findings += _engine(app)
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        app.print(f"{finding.state:8} {finding.topic:{width}}  {finding.text}")
        if finding.mend:
            app.print(f"{'':8} {'':{width}}  -> {finding.mend}")
    return 1 if any(finding.state == BAD for finding in findings) else 0


def _engine(app: App) -> Iterator[Finding]:
    from wherry_cli.host_checks import GOOD, WARNING, Finding

    try:
        info = app.client.call("GET", "/info")
    except ClientError as error:
        yield Finding(WARNING, "engine", f"none answers: {error}", "Start wherryd, or say where it listens by -H.")
        return
    yield Finding(GOOD, "engine", f"version {info['ServerVersion']} answers at {app.client.host.url}")
    for warning in info.get("Warnings") or []:
        yield Finding(WARNING, "engine", str(warning).removeprefix("WARNING: "))


DOCTOR = Command(
    "doctor",
    "[OPTIONS]",
    "Look whether this host has what Wherry needs, and say how to mend what it lacks. Changes nothing.",
    _doctor,
    (Option("data-root", "", "string", "Look at the disk for this data root.", DATA_ROOT),),
)
