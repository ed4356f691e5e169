"""What containers use, as the API shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import orjson
import pytest
from tests.api.conftest import Served
from tests.api.fake_engine import make_container, running_container

NEVER = "0001-01-01T00:00:00Z"
BLOCKS = {
    "io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive",
    "io_time_recursive", "sectors_recursive",
}  # fmt: skip

Serve = Callable[[Callable[[Served], Awaitable[None]]], None]


def read(api: Served, query: str = "stream=0") -> Any:
    return api.ask("GET", f"/containers/web/stats?{query}")


def test_a_pair_has_everything_in_its_place(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        shown = (await read(api)).value
        cpu = {
            "cpu_usage": {
                "total_usage": 300, "percpu_usage": [250, 50], "usage_in_kernelmode": 100, "usage_in_usermode": 200
            },
            "system_cpu_usage": 4000,
            "online_cpus": 2,
            "throttling_data": {"periods": 5, "throttled_periods": 4, "throttled_time": 30},
        }  # fmt: skip
        assert shown["read"] == shown["preread"] == "2023-11-14T22:13:20.123456789Z"
        assert shown["cpu_stats"] == shown["precpu_stats"] == cpu
        assert shown["memory_stats"] == {
            "usage": 5000, "max_usage": 6000, "failcnt": 1, "stats": {"cache": 10, "total_inactive_file": 7}, "limit": 9000
        }  # fmt: skip
        assert shown["blkio_stats"] == {
            "io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "Read", "value": 4096}],
            "io_serviced_recursive": [{"major": 8, "minor": 0, "op": "Read", "value": 1}],
            **{name: [] for name in BLOCKS},
        }
        assert shown["pids_stats"] == {"current": 3, "limit": 100}
        assert shown["networks"]["eth0"] == {
            "rx_bytes": 1, "rx_packets": 2, "rx_errors": 3, "rx_dropped": 4,
            "tx_bytes": 5, "tx_packets": 6, "tx_errors": 7, "tx_dropped": 8,
        }  # fmt: skip
        assert (shown["name"], shown["num_procs"], shown["storage_stats"]) == ("/web", 0, {})

    serve(scenario)


def test_version_2_leaves_out_what_it_does_not_count(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        container = api.engine.containers.add(running_container("web"))
        figures = api.engine.containers.figures
        api.engine.containers.figures = attrs.evolve(
            figures,
            cpu=attrs.evolve(figures.cpu, per_cpu=None),
            memory=attrs.evolve(figures.memory, peak=None, failures=None),
            block_operations=None,
            processes_limit=None,
            interfaces={},
        )
        shown = (await read(api)).value
        assert "percpu_usage" not in shown["cpu_stats"]["cpu_usage"]
        assert set(shown["memory_stats"]) == {"usage", "stats", "limit"}
        assert {name for name, value in shown["blkio_stats"].items() if value is None} == {
            "io_serviced_recursive", *BLOCKS
        }  # fmt: skip
        assert shown["pids_stats"] == {"current": 3}
        assert "networks" not in shown
        assert shown["id"] == container.id

    serve(scenario)


def test_one_shot_has_nothing_of_the_sample_before(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        shown = (await read(api, "stream=false&one-shot=true")).value
        assert (shown["preread"], shown["precpu_stats"]["cpu_usage"]["total_usage"]) == (NEVER, 0)
        assert "system_cpu_usage" not in shown["precpu_stats"]
        both = await read(api, "one-shot=1")
        assert (both.status, both.message) == (400, "cannot have stream=true and one-shot=true")
        older = await api.ask("GET", "/v1.40/containers/web/stats?stream=0&one-shot=1")
        assert older.value["preread"] != NEVER, "older versions do not know one-shot"

    serve(scenario)


def test_a_container_that_does_not_run_has_zeros(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(make_container(name="web"))
        for query in ("stream=0", "stream=0&one-shot=1"):
            shown = (await read(api, query)).value
            assert (shown["read"], shown["pids_stats"], shown["memory_stats"]) == (NEVER, {}, {})
            assert set(shown["blkio_stats"].values()) == {None}
            assert shown["cpu_stats"] == {
                "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
                "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
            }

    serve(scenario)


def test_a_stream_is_one_object_a_line(serve: Serve) -> None:
    async def scenario(api: Served) -> None:
        api.engine.containers.add(running_container("web"))
        answer = await api.ask("GET", "/containers/web/stats")
        assert answer.headers["content-type"] == "application/json"
        assert [orjson.loads(line)["name"] for line in answer.body.splitlines()] == ["/web"] * 3

    serve(scenario)


@pytest.mark.parametrize("query", ["", "?stream=0", "?stream=0&one-shot=1"])
def test_a_container_that_does_not_exist_is_not_found(serve: Serve, query: str) -> None:
    async def scenario(api: Served) -> None:
        answer = await api.ask("GET", f"/containers/nosuch/stats{query}")
        assert (answer.status, answer.message) == (404, "No such container: nosuch")

    serve(scenario)
