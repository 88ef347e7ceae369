"""What notes of a site make of an alert: whom a rule and a role speak of, and whom never."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Endpoint, Grade, service_in_words
from sensor.alerts.alert_record import alert_document, alert_of
from sensor.alerts.techniques import technique_of
from sensor.episodes.shapes import SHAPES
from sensor.site.claims import WORDS, claim_of, service_of
from sensor.site.networks import DEFAULT_HOME, Network, direction_of
from sensor.site.notes import Asset, Mark, Party, Rule, SiteNotes, without_notes
from sensor.site.roles import ROLES
from tests.support.alerts import SPREAD, an_alert
from tests.support.examples import examples

pytestmark = pytest.mark.ux

SCANNER, SERVER, OUTSIDE = "10.0.0.9", "10.0.0.80", "203.0.113.7"
ROLE_NAMES = ("scanner", "monitor", "backup", "resolver", "mail")
TECHNIQUES = (None, *sorted({shape.technique for shape in SHAPES}), "T1018", "T1571", "T1190")


def between(source: str, destination: str, technique: str | None = "T1046", port: int = 443, **fields: Any) -> Alert:
    known: dict[str, Any] = {
        "source": Endpoint(source, 40000, 10, 1), "destination": Endpoint(destination, port, 10, 1),
        "target_ips": (destination,), "target_ports": (port,), "technique": technique_of(technique),
        "severity": 40, "risk": 30.0, "spread": replace(SPREAD, port=port),
    }  # fmt: skip
    return an_alert(**(known | fields))


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


def party(*texts: str) -> Party:
    return Party(texts[0], networks(*texts))


def notes(*rules: Rule, **fields: Any) -> SiteNotes:
    return SiteNotes(rules=rules, **fields)


def muted(found: SiteNotes, alert: Alert) -> bool:
    return found.of(alert).muted is not None


def asset(role: Any, *texts: str, name: str = "box") -> SiteNotes:
    return SiteNotes(assets=(Asset(name, networks(*texts), role),))


# Rules


def test_a_muted_alert_says_by_whom_and_why_and_keeps_what_it_was() -> None:
    found = notes(Rule("the audit", source=party(SCANNER), claim=claim_of("scan"), until_ns=2**62))
    alert = found.of(between(SCANNER, SERVER))
    assert alert.muted is not None
    assert (alert.muted.by, alert.muted.why, alert.muted.until_ns) == (
        f"rule {SCANNER} -> any, scan",
        "the audit",
        2**62,
    )
    assert (alert.severity, alert.risk, alert.before_notes) == (1, 0.0, Grade(40, 30.0))


def test_a_rule_of_a_source_never_mutes_an_alert_about_it_as_the_target() -> None:
    found = notes(Rule("ours", source=party(SCANNER)))
    assert muted(found, between(SCANNER, SERVER))
    assert not muted(found, between(SERVER, SCANNER))


addresses = st.sampled_from((SCANNER, SERVER, OUTSIDE, "192.0.2.1", "2001:db8::1", "fd00::9"))
some_networks = st.sampled_from(("10.0.0.9/32", "10.0.0.0/24", "0.0.0.0/0", "203.0.113.0/24", "fd00::/8", "::/0"))
parties = some_networks.map(party)
rules = st.builds(
    Rule,
    why=st.just("why"),
    source=st.none() | parties,
    destination=st.none() | parties,
    service=st.none() | st.sampled_from(("tcp/443", "dns", "tcp", "22")).map(service_of),
    claim=st.none() | st.sampled_from((*WORDS, "T1046", "T1110")).map(claim_of),
).filter(lambda rule: rule.source is not None or rule.destination is not None)
alerts = st.builds(
    lambda pair, technique, port, merged, origins, targets: between(
        *pair,
        technique,
        port,
        ip_version=6 if ":" in pair[0] else 4,
        hosts_merged=merged,
        spread=replace(SPREAD, origins=origins, targets=targets),
    ),
    st.tuples(addresses, addresses).filter(lambda pair: (":" in pair[0]) == (":" in pair[1])),
    st.sampled_from(TECHNIQUES),
    st.sampled_from((22, 25, 53, 443, 8080)),
    st.sampled_from((0, 0, 0, 30)),
    st.sampled_from((1, 1, 1, 40)),
    st.sampled_from((1, 1, 1, 200)),
)


def turned(alert: Alert) -> Alert:
    """The same with its sides changed: the target did it, to the source."""
    return replace(
        alert,
        source=replace(alert.destination, port=40000),
        destination=replace(alert.source, port=alert.destination.port),
        target_ips=(alert.source.ip,),
    )


@examples(200)
@given(rules, alerts)
def test_a_rule_holds_for_the_sides_that_it_names_and_for_no_others(rule: Rule, alert: Alert) -> None:
    """Whatever a rule mutes, all who did it are of its source, and all whom it was done to of its destination."""
    if not muted(notes(rule), alert):
        return
    if rule.source is not None:
        assert not alert.many_sources
        assert any(ip_network(alert.source.ip).subnet_of(network) for network in rule.source.networks)  # type: ignore[arg-type]
    if rule.destination is not None:
        assert alert.spread.targets <= len(alert.target_ips)
        assert any(ip_network(alert.destination.ip).subnet_of(network) for network in rule.destination.networks)  # type: ignore[arg-type]


@examples(200)
@given(rules, alerts)
def test_no_rule_of_a_source_alone_blinds_the_other_direction(rule: Rule, alert: Alert) -> None:
    one_sided = replace(rule, destination=None, source=party(f"{alert.source.ip}"))
    back = turned(alert)
    if back.source.ip != alert.source.ip:
        assert not muted(notes(one_sided), back)
    other_way = replace(rule, source=None, destination=party(f"{alert.destination.ip}"))
    if back.destination.ip != alert.destination.ip:
        assert not muted(notes(other_way), back)


@examples(200)
@given(st.sampled_from(ROLE_NAMES), alerts)
def test_no_role_excuses_the_side_that_its_asset_is_not_on(role: Any, alert: Alert) -> None:
    sides = {excuse.side for excuse in ROLES if excuse.role == role and excuse.claim.holds(alert)}
    by_source = SiteNotes(assets=(Asset("box", networks(alert.source.ip), role),))
    by_target = SiteNotes(assets=(Asset("box", networks(alert.destination.ip), role),))
    if alert.source.ip == alert.destination.ip:
        return
    assert "source" in sides or not muted(by_source, alert)
    assert "destination" in sides or not muted(by_target, alert)


def test_many_sources_are_not_a_rules_source_and_more_targets_than_are_listed_no_destination() -> None:
    flood = between(SCANNER, SERVER, "T1498.001", spread=replace(SPREAD, origins=40))
    assert not muted(notes(Rule("why", source=party("10.0.0.0/8"))), flood)
    assert muted(notes(Rule("why", destination=party(SERVER))), flood)
    sweep = between(SCANNER, SERVER, spread=replace(SPREAD, targets=200))
    assert not muted(notes(Rule("why", destination=party("10.0.0.0/8"))), sweep)
    assert muted(notes(Rule("why", source=party(SCANNER))), sweep)
    storm = between(SCANNER, SERVER, hosts_merged=30)
    assert not muted(notes(Rule("why", source=party("0.0.0.0/0"))), storm)


def test_one_target_that_is_not_meant_is_enough_to_be_told() -> None:
    found = notes(Rule("why", destination=party("10.0.0.0/24")))
    several = {"spread": replace(SPREAD, targets=2)}
    assert muted(found, between(SCANNER, SERVER, target_ips=(SERVER, "10.0.0.81"), **several))
    assert not muted(found, between(SCANNER, SERVER, target_ips=(SERVER, "10.0.1.1"), **several))


@pytest.mark.parametrize(
    ("service", "port", "protocol", "holds"),
    [
        ("tcp/443", 443, 6, True), ("tcp/443", 443, 17, False), ("tcp/443", 80, 6, False), ("443", 443, 17, True),
        ("dns", 53, 17, True), ("dns", 53, 6, True), ("tcp/8000-8100", 8080, 6, True), ("udp", 99, 17, True),
        ("tcp/https", 443, 6, True), ("icmp", 0, 1, True), ("icmp", 0, 6, False),
    ],
)  # fmt: skip
def test_a_service_is_a_protocol_ports_or_both(service: str, port: int, protocol: int, holds: bool) -> None:
    found = notes(Rule("why", source=party(SCANNER), service=service_of(service)))
    assert muted(found, between(SCANNER, SERVER, port=port, protocol=protocol)) is holds


def test_a_service_holds_where_all_ports_are_known() -> None:
    found = notes(Rule("why", source=party(SCANNER), service=service_of("tcp/443")))
    many = between(SCANNER, SERVER, target_ports=(443,), spread=replace(SPREAD, ports=900))
    assert not muted(found, many)
    assert not muted(found, between(SCANNER, SERVER, target_ports=(443, 22), spread=replace(SPREAD, ports=2)))


def test_a_technique_stands_for_those_below_it_and_unusual_for_none() -> None:
    guessing = between(SCANNER, SERVER, "T1110.001")
    assert muted(notes(Rule("why", source=party(SCANNER), claim=claim_of("T1110"))), guessing)
    assert not muted(notes(Rule("why", source=party(SCANNER), claim=claim_of("T1046"))), guessing)
    unusual = notes(Rule("why", source=party(SCANNER), claim=claim_of("unusual")))
    assert muted(unusual, between(SCANNER, SERVER, None))
    assert not muted(unusual, guessing)


def test_a_rule_ends_at_its_time_by_the_clock_of_the_traffic() -> None:
    alert = between(SCANNER, SERVER)
    assert muted(notes(Rule("why", source=party(SCANNER), until_ns=alert.time_ns)), alert)
    assert not muted(notes(Rule("why", source=party(SCANNER), until_ns=alert.time_ns - 1)), alert)


def test_the_first_rule_that_holds_says_why() -> None:
    found = notes(Rule("first", source=party(SCANNER)), Rule("second", source=party(SCANNER)))
    alert = found.of(between(SCANNER, SERVER))
    assert alert.muted is not None
    assert alert.muted.why == "first"


# Marks


def test_a_mark_mutes_its_alert_and_a_true_one_is_muted_by_nothing() -> None:
    alert = between(SCANNER, SERVER)
    false = SiteNotes(marks={alert.id: Mark(alert.id, true=False, why="a test")})
    assert muted(false, alert)
    assert not muted(false, replace(alert, id="B" * 26))
    true = notes(Rule("why", source=party(SCANNER)), marks={alert.id: Mark(alert.id, true=True, why="it was")})
    assert not muted(true, alert)
    assert muted(true, replace(alert, id="B" * 26))


# Roles


@pytest.mark.parametrize(
    ("role", "source", "destination", "technique", "port"),
    [
        ("scanner", SCANNER, SERVER, "T1046", 443), ("scanner", SCANNER, OUTSIDE, "T1018", 443),
        ("monitor", SCANNER, SERVER, "T1046", 443), ("monitor", SCANNER, SERVER, "T1071.001", 443),
        ("monitor", SCANNER, SERVER, "T1571", 9100), ("backup", SCANNER, OUTSIDE, "T1048", 22),
        ("backup", SCANNER, OUTSIDE, "T1041", 443), ("backup", SERVER, SCANNER, "T1048", 22),
        ("resolver", SCANNER, OUTSIDE, "T1046", 53), ("resolver", SERVER, SCANNER, "T1499.002", 53),
        ("resolver", SERVER, SCANNER, "T1571", 53), ("mail", SCANNER, OUTSIDE, "T1046", 25),
        ("mail", SCANNER, OUTSIDE, "T1571", 587),
    ],
)  # fmt: skip
def test_a_role_excuses_what_its_asset_is_there_for(
    role: str, source: str, destination: str, technique: str, port: int
) -> None:
    assert muted(asset(role, SCANNER), between(source, destination, technique, port))


@pytest.mark.parametrize(
    ("role", "source", "destination", "technique", "port"),
    [
        ("scanner", SERVER, SCANNER, "T1046", 443),  # it is scanned
        ("scanner", SCANNER, SERVER, "T1110.001", 22),  # it guesses
        ("scanner", SCANNER, SERVER, "T1499.001", 443),  # it floods
        ("monitor", SCANNER, OUTSIDE, "T1071.001", 443),  # it calls home
        ("monitor", SERVER, SCANNER, "T1071.001", 443),
        ("backup", SCANNER, SERVER, "T1046", 443),
        ("resolver", SCANNER, OUTSIDE, "T1071.004", 53),  # a tunnel runs through it
        ("resolver", SERVER, SCANNER, "T1071.004", 53),
        ("resolver", SCANNER, SERVER, "T1046", 443),  # no question of names
        ("resolver", SCANNER, OUTSIDE, "T1571", 4444),
        ("mail", SERVER, SCANNER, "T1110.001", 587),  # its users' passwords are guessed
        ("mail", SCANNER, SERVER, "T1046", 445),
        (None, SCANNER, SERVER, "T1046", 443),
    ],
)
def test_a_role_excuses_nothing_else(
    role: str | None, source: str, destination: str, technique: str, port: int
) -> None:
    assert not muted(asset(role, SCANNER), between(source, destination, technique, port))


def test_roles_and_words_name_techniques_that_the_sensor_gives() -> None:
    given = {shape.technique for shape in SHAPES} | {"T1018", "T1571"}
    assert all(given & set(WORDS[excuse.claim.text]) for excuse in ROLES)
    covered = {technique for word in WORDS.values() for technique in word}
    assert all(id_ in covered or id_.partition(".")[0] in covered for id_ in given)


def test_the_asset_of_the_smallest_network_is_the_one() -> None:
    found = SiteNotes(assets=(Asset("lab", networks("10.0.0.0/8"), "scanner"), Asset("db", networks(SCANNER))))
    assert found.of(between(SCANNER, SERVER)).source.domain == "db"
    assert not muted(found, between(SCANNER, SERVER))
    assert muted(found, between(SERVER, OUTSIDE))


# Directions


@pytest.mark.parametrize(
    ("source", "destination", "direction"),
    [
        (OUTSIDE, SERVER, "inbound"), (SERVER, OUTSIDE, "outbound"), (SCANNER, SERVER, "internal"),
        (OUTSIDE, "192.0.2.1", "external"), ("fd00::1", "2001:db8::1", "outbound"), (SERVER, "224.0.0.251", "internal"),
        ("fe80::1", "ff02::1", "internal"), (SERVER, "255.255.255.255", "internal"), ("172.31.0.1", SERVER, "internal"),
        ("172.32.0.1", SERVER, "inbound"), ("100.64.0.1", SERVER, "inbound"),
    ],
)  # fmt: skip
def test_without_home_the_private_and_unique_local_ranges_are_ours(
    source: str, destination: str, direction: str
) -> None:
    assert direction_of(source, destination, DEFAULT_HOME) == direction


def test_the_reason_says_where_and_names_assets() -> None:
    found = SiteNotes(assets=(Asset("web-1", networks(SERVER)), Asset("vault", networks(OUTSIDE))))
    plain = between("192.0.2.1", SERVER)
    assert found.of(plain).reason == f"from outside to web-1: {plain.reason}"
    assert found.of(between(SERVER, OUTSIDE)).reason.startswith("from web-1 to outside (vault): ")
    assert found.of(between(SCANNER, SERVER)).reason.startswith("inside, to web-1: ")
    assert found.of(between("192.0.2.1", "192.0.2.2")).reason.startswith("outside: ")


def test_a_scan_from_outside_is_background_and_no_other_alert_is_lowered() -> None:
    found = SiteNotes()
    alert = found.of(between(OUTSIDE, SERVER))
    assert (alert.severity, alert.risk, alert.muted) == (20, 15.0, None)
    for kept in (
        between(SCANNER, SERVER), between(SCANNER, OUTSIDE), between(OUTSIDE, SERVER, "T1110.001"),
        between(SERVER, OUTSIDE, "T1498.001"), between(SERVER, OUTSIDE, "T1048"),
        between(OUTSIDE, SERVER, hosts_merged=30),
    ):  # fmt: skip
        assert (found.of(kept).severity, found.of(kept).risk) == (40, 30.0)


# Notes over notes


@examples(200)
@given(rules, st.sampled_from(ROLE_NAMES), alerts)
def test_notes_are_taken_back_whole_and_twice_is_as_once(rule: Rule, role: Any, alert: Alert) -> None:
    found = SiteNotes(assets=(Asset("box", networks("10.0.0.0/8", "fd00::/8"), role),), rules=(rule,))
    noted = found.of(alert)
    assert without_notes(noted) == alert
    assert found.of(noted) == noted
    read_back = alert_of(alert_document(noted))
    assert found.of(read_back) == read_back
    assert without_notes(read_back) == alert_of(alert_document(alert))


@pytest.mark.parametrize(
    ("port", "protocol", "said"), [(443, 6, "tcp/443"), (53, 17, "udp/53"), (None, 1, "icmp"), (None, 6, "tcp")]
)
def test_a_service_is_said_as_notes_read_it(port: int | None, protocol: int, said: str) -> None:
    assert service_in_words(port, protocol) == said
    read = service_of(said)
    assert protocol in read.protocols
    assert (read.first, read.last) == ((0, 65535) if port is None else (port, port))
