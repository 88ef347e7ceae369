"""A field that holds numbers holds them in one JSON type, in every record: what guesses types by the first one errs."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_record import alert_document
from sensor.alerts.deviation import Deviation
from sensor.alerts.formats.eve import eve_line
from sensor.alerts.formats.native import native_line
from sensor.alerts.formats.ocsf import ocsf_line
from sensor.alerts.formats.schemas import schema_of
from sensor.alerts.sensor_records import event_line, stats_line
from sensor.progress.progress import Progress
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux


def _types(schema: dict[str, Any], value: Any, path: str = "") -> Iterator[tuple[str, str, type]]:
    """Each number of a document: where it stands, what the schema calls it, and the type that JSON has it in."""
    kinds = schema.get("type")
    if isinstance(value, dict):
        for name, inner in value.items():
            below = schema.get("properties", {}).get(name) or schema.get("additionalProperties", {})
            yield from _types(below, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from _types(schema.get("items", {}), inner, f"{path}[]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, "number" if kinds == "number" or "number" in (kinds or ()) else "integer", type(value)


figures = st.one_of(st.integers(0, 100), st.floats(0, 100), st.floats()).map(float)


@given(
    risk=st.integers(0, 1000), known=figures, novel=figures, value=figures, score=figures, count=st.integers(0, 10**9)
)
@example(risk=500, known=1.0, novel=0.0, value=5.0, score=2.0, count=10)
@example(risk=505, known=math.nan, novel=-0.0, value=1e21, score=math.inf, count=3)
def test_a_number_has_the_same_json_type_in_every_record(
    risk: int, known: float, novel: float, value: float, score: float, count: int
) -> None:
    deviation = Deviation("flow_duration", "s", value, known, novel, score, score, 1.0)
    alert = an_alert(
        risk=risk / 10, p_known=known, p_novel=novel, scores={"lstm": score, "forest": value}, deviations=(deviation,)
    )
    progress = Progress(received=count, packets=count, bytes=count)
    stats = stats_line(progress, Observer("a", "1"), 0, value)
    event = event_line("down", "eth0 went down", Observer("a", "1"), 0, "eth0")
    native = native_line(alert_document(alert))
    lines = [(schema_of("alert"), native), (schema_of("stats"), stats), (schema_of("event"), event)]
    seen = [found for schema, line in lines for found in _types(schema, json.loads(line))]
    assert [path for path, kind, type_ in seen if (kind == "number") != (type_ is float)] == []
    assert any(path == ".event.risk_score" for path, _, _ in seen)


@given(risk=st.integers(0, 1000), value=figures)
def test_a_number_of_another_format_has_the_same_json_type_too(risk: int, value: float) -> None:
    def types(alert: Alert) -> dict[str, type]:
        document = alert_document(alert)
        lines = [eve_line(document), ocsf_line(document)]
        return {path: type_ for line in lines for path, _, type_ in _types({}, json.loads(line))}

    def with_values(risk: float, value: float) -> Alert:
        deviation = Deviation("flow_duration", "s", value, value, value, value, value, 1.0)
        return an_alert(risk=risk, p_known=value, p_novel=value, scores={"lstm": value}, deviations=(deviation,))

    first, other = types(with_values(12.5, 0.25)), types(with_values(risk / 10, value))
    assert {path: type_ for path, type_ in other.items() if first[path] is not type_} == {}
