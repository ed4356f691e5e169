"""The harnesses find old bugs that are planted into the engine: each would pass unseen without its harness.

The bugs are those that other engines have had; the third kind, what is not on the disk when it is acknowledged, is
planted in test_power_loss.py.
"""

from __future__ import annotations

import pytest
from tests.engine.sweep import sweep

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_the_sweep_finds_a_layer_that_is_made_before_it_is_journalled() -> None:
    with sweep("image-import") as lab:
        assert lab.call("kill", "image-import", "layer.add.prepare", "after") == "killed"
        assert lab.call("end") == []
        assert lab.call("kill", "image-import", "layer.add.prepare", "after", bug="layer-before-journal") == "killed"
        problems = lab.call("end")
        assert any("snapshots: " in problem for problem in problems), problems


def test_the_sweep_finds_an_endpoint_that_a_failed_start_leaves_attached() -> None:
    with sweep("container-start") as lab:
        steps = ("container-start", "container.start.attach", "container.start.publish")
        assert lab.call("error", *steps)["problems"] == []
        problems = lab.call("error", *steps, bug="attached-for-ever")["problems"]
        assert any("container.start.publish@after" in problem for problem in problems), problems
