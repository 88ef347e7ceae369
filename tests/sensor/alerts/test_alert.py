"""The alert as JSON: names, bounds and the promise of one line."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Endpoint, ModelIdentity, Observer
from sensor.alerts.alert_record import alert_document, alert_line
from sensor.alerts.deviation import Deviation
from sensor.alerts.ecs import LINE_LIMIT_BYTES
from sensor.alerts.kinds import timestamp
from sensor.alerts.playbook import playbook_of
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import TECHNIQUES, severity_of, technique_of
from sensor.episodes.alerting import risk_of
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux


def test_the_line_is_the_documented_one() -> None:
    scan = an_alert(
        time_ns=1_700_000_000_123_456_789,
        sequence=4711,
        severity=40,
        risk=36.4,
        reason="412 ports on one host in 9.0 s",
        destination=Endpoint("198.51.100.7", 443, 4321, 10),
        technique=technique_of("T1046"),
        lane="both",
        label="PortScan",
        p_known=0.0002,
        p_novel=0.00004,
        scores={"lstm": 0.97, "iforest": 0.88},
        spread=Spread(412, 830, 410, 1, False, 412, False, 9_000_000_000, 6, 443),
        deviations=(Deviation("syn_flag_count", "packets", 412.0, 1.0, 0.0, 9.0, 11.0, 3.0),),
    )
    assert json.loads(alert_line(scan)) == {
        "@timestamp": "2023-11-14T22:13:20.123456Z",
        "message": "Network Service Discovery: 192.0.2.10 to 198.51.100.7, attack by both lanes, risk 36.4 of 100: "
        "412 ports on one host in 9.0 s",
        "ecs": {"version": "9.4.0"},
        "event": {
            "kind": "alert", "category": ["network", "intrusion_detection"], "type": ["info"],
            "dataset": "flowvigil.alert", "action": "opened", "id": "A" * 26, "sequence": 4711, "severity": 40,
            "risk_score": 36.4, "start": "2023-11-14T22:13:20.000000Z", "end": "2023-11-14T22:13:29.000000Z",
            "reason": "412 ports on one host in 9.0 s",
        },
        "source": {"ip": "192.0.2.10", "port": 51514, "bytes": 1234, "packets": 12},
        "destination": {"ip": "198.51.100.7", "port": 443, "bytes": 4321, "packets": 10},
        "network": {
            "type": "ipv4", "transport": "tcp", "iana_number": "6", "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "application": "https",
        },
        "observer": {"name": "gw1", "type": "ids", "version": "0.1.0"},
        "threat": {
            "framework": "MITRE ATT&CK",
            "technique": {"id": ["T1046"], "name": ["Network Service Discovery"]},
            "tactic": {"name": ["Discovery"]},
        },
        "flowvigil": {
            "schema": "alert/1", "verdict": "attack", "lane": "both", "label": "PortScan",
            "p": {"known": 0.0002, "novel": 0.00004}, "scores": {"lstm": 0.97, "iforest": 0.88},
            "features": [
                {
                    "name": "syn_flag_count", "unit": "packets", "value": 412, "normal_p01": 0, "normal_median": 1,
                    "normal_p99": 9,
                }
            ],
            "sources": 1, "storm": False, "flows": 412, "packets": 830, "failed": 410, "targets": 1,
            "targets_more": False, "origins": 1, "origins_more": False, "target_ips": ["198.51.100.7"],
            "ports": 412, "ports_more": False,
            "target_ports": [22],
            "next": list(playbook_of(scan).steps),
            "packets_filter": "ip.addr == 192.0.2.10 && ip.addr == 198.51.100.7 && tcp && "
            "frame.time_epoch >= 1700000000.000000 && frame.time_epoch <= 1700000009.000001",
            "model": {"id": "cic2017", "sha256": "0" * 64}, "quality": {"dropped": 0},
        },
    }  # fmt: skip


def test_a_sub_technique_stands_beside_its_parent() -> None:
    threat = alert_document(an_alert(technique=technique_of("T1110.001")))["threat"]
    assert threat["technique"]["id"] == ["T1110"]
    assert threat["technique"]["subtechnique"] == {"id": ["T1110.001"], "name": ["Password Guessing"]}


def test_without_a_technique_or_a_port_their_fields_are_absent() -> None:
    ping = Endpoint("192.0.2.10", None, 56, 1)
    document = alert_document(an_alert(technique=None, label=None, source=ping, protocol=1))
    assert "threat" not in document
    assert "port" not in document["source"]
    assert document["network"]["transport"] == "icmp"
    assert document["flowvigil"]["label"] is None


def hostile_alert(text: str, x: float, time_ns: int, count: int) -> Alert:
    deviations = tuple(Deviation(text, text, x, x, x, x, x, x) for _ in range(9))
    return an_alert(
        label=text,
        reason=text,
        deviations=deviations,
        technique=replace(technique_of("T1110.001"), name=text, id=f"{text}.{text}"),
        p_known=x,
        scores={f"{i}{text}": x for i in range(20)},
        model=ModelIdentity(text, text),
        observer=Observer(text, text),
        time_ns=time_ns,
        start_ns=time_ns,
        end_ns=time_ns,
        spread=Spread(count, count, count, 4096, True, 1, True, 1, 6, 1),
        target_ips=("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",) * 9,
        target_ports=(65535,) * 20,
        hosts_merged=count,
    )


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.text(st.characters(), max_size=3000), numbers, st.integers(-(2**62), 2**62), st.integers(0, 2**53))
def test_any_alert_is_one_line_of_valid_json_within_the_bound(text: str, x: float, time_ns: int, count: int) -> None:
    alert = hostile_alert(text, x, time_ns, count)
    line = alert_line(alert)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_LIMIT_BYTES
    document = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in the output"))
    assert document["flowvigil"]["flows"] == count
    assert alert_line(alert) == line


@pytest.mark.parametrize("letter", ["\U0001f600", "\x1b", '"', "\u202e", "\ud800", "\U000e0001"])
@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, -1.2345678901234567e-300])
def test_the_longest_alert_of_the_widest_letters_is_within_the_bound(letter: str, x: float) -> None:
    line = alert_line(hostile_alert(letter * 3000, x, 2**62, 2**53))
    assert len(line) <= LINE_LIMIT_BYTES
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in the output"))


def test_time_is_cut_to_microseconds_in_utc() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(999) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(1_700_000_000_999_999_999) == "2023-11-14T22:13:20.999999Z"


def test_risk_grows_with_evidence_and_never_exceeds_severity() -> None:
    risks = [risk_of(80, evidence, True) for evidence in (0.0, 11.5, 23.0, 100.0)]
    assert risks == sorted(risks)
    assert risks[0] == 40
    assert risks[-1] == 80
    assert risk_of(80, math.log(1e5), False) == pytest.approx(36.0)


def test_severity_follows_the_tactic() -> None:
    assert severity_of(None) < severity_of(technique_of("T1046")) < severity_of(technique_of("T1110.001"))
    assert severity_of(technique_of("T9999")) == 60
    assert len({technique.id for technique in TECHNIQUES}) == len(TECHNIQUES)
