"""Alerts in the formats of other tools: valid by those tools' own schemas, whatever a packet put into them."""

import json
import re
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from sensor.alerts.alert import Endpoint, Grade, Muted
from sensor.alerts.alert_record import alert_document
from sensor.alerts.ecs import LINE_LIMIT_BYTES
from sensor.alerts.formats import FORMATS, formatter
from sensor.alerts.formats.cef import header_text, value_text
from sensor.alerts.formats.eve import signature_number
from sensor.alerts.seen_names import SeenName, TlsHello
from sensor.alerts.techniques import TECHNIQUES, Technique, technique_of
from tests.support.alerts import an_alert
from tests.support.examples import examples
from tests.support.native import a_stats_line, an_event_line, documents
from tests.support.suricata_schema import HOW, eve_schema

pytestmark = pytest.mark.ux

FOREIGN = [name for name in FORMATS if name != "native"]
IPV6 = {"source": Endpoint("2001:db8::1", 51514, 1, 2), "destination": Endpoint("fe80::2", 22, 3, 4), "ip_version": 6}


def written(name: str, document: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(formatter(name)(document), parse_constant=pytest.fail)
    assert isinstance(found, dict)
    return found


# All of them


@pytest.mark.parametrize("name", FORMATS)
@given(document=documents())
@examples(60)
def test_any_alert_is_one_line_within_the_bound_and_the_same_each_time(name: str, document: dict[str, Any]) -> None:
    line = formatter(name)(document)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_LIMIT_BYTES
    assert line == formatter(name)(json.loads(json.dumps(document)))
    assert b"\x1b" not in line
    line.decode()


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("letter", ["\U0001f600", "\x1b", '"', "\\", "=", "|", "\u202e", "\n", "\U000e0001"])
def test_a_document_of_somebody_else_stays_within_the_bound_too(name: str, letter: str) -> None:
    long = letter * 5000
    document = alert_document(an_alert())
    document["event"]["id"] = document["event"]["reason"] = document["observer"]["name"] = long
    document["observer"]["version"] = document["network"]["transport"] = document["network"]["community_id"] = long
    below = {"id": [long], "name": [long]}
    document["threat"] = {"technique": {"id": [long], "subtechnique": below}, "tactic": {"name": [long]}}
    deviation = {"name": long, "unit": long, "value": -1e-300, "normal_median": None, "normal_p99": 1.5e300}
    document["flowvigil"] |= {
        "label": long, "model": {"id": long, "sha256": long}, "features": [deviation] * 50,
        "scores": {f"{n}{long}": 0.1 for n in range(50)},
    }  # fmt: skip
    line = formatter(name)(document)
    assert len(line) <= LINE_LIMIT_BYTES
    assert line.count(b"\n") == 1
    assert line[:-1].decode().isprintable()


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("line", [a_stats_line(), an_event_line()], ids=["stats", "event"])
def test_what_the_sensor_tells_of_itself_has_no_line_in_foreign_formats(name: str, line: bytes) -> None:
    assert formatter(name)(json.loads(line)) == b""
    assert formatter("native")(json.loads(line)) == line


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event.severity", "high"), ("event.severity", 101), ("event.risk_score", None), ("event.action", "made up"),
        ("event.start", "yesterday"), ("event.start", "2026-01-01T00:00:00"), ("source.ip", "10.0.0.256"),
        ("source.ip", "fe80::1%\x1b[2J"), ("destination.ip", "::1"), ("destination.port", 65536),
        ("network.iana_number", 6), ("network.iana_number", "²"), ("flowvigil.schema", "alert/9"),
        ("flowvigil.flows", -1), ("flowvigil.flows", True), ("flowvigil.targets_more", 1),
        ("flowvigil.features", [1]), ("flowvigil.scores", []), ("threat.technique.id", [7]), ("observer", []),
    ],
)  # fmt: skip
def test_a_damaged_alert_is_refused_by_the_name_of_its_field(name: str, path: str, value: object) -> None:
    document = alert_document(an_alert())
    *way, last = path.split(".")
    part = document
    for step in way:
        part = part[step]
    part[last] = value
    with pytest.raises(ValueError, match=re.escape(path) + ".*: found .*, expected ") as refused:
        formatter(name)(document)
    assert "\x1b" not in str(refused.value)


