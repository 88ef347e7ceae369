"""An alert read back: what was written comes back, and what nobody should write is refused by its field."""

import math
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.alert_record import alert_document, alert_line, alert_of
from sensor.alerts.deviation import Deviation, distance_of
from sensor.alerts.techniques import technique_of
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux

FIELDS = [
    {}, {"technique": None, "label": None}, {"technique": technique_of("T1046")}, {"hosts_merged": 412},
    {"packets_file": "AAAA.pcapng"}, {"deviations": ()}, {"p_known": math.nan, "scores": {}},
    {"source": Endpoint("2001:db8::1", None, 1, 2), "destination": Endpoint("2001:db8::2", None, 0, 0), "ip_version": 6,
     "protocol": 58},
    {"deviations": (Deviation("x", "µs", math.inf, 2.0, 0.5, 9.0, 11.0, 3.0),)},
]  # fmt: skip


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: ", ".join(fields) or "as it is")
def test_what_was_written_comes_back_and_is_written_again_the_same(fields: dict[str, Any]) -> None:
    line = alert_line(an_alert(**fields))
    again = alert_of(orjson.loads(line))
    assert alert_line(again) == line
    assert again.spread.span_ns == 9_000_000_000


def test_the_alert_that_comes_back_is_the_one_that_was_written() -> None:
    deviation = Deviation("fwd_psh_flags", "packets", 412.0, 2.0, 0.0, 9.0, 11.0, distance_of(412.0, 2.0, 0.0, 9.0))
    written = an_alert(deviations=(deviation,))
    found = alert_of(alert_document(written))
    assert math.isnan(found.deviations[0].p999)  # which no line carries
    assert [getattr(found, name) for name in Alert.__slots__ if name != "deviations"] == [
        getattr(written, name) for name in Alert.__slots__ if name != "deviations"
    ]
    assert found.deviations[0].distance == deviation.distance


def test_a_line_of_before_storms_and_kept_packets_is_read() -> None:
    document = alert_document(an_alert())
    for later in ("sources", "storm", "packets_file"):
        document["flowvigil"].pop(later, None)
    for feature in document["flowvigil"]["features"]:
        del feature["normal_p01"]
    found = alert_of(document)
    assert (found.hosts_merged, found.packets_file) == (0, None)
    assert found.deviations[0].outside  # above: what lies below normal is not known


def test_a_storm_of_before_sources_were_counted_is_of_as_many_hosts_as_it_said() -> None:
    document = alert_document(an_alert(hosts_merged=412))
    del document["flowvigil"]["origins"]
    assert alert_of(document).origin == "412 hosts"


@pytest.mark.parametrize(("path", "value"), [("sources", 0), ("sources", "many"), ("storm", 1), ("packets_file", 7)])
def test_a_later_field_of_another_type_is_refused_by_its_name(path: str, value: object) -> None:
    document = alert_document(an_alert(hosts_merged=3))
    document["flowvigil"][path] = value
    with pytest.raises(ValueError, match=rf"^flowvigil\.{path}: found"):
        alert_of(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    (section, name) for section, part in alert_document(an_alert()).items() if isinstance(part, dict) for name in part
]


@given(st.sampled_from(PATHS), JSON)
def test_any_value_in_any_place_is_taken_or_refused(path: tuple[str, str], value: Any) -> None:
    document = deepcopy(alert_document(an_alert()))
    document[path[0]][path[1]] = value
    try:
        found = alert_of(document)
    except ValueError:
        return
    assert len(alert_line(found)) <= 8192
