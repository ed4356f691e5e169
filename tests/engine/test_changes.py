"""`--change` of commit and import."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.errors import Invalid
from wherry_engine.engine.changes import apply_changes

OLD = {"Cmd": ["old"], "WorkingDir": "/srv"}


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        (["EXPOSE 80 90-91/udp"], "ExposedPorts", {"80/tcp": {}, "90/udp": {}, "91/udp": {}}),
        (["WORKDIR app"], "WorkingDir", "/srv/app"),
        (["WORKDIR /app"], "WorkingDir", "/app"),
        (['ENTRYPOINT ["a"]'], "Cmd", None),
        (['CMD ["b"]', 'ENTRYPOINT ["a"]'], "Cmd", ["b"]),
        (["LABEL a=b"], "Cmd", ["old"]),
    ],
)
def test_an_instruction_changes_what_it_names(changes: list[str], key: str, value: Any) -> None:
    assert apply_changes(dict(OLD), changes)[key] == value


def test_what_is_no_port_is_refused() -> None:
    with pytest.raises(Invalid, match="invalid containerPort: http"):
        apply_changes({}, ["EXPOSE http"])