def test_a_format_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'leef', expected one of native, eve, ocsf, cef"):
        formatter("leef")


def test_every_format_says_how_many_sources_there_were() -> None:
    alert = an_alert(spread=replace(an_alert().spread, origins=412, origins_more=True))
    document = alert_document(alert)
    assert (document["flowvigil"]["origins"], document["flowvigil"]["origins_more"]) == (412, True)
    assert written("eve", document)["alert"]["metadata"]["flowvigil_origins"] == ["412+"]
    unmapped = written("ocsf", document)["unmapped"]["flowvigil"]
    assert (unmapped["origins"], unmapped["origins_more"]) == (412, True)
    _, found = read_cef(formatter("cef")(document))
    assert (found["flexNumber1Label"], found["flexNumber1"]) == ("origins", "412")


# EVE


@cache
def suricata() -> jsonschema.Draft202012Validator:
    schema = eve_schema()
    if schema is None:
        pytest.skip(HOW)
    return jsonschema.Draft202012Validator(schema)


@given(document=documents())
@examples(60)
def test_eve_is_valid_by_suricatas_own_schema(document: dict[str, Any]) -> None:
    suricata().validate(written("eve", document))


def test_suricatas_schema_would_notice_a_field_it_does_not_know() -> None:
    found = written("eve", alert_document(an_alert()))
    with pytest.raises(jsonschema.ValidationError):
        suricata().validate({**found, "flowvigil": {}})


def test_eve_says_who_what_and_how_urgent() -> None:
    found = written("eve", alert_document(an_alert()))
    assert found["timestamp"] == "2023-11-14T22:13:20.000000+0000"
    assert (found["src_ip"], found["src_port"], found["dest_ip"], found["dest_port"], found["proto"]) == (
        "192.0.2.10", 51514, "198.51.100.7", 22, "TCP",
    )  # fmt: skip
    alert = found["alert"]
    assert (alert["signature"], alert["signature_id"], alert["severity"], alert["action"]) == (
        "FLOWVIGIL Password Guessing", 1110001, 1, "allowed",
    )  # fmt: skip
    assert alert["metadata"]["mitre_technique_id"] == ["T1110.001"]
    assert alert["metadata"]["flowvigil_event_id"] == ["A" * 26]
    assert found["flow_id"] < 2**53


def test_each_technique_has_a_signature_number_of_its_own() -> None:
    numbers = [signature_number(technique.id) for technique in TECHNIQUES]
    assert len(set(numbers)) == len(TECHNIQUES)
    assert signature_number("") == signature_number("T²") == 1 < min(numbers)


@pytest.mark.parametrize(("severity", "priority"), [(100, 1), (70, 1), (69, 2), (40, 2), (39, 3), (0, 3)])
def test_eves_priority_falls_as_severity_rises(severity: int, priority: int) -> None:
    assert written("eve", alert_document(an_alert(severity=severity)))["alert"]["severity"] == priority


# OCSF


