"""Syslog messages: their header, their severity, and that they stay within a receiver's limit."""

import re

import orjson
import pytest
from hypothesis import given

from sensor.alerts.alert_record import alert_document
from sensor.alerts.formats import FORMATS, formatter
from sensor.outputs.syslog import LIMIT_BYTES, counted, severity_of, syslog_message
from tests.support.alerts import an_alert
from tests.support.examples import examples
from tests.support.native import alerts

pytestmark = pytest.mark.ux

HEADER = re.compile(rb"<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [\x21-\x7e]{1,255} flowvigil \d+ alert - ")
LOCAL0 = 16


@examples(60)
@given(alert=alerts())
@pytest.mark.parametrize("name", FORMATS)
def test_any_alert_is_one_message_within_the_limit(name: str, alert: object) -> None:
    message = syslog_message(alert_document(alert), formatter(name), LOCAL0)  # type: ignore[arg-type]
    assert len(message) <= LIMIT_BYTES
    assert HEADER.match(message)
    assert b"\n" not in message


def test_a_document_that_is_too_long_keeps_its_scalars_and_says_so() -> None:
    document = alert_document(an_alert())
    document["flowvigil"]["hosts"] = [f"host-{number}" for number in range(2000)]
    message = syslog_message(document, formatter("native"), LOCAL0)
    assert len(message) <= LIMIT_BYTES
    told = orjson.loads(message[message.index(b"{") :])
    assert told["flowvigil"]["shortened"] is True
    assert told["flowvigil"]["features"] == document["flowvigil"]["features"]
    assert told["event"] == orjson.loads(orjson.dumps(document["event"]))
    assert len(document["flowvigil"]["hosts"]) == 2000


@pytest.mark.parametrize(("severity", "level"), [(100, 2), (80, 2), (79, 3), (60, 3), (40, 4), (1, 5), (0, 6)])
def test_severity_follows_the_event(severity: int, level: int) -> None:
    assert severity_of(alert_document(an_alert(severity=severity))) == level


def test_a_frame_tells_the_length_in_octets() -> None:
    assert counted("é".encode()) == b"2 " + "é".encode()
