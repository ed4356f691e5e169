"""The API document is sound, its page is fresh, and it knows all that dockerd's answers have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.api import openapi_checks as checks

from wherry_api.openapi import METHODS, document, document_json, operations, resolve
from wherry_api.openapi.render import markdown

ROOT = Path(__file__).resolve().parents[2]
ID = "0" * 64


def nodes(tree: Any) -> Iterator[Any]:
    """Each mapping of the document."""
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from nodes(child)


def schema_parts(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The schemas of all properties below a schema, with their dotted names."""
    known, items, others = checks.shape(schema)
    for name, child in known.items():
        yield checks.join(place, name), child
        yield from schema_parts(child, checks.join(place, name))
    for child, mark in ((items, "[]"), (others, "{}")):
        if child is not None:
            yield from schema_parts(child, place + mark)


def answer_schema(operation: checks.Operation) -> Any:
    """The schema of an operation's good answer."""
    for status in ("200", "201"):
        if status in operation.node["responses"]:
            return resolve(operation.node["responses"][status])["content"]["application/json"]["schema"]
    raise AssertionError(f"{operation.key} has no good answer")


def test_what_is_served_is_the_document() -> None:
    assert json.loads(document_json()) == document()
    assert document()["openapi"].startswith("3.1.")


def test_every_reference_leads_somewhere_and_every_shared_part_is_used() -> None:
    used = {node["$ref"] for node in nodes(document()) if "$ref" in node}
    for reference in used:
        assert resolve({"$ref": reference})
    parts = {f"#/components/{kind}/{name}" for kind, group in document()["components"].items() for name in group}
    assert parts == used


def test_every_schema_is_a_json_schema() -> None:
    for name, schema in document()["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name
    for node in nodes(document()["paths"]):
        if "schema" in node:
            Draft202012Validator.check_schema(node["schema"])


def test_every_property_is_described() -> None:
    for name, schema in document()["components"]["schemas"].items():
        for place, part in schema_parts(schema, name):
            assert part.get("description") or resolve(part).get("description"), place


def test_every_operation_is_described_and_named_once() -> None:
    names = [item[m]["operationId"] for item in document()["paths"].values() for m in METHODS if m in item]
    assert len(names) == len(set(names)) == len(operations())
    tags = {tag["name"] for tag in document()["tags"]}
    for method, path in operations():
        operation = document()["paths"][path][method.lower()]
        assert operation["summary"].endswith("."), operation["operationId"]
        assert set(operation["tags"]) <= tags
        assert {"400", "500", "501", "503"} <= set(operation["responses"])


def test_the_variables_of_a_path_are_its_path_parameters() -> None:
    for method, path in operations():
        parameters = [resolve(p) for p in document()["paths"][path][method.lower()].get("parameters", ())]
        assert {p["name"] for p in parameters if p["in"] == "path"} == set(re.findall(r"\{([^}]*)\}", path)), path
        assert len({(p["name"], p["in"]) for p in parameters}) == len(parameters), path
        assert all(p.get("description") for p in parameters), path


def test_the_page_in_docs_is_made_from_this_document() -> None:
    page = (ROOT / "docs/api.md").read_text()
    assert page == markdown(), "run: .venv/bin/python -m wherry_api.openapi.render > docs/api.md"


def test_all_that_dockerd_answers_is_documented_or_excused() -> None:
    for key, names in checks.recorded().items():
        operation = checks.find(*key.split(" ", 1))
        assert operation is not None
        assert operation.key == key
        documented = {place for place, _ in schema_parts(answer_schema(operation))}
        assert set(names["always"]) | set(names["sometimes"]) <= documented | set(checks.exceptions().get(key, {}))


def test_every_exception_excuses_something_and_has_a_reason() -> None:
    for key, reasons in checks.exceptions().items():
        assert set(reasons) <= set(checks.recorded()[key]["always"] + checks.recorded()[key]["sometimes"]), key
        assert all(reasons.values()), key


def test_a_path_with_a_version_a_query_and_slashes_in_a_name_is_found() -> None:
    found = {
        "/images/json": "GET /images/json",
        "/v1.41/images/example.org:5000/a/b:c/json?manifests=1": "GET /images/{name}/json",
        "/containers/json/json": "GET /containers/{id}/json",
        "/v1.50/networks/none": "GET /networks/{id}",
        "/_ping": "GET /_ping",
    }
    for path, key in found.items():
        operation = checks.find("GET", path)
        assert operation is not None
        assert operation.key == key
    assert checks.find("GET", "/containers/a/b/json") is None
    assert checks.find("PUT", "/images/json") is None


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/networks", 200, b"[]"),
        ("POST", "/v1.41/containers/create", 201, b'{"Id":"1","Warnings":[]}'),
        ("POST", "/containers/a/start", 204, b""),
        ("POST", "/containers/a/start", 404, b'{"message":"No such container: a"}'),
        ("POST", "/containers/a/attach", 101, b"\x01\0\0\0\0\0\0\1x"),
        ("GET", "/containers/a/logs?stdout=1", 200, b"\x01\0\0\0\0\0\0\1x"),
        ("HEAD", "/_ping", 200, b""),
        ("GET", "/_ping", 200, b"OK"),
        ("GET", "/events", 200, b'{"Type":"network","Action":"create"}\r\n{"Type":"volume"}\n'),
        ("GET", "/events", 200, b""),
        ("GET", "/nothing", 404, b'{"message":"page not found"}'),
        ("GET", "/services", 503, b'{"message":"This node is not a swarm manager."}'),
    ],
)
def test_a_right_response_has_no_faults(method: str, path: str, status: int, body: bytes) -> None:
    assert checks.validate(method, path, status, body) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "fault"),
    [
        ("GET", "/networks", 200, b"null", "GET /networks 200: $: None is not of type 'array'"),
        ("GET", "/networks", 200, b'[{"Nmae":"x"}]', "GET /networks 200: [].Nmae is not documented"),
        ("GET", "/networks", 200, b"", "GET /networks 200: is no JSON: "),
        ("GET", "/networks", 418, b"{}", "GET /networks: status 418 is not documented"),
        ("POST", "/containers/create", 201, b'{"Id":"1"}', "'Warnings' is a required property"),
        ("POST", "/containers/a/start", 204, b"{}", "has a body, documented is none"),
        ("POST", "/containers/a/kill", 409, b'{"error":"x"}', "'message' is a required property"),
        ("GET", "/nothing", 200, b"{}", "GET /nothing: not documented, and answered with 200"),
        ("GET", "/nothing", 404, b'"no"', "is not of type 'object'"),
    ],
)
def test_a_wrong_response_is_told(method: str, path: str, status: int, body: bytes, fault: str) -> None:
    assert any(fault in told for told in checks.validate(method, path, status, body))


