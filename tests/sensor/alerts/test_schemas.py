"""The promise of the native records: their schemas hold for what is written, and no field goes or changes its type."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert_record import alert_document, alert_line
from sensor.alerts.formats import FORMATS, formatter
from sensor.alerts.formats.schemas import RECORDS, schema_of
from sensor.alerts.sensor_records import event_line, stats_line
from sensor.progress.progress import InterfaceState, Progress
from tests.support.alerts import an_alert
from tests.support.command import DEMO, flowvigil
from tests.support.examples import examples
from tests.support.native import (
    NOW_NS,
    OBSERVER,
    TEXTS,
    a_drift_line,
    a_flow_line,
    a_logged_flow_line,
    a_stats_line,
    an_event_line,
    documents,
)

pytestmark = pytest.mark.ux

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
WRITTEN = {
    "alert": alert_line(an_alert()),
    "flow": a_flow_line(),
    "logged-flow": a_logged_flow_line(),
    "stats": a_stats_line(),
    "event": an_event_line(),
    "drift": a_drift_line(),
}


def validator(record: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(record))


def kind(value: object) -> str:
    """The type as JSON has it; a whole number is a number."""
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number", type(None): "null"}
    return names[type(value)]


def fields(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each field's path and type, of an array's first item too."""
    yield path, kind(value)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        yield from fields(value[0], f"{path}[]")


def golden_fields(name: str) -> dict[str, str]:
    return dict(fields(json.loads((GOLDEN / f"{name}.json").read_bytes())))


# Schemas


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_is_one(record: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(record))
    validator(record).validate(json.loads(WRITTEN[record]))


@given(document=documents())
@examples(100)
def test_any_alert_is_valid_by_its_schema(document: dict[str, Any]) -> None:
    validator("alert").validate(json.loads(formatter("native")(document)))


@given(text=TEXTS, count=st.integers(0, 2**53), up=st.booleans(), interval_s=st.floats())
@examples(40)
def test_any_account_and_event_is_valid_by_its_schema(text: str, count: int, up: bool, interval_s: float) -> None:
    progress = Progress(received=count, undecoded={text: count}, overload=text, interfaces=(InterfaceState(text, up),))
    validator("stats").validate(json.loads(stats_line(progress, OBSERVER, NOW_NS, interval_s, None)))
    for interface in (None, text):
        validator("event").validate(json.loads(event_line(text, text, OBSERVER, NOW_NS, interface)))


def test_what_the_sensor_writes_for_the_demo_is_valid_and_converts_to_every_format() -> None:
    lines = flowvigil("read", "--quiet", DEMO).stdout.splitlines()
    assert len(lines) > 8
    for line in lines:
        document = json.loads(line)
        validator("alert").validate(document)
        assert all(formatter(name)(document) for name in FORMATS)


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_notices_each_field_that_is_removed_or_retyped(record: str) -> None:
    document = json.loads(WRITTEN[record])
    schema, valid = schema_of(record), validator(record)
    for path in required(schema):
        *way, last = path
        part = json.loads(json.dumps(document))
        whole = part
        for name in way:
            part = part[name]
        was = part.pop(last)
        assert not valid.is_valid(whole), f"{path} may be removed"
        part[last] = [was] if kind(was) != "array" else 7
        assert not valid.is_valid(whole), f"{path} may change its type"


def required(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in schema.get("required", ()):
        yield (*path, name)
        yield from required(schema["properties"][name], (*path, name))


@pytest.mark.parametrize("record", RECORDS)
def test_a_field_may_be_added_anywhere(record: str) -> None:
    def grown(value: Any) -> Any:
        return {**{k: grown(v) for k, v in value.items()}, "new": {}} if isinstance(value, dict) else value

    document = grown(json.loads(WRITTEN[record]))
    for name in ("scores", "undecoded", "unjudged"):  # whose names are not fields
        document["flowvigil"].get(name, {}).pop("new", None)
    validator(record).validate(document)


@pytest.mark.real_start
def test_the_command_prints_the_schema() -> None:
    for record in RECORDS:
        result = flowvigil("schema", record)
        assert (result.code, result.stderr) == (0, [])
        assert json.loads(result.stdout) == schema_of(record)
    assert flowvigil("schema", "packet").code == 2


# Golden files: what was once written. A field that is added is added there by hand, none is ever taken out.


@pytest.mark.parametrize("record", RECORDS)
def test_no_field_of_a_golden_record_is_removed_or_retyped(record: str) -> None:
    now = dict(fields(json.loads(WRITTEN[record])))
    for path, was in golden_fields(record).items():
        assert now.get(path) == was, f"{record}: {path or 'the record'} was {was}"


@pytest.mark.parametrize("name", ["eve", "ocsf"])
def test_no_field_of_a_golden_line_in_a_foreign_format_is_removed_or_retyped(name: str) -> None:
    now = dict(fields(json.loads(formatter(name)(alert_document(an_alert())))))
    for path, was in golden_fields(f"alert.{name}").items():
        assert now.get(path) == was, f"{name}: {path} was {was}"


def test_the_golden_cef_line_is_still_written() -> None:
    assert formatter("cef")(alert_document(an_alert())) == (GOLDEN / "alert.cef").read_bytes()


@pytest.mark.parametrize("record", RECORDS)
def test_a_schema_describes_every_field_of_a_golden_record(record: str) -> None:
    validator(record).validate(json.loads((GOLDEN / f"{record}.json").read_bytes()))
    described = set(properties(schema_of(record)))
    free = ("flowvigil.scores.", "flowvigil.undecoded.", "flowvigil.unjudged.")
    for path in golden_fields(record):
        assert not path or path in described or path.startswith(free) or path.endswith("[]"), path


def properties(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from properties(inner, here)
        if "items" in inner:
            yield from properties(inner["items"], f"{here}[]")


def test_formats_need_no_heavy_package() -> None:
    code = (
        "import sys\nfrom sensor.alerts.formats import FORMATS, formatter\n"
        "import sensor.alerts.query, sensor.cli.alerts\n"
        "[formatter(name) for name in FORMATS]\n"
        "print(sorted({'numpy', 'numba', 'pydantic', 'rich', 'jsonschema'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
