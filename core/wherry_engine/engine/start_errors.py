"""Why a container's process could not begin: runtimes say it differently, clients read one wording.

Docker's client makes its exit code from the text: 127 for "executable file not found" and "no such file or directory",
126 for "permission denied" and "is a directory", else 125.
"""

from __future__ import annotations

import re

from wherry.errors import Failed, Invalid, WherryError
from wherry.model.containers import Container
from wherry.model.execs import ExecSpec

_SYSTEM = re.compile(r"No such file or directory|Permission denied|Is a directory|Not a directory|Exec format error")
_MISSING = re.compile(r"executable file (.* )?not found|(stat|open) \S+: no such file or directory")
_REFUSED = re.compile(r"open executable|is a directory|exec .*permission denied|executable.*permission denied")
_NO_NAME = 'exec: "": executable file not found in $PATH'


def start_error(container: Container, error: WherryError) -> WherryError:
    """The error in the wording that clients know. What concerns the user's program is `Invalid`, as with Docker."""
    text = _SYSTEM.sub(lambda match: match[0].lower(), error.text)
    path = container.path
    prefix = f"failed to create task for container: OCI runtime create failed: {container.runtime} create failed"
    if not path:
        return Invalid(f"{prefix}: unable to start container process: {_NO_NAME}: unknown")
    if _MISSING.search(text) and path.rpartition("/")[2] in text:
        reason = f"stat {path}: no such file or directory" if "/" in path else "executable file not found in $PATH"
        return Invalid(f'{prefix}: unable to start container process: exec: "{path}": {reason}: unknown')
    if _REFUSED.search(text):
        return Invalid(f'{prefix}: unable to start container process: exec: "{path}": permission denied: unknown')
    return Failed(f"{prefix}: {text}: unknown")


def failure_code(error: WherryError) -> int:
    """The exit code that is recorded: 127, 126, or 128 for everything else."""
    text = error.text
    if "executable file not found" in text or "no such file or directory" in text:
        return 127
    if "permission denied" in text or "is a directory" in text:
        return 126
    return 128


_CHDIR = re.compile(r"chdir.*: (no such file or directory|not a directory|permission denied)")


def exec_error(spec: ExecSpec, error: Failed) -> WherryError:
    """Why a runtime could not begin an exec, in the wording that clients know; `Invalid` where it is the user's program."""
    began = "exec failed: unable to start container process"  # what runc says itself, and crun does not
    text = _SYSTEM.sub(lambda match: match[0].lower(), error.text).removeprefix(f"{began}: ")
    prefix, path = f"OCI runtime exec failed: {began}", spec.command[0]
    if spec.working_dir and not spec.working_dir.startswith("/"):
        return Invalid("OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown")
    if not path:
        return Invalid(f"{prefix}: {_NO_NAME}: unknown")
    if chdir := _CHDIR.search(text):
        return Invalid(f'{prefix}: chdir to cwd ("{spec.working_dir}") set in config.json failed: {chdir[1]}: unknown')
    if _MISSING.search(text) and path.rpartition("/")[2] in text:
        reason = f"stat {path}: no such file or directory" if "/" in path else "executable file not found in $PATH"
        return Invalid(f'{prefix}: exec: "{path}": {reason}: unknown')
    if _REFUSED.search(text):
        return Invalid(f'{prefix}: exec: "{path}": permission denied: unknown')
    return Failed(f"{prefix}: {text}: unknown")


def exec_failure_code(error: WherryError) -> int:
    """The exit code of an exec that could not begin: 127 if its program is not there, else 126."""
    code = failure_code(error)
    return 126 if code == 128 else code