def test_keys_of_a_map_are_data_and_what_is_in_its_values_is_checked() -> None:
    body = json.dumps({"Id": ID, "NetworkSettings": {"Networks": {"any name": {"Gatevay": ""}}}}).encode()
    assert checks.validate("GET", "/containers/a/json", 200, body) == [
        "GET /containers/{id}/json 200: NetworkSettings.Networks{}.Gatevay is not documented"
    ]


def test_a_property_that_dockerd_has_is_missed_in_each_object_that_lacks_it() -> None:
    volume = {name: "" for name in ("CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope")}
    short = {name: "" for name in volume if name != "CreatedAt"}
    assert checks.missing_properties("GET", "/volumes", _volumes(volume, volume)) == []
    assert checks.missing_properties("GET", "/v1.41/volumes?filters=", _volumes(volume, short)) == [
        "GET /volumes: Volumes[].CreatedAt missing, dockerd has it"
    ]
    assert checks.missing_properties("GET", "/volumes", b'{"message":"x"}', 500) == []
    assert checks.properties("GET", "/volumes", _volumes(short)) == {
        "Volumes",
        "Warnings",
        *(f"Volumes[].{name}" for name in short),
    }


def test_an_excused_property_is_not_missed() -> None:
    assert checks.missing_properties("POST", "/containers/a/wait", b'{"StatusCode":0}') == []
    assert checks.missing_properties("POST", "/containers/a/wait", b"{}") == [
        "POST /containers/{id}/wait: StatusCode missing, dockerd has it"
    ]


def test_what_dockerd_has_in_some_cases_must_be_shown_once() -> None:
    key = "GET /containers/{id}/json"
    wanted = set(checks.recorded()[key]["sometimes"])
    assert "State.Health" in wanted
    assert checks.never_shown({key: wanted}) == []
    assert checks.never_shown({key: wanted - {"State.Health"}}) == [
        f"{key}: State.Health never shown, dockerd has it in some cases"
    ]


def test_routes_and_operations_are_compared_whatever_their_variables_are_called() -> None:
    routes = [
        (method, "/v{version:[0-9]+.[0-9]{2}}" + path.replace("{name}", "{ref:.+}")) for method, path in operations()
    ]
    assert checks.undocumented(routes) == []
    assert checks.unrouted(routes) == []
    assert checks.undocumented([*routes, ("HEAD", "/volumes"), ("PATCH", "/volumes/{x}")]) == ["PATCH /volumes/{}"]
    assert checks.unrouted(routes[1:]) == [" ".join(operations()[0])]


def _volumes(*volumes: dict[str, str]) -> bytes:
    return json.dumps({"Volumes": volumes, "Warnings": None}).encode()
