"""The query language: what each term finds, and what is said of a query that cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.alert_record import alert_document, alert_of
from sensor.alerts.query import FIELDS, QueryError, parse
from sensor.alerts.seen_names import SeenName, TlsHello
from sensor.alerts.techniques import technique_of
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux


def facts(**fields: object) -> Alert:
    return alert_of(alert_document(an_alert(**fields)))


GUESSING = facts()
SEEN = facts(
    destination=Endpoint("198.51.100.7", 443, 1, 1, names=(SeenName("www.Example.org", 0, "10.0.0.9"),)),
    source=Endpoint("192.0.2.10", 51514, 1, 1, domain="desk-7"),
    tls=TlsHello("cdn.example.net", "t13d1516h2_8daaf6152771_e5627efa2ab1"),
)
IPV6 = facts(source=Endpoint("2001:db8::1", 1, 1, 1), destination=Endpoint("2001:db8::2", 22, 1, 1), ip_version=6)


@pytest.mark.parametrize(
    "query",
    [
        "", "   ", "src:192.0.2.10", "src:192.0.2.0/24", "src:192.0.2.99/24", "dst:198.51.100.7", "port:22",
        "port:>=22 port:<=22", "port:>21", "port:<23", "port:=22", "score:>=0.9", "score:>0.96", "score:0.97",
        "tech:T1110", "tech:t1110.001", "verdict:attack", "lane:known", "severity:>=70", "SEVERITY:70", "guessing",
        "GUESSING", '"one host"', "credential", "AAAA", "192.0.2", "1:LQU9qZlK", "fwd_psh", "patator 318",
        'src:"192.0.2.0/24" verdict:ATTACK lane:known tech:T1110 password', "host:198.51.100.7",
        "host:192.0.2.10 dport:22", "sport:51514 proto:tcp", "proto:6",
    ],
)  # fmt: skip
def test_a_query_finds_the_alert_that_it_describes(query: str) -> None:
    assert parse(query).matches(GUESSING)


@pytest.mark.parametrize(
    "query",
    [
        "src:192.0.2.11", "src:198.51.100.7", "src:2001:db8::/32", "dst:192.0.2.10", "port:51514", "port:>22",
        "score:<0.97", "tech:T1111", "tech:T1110.002", "verdict:uncertain", "lane:both", "lane:novel", "severity:>70",
        "host:192.0.2.11", "dport:23", "sport:22", "proto:udp",
        "nothing", "attack_not_said", "verdict:attack lane:novel", '"host one"',
    ],
)  # fmt: skip
def test_a_query_leaves_out_what_one_term_does_not_hold_for(query: str) -> None:
    assert not parse(query).matches(GUESSING)


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("name:example.ORG", True), ("name:cdn.example", True), ("name:desk-7", True), ("name:other", False),
        ("tls:t13d1516h2", True), ("tls:8DAAF6152771", True), ("tls:t12", False), ("tls:CDN", True),
        ("www.example.org", True),
    ],
)  # fmt: skip
def test_names_and_fingerprints_are_found_by_a_part_of_them(query: str, holds: bool) -> None:
    assert parse(query).matches(SEEN) == holds
    assert not parse(query).matches(GUESSING)


def test_the_capture_is_found_by_a_part_of_its_path() -> None:
    found = facts(capture="captures/Monday.pcap")
    assert parse("capture:monday").matches(found)
    assert parse("monday.pcap").matches(found)
    assert not parse("capture:tuesday").matches(found)
    assert not parse("capture:monday").matches(GUESSING)


def test_addresses_of_both_versions_are_told_apart() -> None:
    assert parse("src:2001:db8::/32 dst:2001:db8::2").matches(IPV6)
    assert not parse("src:0.0.0.0/0").matches(IPV6)
    assert parse("src:::/0").matches(IPV6)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("country:fr", True), ("country:FR asn:64500", True), ("asn:64501", True), ("lyon", True),
        ('"Example Net"', True), ("country:DE", False), ("asn:>64501", False), ("asn:64500 asn:64502", False),
    ],
)  # fmt: skip
def test_either_address_is_found_by_where_it_belongs(query: str, found: bool) -> None:
    placed = facts(
        source=Endpoint("192.0.2.10", 1, 1, 1, None, "FR", "Lyon", 64500, "Example Net"),
        destination=Endpoint("198.51.100.7", 22, 1, 1, as_number=64501),
    )
    assert parse(query).matches(placed) == found
    assert not parse("country:FR").matches(GUESSING)
    assert not parse("asn:>=0").matches(GUESSING)


def test_what_is_absent_compares_to_nothing() -> None:
    silent = facts(scores={}, technique=None, label=None, source=Endpoint("192.0.2.1", None, 1, 1),
                   destination=Endpoint("192.0.2.2", None, 1, 1))  # fmt: skip
    for query in ("score:>=0", "port:>=0", "tech:T1110"):
        assert not parse(query).matches(silent)


def test_a_technique_without_a_sub_technique_is_found_by_its_own_id() -> None:
    assert parse("tech:T1046").matches(facts(technique=technique_of("T1046")))


@pytest.mark.parametrize(
    ("query", "column", "expected"),
    [
        ("foo:1", 1, "one of src:, dst:, port:, score:, tech:, verdict:, lane:, severity:"),
        ("port:22 sorce:10.0.0.1", 9, "one of src:, dst:"),
        ("src:10.0.0.0/99", 5, "an address or a network such as 10.0.0.0/8"),
        ("src:", 5, "an address or a network"),
        ("verdict:attack   lane:left", 23, "one of known, novel, both"),
        ("verdict:bad", 9, "one of attack, uncertain"),
        ("score:>=2", 7, "a number from 0 to 1"),
        ("country:france", 9, "a country of two letters such as FR"),
        ("asn:AS64500", 5, "a whole number from 0 to 4294967295"),
        ("score:high", 7, "a number from 0 to 1"),
        ("port:22.5", 6, "a whole number from 0 to 65535"),
        ("port:99999", 6, "a whole number from 0 to 65535"),
        ("severity:=>7", 10, "a number from 0 to 100"),
        ("tech:1110", 6, "an ATT&CK technique such as T1110"),
        ('port:22 "one', 9, "a closing quote"),
        ('a"b"', 2, "a space"),
        ("x" * 1001, 1001, "at most 1000 characters"),
    ],
)
def test_a_query_that_cannot_be_read_is_told_where_and_what_was_expected(
    query: str, column: int, expected: str
) -> None:
    with pytest.raises(QueryError) as refused:
        parse(query)
    assert refused.value.column == column
    assert expected in str(refused.value)
    assert str(refused.value).startswith(f"column {column}: found ")


def test_what_a_query_holds_reaches_a_terminal_only_escaped() -> None:
    with pytest.raises(QueryError) as refused:
        parse("src:\x1b[2J")
    assert "\x1b" not in str(refused.value)


PIECES = [*"abT0123456789.:/><=\"' \t\x1b²", *(f"{field}:" for field in FIELDS)]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_is_a_query_or_is_refused_within_itself(text: str) -> None:
    refused: QueryError | None = None
    try:
        parse(text).matches(GUESSING)
    except QueryError as error:
        refused = error
    assert refused is None or 1 <= refused.column <= len(text) + 1