@cache
def published_finding() -> jsonschema.Draft202012Validator:
    """A Detection Finding as OCSF 1.5.0 publishes it, with no attribute that it does not name."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.5.0")).get_class_schema("detection_finding")
    return jsonschema.Draft202012Validator(schema)


@given(document=documents())
@examples(60)
def test_ocsf_is_valid_by_the_published_schema(document: dict[str, Any]) -> None:
    found = written("ocsf", document)
    published_finding().validate(found)
    assert found["type_uid"] == found["class_uid"] * 100 + found["activity_id"]
    assert found["metadata"]["version"] == "1.5.0"
    assert found["finding_info"]["uid"] == document["event"]["id"]


def test_ocsfs_schema_would_notice_an_attribute_it_does_not_know() -> None:
    found = written("ocsf", alert_document(an_alert()))
    found["evidences"][0]["src_endpoint"]["sni"] = "www.example.org"
    with pytest.raises(jsonschema.ValidationError, match="'sni' was unexpected"):
        published_finding().validate(found)


def test_ocsf_says_where_an_address_belongs_and_nothing_where_that_is_not_known() -> None:
    known = Endpoint("192.0.2.10", 51514, 1234, 12, None, "FR", "Lyon", 64500, "Example Net")
    (evidence,) = written("ocsf", alert_document(an_alert(source=known)))["evidences"]
    assert evidence["src_endpoint"]["location"] == {"city": "Lyon", "country": "FR"}
    assert evidence["src_endpoint"]["autonomous_system"] == {"name": "Example Net", "number": 64500}
    assert evidence["dst_endpoint"] == {"ip": "198.51.100.7", "port": 22}


def test_every_format_says_what_traffic_said_as_far_as_it_has_a_place_for_it() -> None:
    named = Endpoint("198.51.100.7", 443, 1, 1, names=(SeenName("www.example.org", 0, "192.0.2.10"),))
    alert = an_alert(destination=named, tls=TlsHello("cdn.example", "t13d1516h2_8daaf6152771_e5627efa2ab1"))
    document = alert_document(alert)
    assert document["tls"] == {"client": {"server_name": "cdn.example"}}
    eve, ocsf = written("eve", document), written("ocsf", document)["unmapped"]["flowvigil"]
    assert eve["tls"] == {"sni": "cdn.example"}
    assert eve["alert"]["metadata"]["flowvigil_target_names"] == ["www.example.org"]
    assert eve["alert"]["metadata"]["flowvigil_ja4"] == [alert.tls.ja4]
    assert ocsf["destination_names"] == ["www.example.org"]
    assert (ocsf["tls_server_name"], ocsf["ja4"]) == ("cdn.example", alert.tls.ja4)
    cef = formatter("cef")(document).decode()
    assert "flexString1Label=tlsServerName flexString1=cdn.example" in cef
    assert "flexString2Label=destinationNames flexString2=www.example.org" in cef


def test_an_episode_creates_updates_and_closes_one_finding() -> None:
    lines = [written("ocsf", alert_document(an_alert(action=a, sequence=n))) for n, a in enumerate(
        ("opened", "updated", "closed"), 1)]  # fmt: skip
    assert [line["activity_name"] for line in lines] == ["Create", "Update", "Close"]
    assert len({line["finding_info"]["uid"] for line in lines}) == 1
    assert len({line["metadata"]["uid"] for line in lines}) == 3


def test_ocsf_names_a_sub_technique_beside_its_parent() -> None:
    (attack,) = written("ocsf", alert_document(an_alert()))["finding_info"]["attacks"]
    assert attack["technique"] == {"uid": "T1110", "name": "Brute Force"}
    assert attack["sub_technique"] == {"uid": "T1110.001", "name": "Password Guessing"}
    plain = alert_document(an_alert(technique=technique_of("T1046")))
    assert "sub_technique" not in written("ocsf", plain)["finding_info"]["attacks"][0]
    assert "attacks" not in written("ocsf", alert_document(an_alert(technique=None)))["finding_info"]


# CEF


def read_cef(line: bytes) -> tuple[list[str], dict[str, str]]:
    """As its specification has it read: header fields up to the seventh bar, then keys before each bare equals sign."""
    fields = re.fullmatch(r"((?:[^\\|]|\\[\\|])*)\|" * 7 + "(.*)", line.decode().rstrip("\n"))
    assert fields is not None
    *header, extension = fields.groups()
    marks = list(re.finditer(r"(?:^| )(\w+)(?<!\\)=", extension))
    ends = [mark.start() for mark in marks[1:]] + [len(extension)]
    pairs = {mark[1]: extension[mark.end() : end] for mark, end in zip(marks, ends, strict=True)}
    return [re.sub(r"\\([\\|])", r"\1", part) for part in header], {
        key: re.sub(r"\\([\\=nr])", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)
        for key, value in pairs.items()
    }


def test_cef_says_who_what_and_how_bad() -> None:
    header, found = read_cef(formatter("cef")(alert_document(an_alert())))
    assert header == ["CEF:0", "flowvigil", "flowvigil", "0.1.0", "T1110.001", "Password Guessing", "7"]
    assert (found["src"], found["spt"], found["dst"], found["dpt"], found["proto"]) == (
        "192.0.2.10", "51514", "198.51.100.7", "22", "TCP",
    )  # fmt: skip
    assert (found["rt"], found["start"], found["end"]) == ("1700000000000", "1700000000000", "1700000009000")
    assert (found["cs4Label"], found["cs4"]) == ("communityId", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=")
    assert found["msg"] == "port 22 on one host in 9.0 s: 318 flows, 640 packets"


def test_cef_escapes_what_would_end_a_header_field_or_begin_a_key() -> None:
    assert header_text("a|b\\c=d\ne") == "a\\|b\\\\c=d e"
    assert value_text("a|b\\c=d\ne\r") == "a|b\\\\c\\=d\\ne\\r"
    hostile = an_alert(reason="x src=10.9.9.9|act=\\", technique=Technique("T1999", "a|b", "Impact"))
    header, found = read_cef(formatter("cef")(alert_document(hostile)))
    assert found["src"] == "192.0.2.10"
    assert found["act"] == "opened"
    assert found["msg"] == "x src=10.9.9.9|act=\\"
    assert header[5] == "a|b"


@given(document=documents())
@examples(60)
def test_cef_keeps_its_shape_whatever_a_text_holds(document: dict[str, Any]) -> None:
    header, found = read_cef(formatter("cef")(document))
    assert len(header) == 7
    assert header[0] == "CEF:0"
    assert 0 <= int(header[6]) <= 10
    assert found["externalId"] == document["event"]["id"]
    assert found["act"] == document["event"]["action"]


def test_cef_keeps_ipv6_addresses_where_its_dictionary_has_them() -> None:
    _, found = read_cef(formatter("cef")(alert_document(an_alert(**IPV6))))
    assert "src" not in found
    assert "dst" not in found
    assert (found["c6a2Label"], found["c6a3Label"]) == ("Source IPv6 Address", "Destination IPv6 Address")
    assert (ip_address(found["c6a2"]), ip_address(found["c6a3"])) == (ip_address("2001:db8::1"), ip_address("fe80::2"))


def test_every_format_says_what_notes_of_the_site_made_of_an_alert() -> None:
    noted = an_alert(
        direction="inbound", muted=Muted("scanner scan-1", "the weekly scan"), severity=1, risk=0.0,
        before_notes=Grade(40, 30.0), source=Endpoint("192.0.2.10", 51514, 1, 1, "scan-1"),
        destination=Endpoint("198.51.100.7", 22, 1, 1, "web-1"),
    )  # fmt: skip
    document = alert_document(noted)
    eve = written("eve", document)["alert"]["metadata"]
    assert (eve["flowvigil_direction"], eve["flowvigil_source_name"]) == (["inbound"], ["scan-1"])
    assert (eve["flowvigil_muted_by"], eve["flowvigil_muted_why"]) == (["scanner scan-1"], ["the weekly scan"])
    ocsf = written("ocsf", document)
    assert (ocsf["status_id"], ocsf["status"], ocsf["severity"]) == (3, "Suppressed", "Low")
    (evidence,) = ocsf["evidences"]
    assert (evidence["src_endpoint"]["name"], evidence["dst_endpoint"]["name"]) == ("scan-1", "web-1")
    assert evidence["connection_info"]["direction_id"] == 1
    assert ocsf["unmapped"]["flowvigil"]["before_notes"] == {"severity": 40, "risk_score": 30.0}
    cef = formatter("cef")(document).decode()
    assert "|0|" in cef
    for pair in (" shost=scan-1 ", " dhost=web-1 ", " deviceDirection=0 ", " cs6=scanner scan-1: the weekly scan\n"):
        assert pair in cef
