"""What an alert is called, the same wherever it is shown."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.alert_record import alert_document
from sensor.alerts.deviation import Deviation, distance_of
from sensor.alerts.formats import formatter
from sensor.alerts.reading import Entry
from sensor.alerts.seen_names import SeenName, TlsHello
from sensor.alerts.techniques import Technique, technique_of
from sensor.alerts.words import (
    address_and_port,
    clock_time,
    direction_in_words,
    label_in_words,
    lane_in_words,
    moment,
    names_in_words,
    networks_in_words,
    outside_normal,
    severity_word,
    sources_in_words,
    state_word,
    targets_in_words,
    tls_in_words,
    traffic_in_words,
    when,
    who,
    whom,
)
from sensor.api.live_view import alert_document as live_document
from sensor.cli.alert_text import detail, line_in_words, row_in_words
from sensor.report.digest import Digest
from sensor.report.tables import summary
from sensor.terminal.alert_list import severity_mark
from sensor.terminal.alert_text import severity_text, verdict_text
from sensor.terminal.glyphs import UNICODE
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux


def of(**spread: Any) -> Alert:
    return an_alert(spread=replace(an_alert().spread, **spread))


@pytest.mark.parametrize(
    ("severity", "word", "eve", "ocsf"),
    [(100, "high", 1, "High"), (70, "high", 1, "High"), (69, "medium", 2, "Medium"), (40, "medium", 2, "Medium"),
     (39, "low", 3, "Low"), (0, "low", 3, "Low")],
)  # fmt: skip
def test_a_severity_has_one_word_wherever_it_is_shown(severity: int, word: str, eve: int, ocsf: str) -> None:
    alert = an_alert(severity=severity)
    digest = Digest()
    digest.add_alert(alert)
    assert severity_word(severity) == word
    assert severity_text(alert).plain.strip() == word.upper()
    assert severity_mark(alert, UNICODE)[0].endswith(f" {word.upper():<6}")
    assert f"  {word.upper():<6}  opened " in line_in_words(alert)
    assert f"  {word.upper():<6}  open  " in row_in_words(alert)
    assert f">{word}, risk 60<" in summary(digest.episodes, 1)
    assert orjson.loads(formatter("eve")(alert_document(alert)))["alert"]["severity"] == eve
    assert orjson.loads(formatter("ocsf")(alert_document(alert)))["severity"] == ocsf


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (an_alert(), "192.0.2.10 -> 198.51.100.7:22"),
        (of(ports=12), "192.0.2.10 -> 198.51.100.7"),
        (of(ports=1, ports_more=True), "192.0.2.10 -> 198.51.100.7"),
        (of(targets=1200), "192.0.2.10 -> 1,200 hosts"),
        (of(targets=1, targets_more=True), "192.0.2.10 -> 1+ hosts"),
        (an_alert(hosts_merged=9412), "192.0.2.10 -> 198.51.100.7:22"),
        (of(origins=412), "412 hosts -> 198.51.100.7:22"),
        (of(origins=4096, origins_more=True), "4,096+ hosts -> 198.51.100.7:22"),
        (
            an_alert(
                source=Endpoint("2001:db8::1", 9, 0, 0), destination=Endpoint("2001:db8::2", 22, 0, 0), ip_version=6
            ),
            "2001:db8::1 -> [2001:db8::2]:22",
        ),
    ],
)
def test_who_did_it_to_whom(alert: Alert, said: str) -> None:
    assert who(alert) == said
    assert who(alert, "→") == said.replace("->", "→")
    assert f"{alert.origin} to {whom(alert)}, " in alert_document(alert)["message"]


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (an_alert(), "one host 198.51.100.7; port 22"),
        (of(ports=0), "one host 198.51.100.7; port 22"),
        (replace(of(ports=7), target_ports=()), "one host 198.51.100.7; 7 ports"),
        (
            replace(of(ports=300, ports_more=True), target_ports=(22, 80)),
            "one host 198.51.100.7; 300+ ports: 22, 80, …",
        ),
        (replace(of(targets=3), target_ips=("10.0.0.1", "10.0.0.2")), "3 hosts: 10.0.0.1, 10.0.0.2, …; port 22"),
    ],
)
def test_its_targets(alert: Alert, said: str) -> None:
    assert targets_in_words(alert) == said


def test_lanes_times_and_ends() -> None:
    assert [lane_in_words(an_alert(lane=lane)) for lane in ("known", "novel", "both")] == [
        "known lane", "novel lane", "both lanes",
    ]  # fmt: skip
    assert (moment(1_700_000_000_999_999_999), clock_time(0)) == ("2023-11-14 22:13:20", "00:00:00")
    assert [address_and_port("::1", 22), address_and_port("::1", None), address_and_port("10.0.0.1", 0)] == [
        "[::1]:22", "::1", "10.0.0.1:0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start_s", "end_s", "said"),
    [
        (80_000, 80_000, "22:13:20"),
        (80_000, 80_009, "22:13:20-22:13:29"),
        (-6_400, -6_391, "2023-11-13 22:13:20-22:13:29"),
        (-6_400, -6_400, "2023-11-13 22:13:20"),
        (-6_400, 80_009, "2023-11-13 22:13:20-2023-11-14 22:13:29"),
        (80_000, 170_000, "2023-11-14 22:13:20-2023-11-15 23:13:20"),
    ],
)
def test_when_it_was_has_the_date_where_that_is_not_today(start_s: int, end_s: int, said: str) -> None:
    midnight_s = 1_699_920_000  # 2023-11-14
    start_ns, end_ns = ((midnight_s + each) * 1_000_000_000 for each in (start_s, end_s))
    assert when(start_ns, end_ns, (midnight_s + 86_399) * 1_000_000_000) == said


def test_an_alert_is_open_until_it_is_closed() -> None:
    assert [state_word(an_alert(action=action)) for action in ("opened", "updated", "closed")] == [
        "open", "open", "closed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (an_alert(), ""),
        (of(origins=36), "36 hosts"),
        (an_alert(hosts_merged=1), "192.0.2.10, 1 alert told as one"),
        (an_alert(hosts_merged=30, spread=replace(an_alert().spread, origins=20)), "20 hosts, 30 alerts told as one"),
    ],
)
def test_where_there_are_several_sources_their_number_is_said(alert: Alert, said: str) -> None:
    assert sources_in_words(alert) == said


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (an_alert(), "318 flows, 640 packets"),
        (of(failed=1), "318 flows, 640 packets, no data exchanged in 1 of the flows"),
        (of(failed=318), "318 flows, 640 packets, no data exchanged"),
        (of(flows=1, packets=1, failed=1), "1 flow, 1 packet, no data exchanged"),
    ],
)
def test_the_traffic_is_counted_in_the_grammar_of_one_and_many(alert: Alert, said: str) -> None:
    assert traffic_in_words(alert) == said


@pytest.mark.parametrize(
    ("technique", "title"),
    [
        (technique_of("T1110.001"), "Password Guessing"),
        (technique_of("T1071.004"), "Command and Control: DNS"),
        (Technique("T1999", "", ""), "T1999"),
        (None, "Unusual traffic"),
    ],
)
def test_a_title_says_what_it_is_even_where_the_technique_names_a_means_alone(
    technique: Technique | None, title: str
) -> None:
    assert an_alert(technique=technique, label="Bot").title == title


def test_only_columns_outside_of_normal_traffic_are_named_also_of_older_logs() -> None:
    beyond, within = (
        Deviation(name, "packets", value, 2.0, 0.0, 9.0, 11.0, distance_of(value, 2.0, 0.0, 9.0))
        for name, value in (("fwd_packets", 412.0), ("bwd_packets", 5.0))
    )
    alert = an_alert(deviations=(within, beyond))
    assert outside_normal(alert) == (beyond,)
    shown = "\n".join(detail([Entry(b"", {}, alert)]))
    assert "fwd_packets  412, normal 2, 99 % up to 9: packets sent" in shown
    assert "bwd_packets" not in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "SSH-Patator"),
        ({"lane": "both"}, "SSH-Patator"),
        ({"lane": "shape"}, ""),
        ({"lane": "novel"}, ""),
        ({"lane": "novel", "technique": None}, "SSH-Patator"),
        ({"label": None}, ""),
    ],
)
def test_a_label_that_does_not_speak_for_the_alert_is_not_shown_beside_its_name(
    changes: dict[str, Any], said: str
) -> None:
    alert = an_alert(**changes)
    assert label_in_words(alert) == said
    assert ("SSH-Patator" in "\n".join(detail([Entry(b"", {}, alert)]))) == bool(said)
    assert ("SSH-Patator" in verdict_text(alert)) == bool(said)


def test_where_a_flow_went_is_said_by_the_home_networks_alone() -> None:
    assert direction_in_words(an_alert()) == ""
    assert direction_in_words(an_alert(direction="inbound")) == "from outside to inside"


@pytest.mark.parametrize(
    ("source", "destination", "said"),
    [
        ((), (), ""),
        (("FR", "Lyon", 64500, "Example Net"), (), "192.0.2.10: Lyon, FR, AS64500 Example Net"),
        (("FR",), (None, None, 64500), "192.0.2.10: FR; 198.51.100.7: AS64500"),
        ((), (None, None, None, "Example Net"), "198.51.100.7: Example Net"),
    ],
)
def test_where_addresses_belong_is_said_by_the_databases_alone(
    source: tuple[Any, ...], destination: tuple[Any, ...], said: str
) -> None:
    sides = (
        Endpoint(ip, 22, 0, 0, None, *known) for ip, known in (("192.0.2.10", source), ("198.51.100.7", destination))
    )
    alert = an_alert(**dict(zip(("source", "destination"), sides, strict=True)))
    assert networks_in_words(alert) == said
    shown = "\n".join(detail([Entry(b"", {}, alert)]))
    assert (f"Networks    {said}" in shown) == bool(said)
    assert (["Networks", said] in live_document(alert)["facts"]) == bool(said)


@pytest.mark.parametrize(
    ("source", "destination", "hello", "said", "tls"),
    [
        ((), (), TlsHello(), "", ""),
        (
            (SeenName("desk-7.lan", 0, "10.0.0.1", reverse=True),),
            (SeenName("www.example.org", 9_000_000_000, "192.0.2.10"), SeenName("cdn.example", 0, "10.0.0.8")),
            TlsHello("www.example.org", "t13d"),
            "198.51.100.7: www.example.org (asked for 1970-01-01 00:00:09 by 192.0.2.10), "
            "cdn.example (asked for 1970-01-01 00:00:00 by 10.0.0.8); "
            "192.0.2.10: desk-7.lan (reverse lookup 1970-01-01 00:00:00 by 10.0.0.1)",
            "server name www.example.org, JA4 t13d",
        ),
        ((), (), TlsHello(None, "t12i"), "", "no server name, JA4 t12i"),
        ((), (), TlsHello("a.example"), "", "server name a.example"),
    ],
)
def test_what_traffic_said_of_a_flow_is_shown_beside_it_and_in_no_reason(
    source: tuple[SeenName, ...], destination: tuple[SeenName, ...], hello: TlsHello, said: str, tls: str
) -> None:
    plain = an_alert()
    alert = an_alert(
        source=replace(plain.source, names=source), destination=replace(plain.destination, names=destination), tls=hello
    )
    assert (names_in_words(alert), tls_in_words(alert)) == (said, tls)
    shown, facts = "\n".join(detail([Entry(b"", {}, alert)])), live_document(alert)["facts"]
    for title, words in (("Names", said), ("TLS", tls)):
        assert (f"{title:12}{words}" in shown) == ([title, words] in facts) == bool(words)
    told, before = alert_document(alert), alert_document(plain)
    assert {key: told[key] for key in ("message", "event")} == {key: before[key] for key in ("message", "event")}
