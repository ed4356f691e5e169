"""Check an installed wheel, run with the interpreter it was installed for: all entry points load, all files are there."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

NEEDED = ("wherry/py.typed", "wherry_engine/py.typed", "wherry/spec/storage.py")


def main(wheel: str) -> int:
    """1 when something is missing or does not load."""
    faults = []
    names = set(zipfile.ZipFile(wheel).namelist())
    faults += [f"the wheel lacks {name}" for name in NEEDED if name not in names]
    faults += [f"the wheel holds {name}, which is no part of a package" for name in names if name.startswith("tests/")]
    count = 0
    for entry in importlib.metadata.distribution("wherry").entry_points:
        if entry.group == "pytest11":  # needs the extra wherry[testing]
            continue
        count += 1
        try:
            entry.load()
        except (ImportError, AttributeError) as error:
            faults.append(f"entry point {entry.group}: {entry.name} = {entry.value} does not load: {error}")
    for command in (["wherry", "--help"], ["wherryd", "--help"]):
        program = shutil.which(command[0], path=str(Path(sys.executable).parent))
        done = (
            subprocess.run([program or command[0], *command[1:]], capture_output=True, text=True) if program else None
        )
        if done is None or done.returncode:
            faults.append(f"`{' '.join(command)}` fails: {done.stderr if done else 'it is not installed'}")
    for fault in faults:
        print(fault)
    print(f"{wheel.rpartition('/')[2]}: {len(names)} files, {count} entry points, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
