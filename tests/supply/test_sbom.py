"""The bill of materials lists what operators install, and is the same for the same locks."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sensor.version import VERSION
from tests.supply import pins, sbom
from tests.supply.environments import SENSOR, SHIPPED


@pytest.fixture(scope="module")
def listed() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sbom.text(1_700_000_000))
    return document


def test_it_is_cyclonedx() -> None:
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.text(1_700_000_000))
    assert problem is None


def test_the_same_locks_and_time_give_the_same_bytes() -> None:
    assert sbom.text(1_700_000_000) == sbom.text(1_700_000_000)


def test_it_lists_every_pin_of_the_shipped_environments_with_its_hashes(listed: dict[str, Any]) -> None:
    locked = {(pin.name, str(pin.version)): set(pin.hashes) for name in SHIPPED for pin in pins.read(name)}
    hashed = {
        (part["name"], part["version"]): {one["content"] for one in part["externalReferences"][0]["hashes"]}
        for part in listed["components"]
    }
    assert hashed == locked
    assert listed["metadata"]["component"]["version"] == VERSION


def test_what_the_sensor_alone_needs_is_required_and_the_rest_optional(listed: dict[str, Any]) -> None:
    required = {part["name"] for part in listed["components"] if part["scope"] == "required"}
    assert required == {pin.name for pin in pins.read(SENSOR)}


def test_every_part_is_reached_from_the_product(listed: dict[str, Any]) -> None:
    needs = {part["ref"]: part.get("dependsOn", []) for part in listed["dependencies"]}
    seen: set[str] = set()
    ahead = [listed["metadata"]["component"]["bom-ref"]]
    while ahead:
        part = ahead.pop()
        if part not in seen:
            seen.add(part)
            ahead += needs[part]
    assert seen == {part["bom-ref"] for part in listed["components"]} | {f"pkg:pypi/flowvigil@{VERSION}"}


def test_it_names_no_place_to_fetch_from(listed: dict[str, Any]) -> None:
    del listed["$schema"]
    assert "://" not in json.dumps(listed)
