"""Attacks in a site's traffic by the default bundle: what the site's own alerts, tags, filter and length do to them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sensor.cli.build import load_model
from sensor.cli.rehearsing import tried_sensor
from sensor.rehearsal.episode import AttackEpisode, made
from sensor.rehearsal.judged import RehearsedEpisode, TriedSensor
from sensor.rehearsal.page import cautions, verdict
from sensor.rehearsal.readdressing import readdressed
from sensor.rehearsal.rehearsal import Rehearsal, rehearse, site_day
from sensor.rehearsal.site import CapturedSite
from sensor.rehearsal.told import fault_in_words
from sensor.settings.config import Config
from sensor.site.file import notes_of_text
from sensor.site.notes import SiteNotes
from sensor.synth.catalogue import guessing, udp_flood
from sensor.synth.generate import Traffic, generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.synflood import SYNFLOOD
from sensor.synth.truth import Packet
from tests.support.packets import tcp

pytestmark = pytest.mark.takes(6)
Rehearse = Callable[..., Rehearsal]


@pytest.fixture(scope="module")
def sensor() -> TriedSensor:
    config = Config()
    return tried_sensor(config, load_model(config))


@pytest.fixture(scope="module")
def normal() -> Traffic:
    return generate([NORMAL], 3, 3.0)


@pytest.fixture
def rehearsed(sensor: TriedSensor, tmp_path: Path) -> Rehearse:
    """Rehearses attacks on packets."""

    def run(
        packets: Sequence[Packet],
        attacks: Sequence[AttackEpisode],
        expression: str | None = None,
        notes: SiteNotes | None = None,
    ) -> Rehearsal:
        path = tmp_path / "site.pcap"
        path.write_bytes(pcap_bytes(packets, WHOLE, nanoseconds=True))
        site, own = CapturedSite([str(path)], expression), replace(sensor, notes=notes)
        return rehearse(site, site_day(site, own), attacks, own, lambda _: None)

    return run


def by_name(found: Rehearsal) -> dict[str, RehearsedEpisode]:
    return {own.episode.name: own for own in found.episodes}


def test_an_alert_on_the_traffic_itself_stands_before_attacks_of_lower_risk(rehearsed: Rehearse) -> None:
    attacked = generate([NORMAL, PORTSCAN, SSH_GUESSING], 3, 7.0)
    found = rehearsed(attacked.packets, [made(udp_flood()), made(SYNFLOOD)])
    assert len(found.day.alerts) == 2
    assert (by_name(found)["udp-flood"].rank, by_name(found)["synflood"].rank) == (3, 1)
    assert found.passed


def test_the_same_attacks_on_the_same_traffic_are_told_alike(rehearsed: Rehearse, normal: Traffic) -> None:
    attacks = [made(PORTSCAN), made(guessing(service="rdp"))]
    one, other = rehearsed(normal.packets, attacks), rehearsed(normal.packets, attacks[::-1])
    assert one.episodes == other.episodes


def test_in_a_tagged_network_attacks_bear_its_tag(rehearsed: Rehearse, normal: Traffic) -> None:
    tag = bytes.fromhex("8100001e")
    frames = [(packet.ts_ns, readdressed(packet.frame, {}, tag)) for packet in normal.packets]
    found = rehearsed([Packet(ts_ns, frame) for ts_ns, frame in frames if frame], [made(PORTSCAN)])
    (own,) = found.episodes
    assert own.right
    assert all(packet.frame[12:16] == tag for packet in own.episode.packets)


def test_what_the_filter_hides_is_not_found_and_said(rehearsed: Rehearse, normal: Traffic) -> None:
    found = rehearsed(normal.packets, [made(guessing(service="ssh")), made(SYNFLOOD)], "tcp port 80 or port 53")
    guesses, flood = by_name(found)["ssh-guessing"], by_name(found)["synflood"]
    assert (guesses.seen, guesses.found, flood.right) == (0, False, True)
    assert "The capture filter hides every packet of ssh-guessing." in cautions(found)
    assert not found.passed
    assert verdict(found).startswith("1 of 2 rehearsed attacks would be found here, 1 of them rightly named")


def test_an_attack_that_is_longer_than_the_traffic_goes_on_alone_and_that_is_said(
    rehearsed: Rehearse, normal: Traffic
) -> None:
    long = made(guessing(service="ftp"))
    found = rehearsed(normal.packets[:2000], [long])
    (own,) = found.episodes
    assert own.episode.start_ns < found.day.last_ns < own.episode.end_ns
    assert own.right
    assert any("goes on alone" in line or "go on alone" in line for line in cautions(found))


def test_an_attack_of_ipv6_is_left_out_and_said(rehearsed: Rehearse, normal: Traffic) -> None:
    scan = made(PORTSCAN)
    frame = tcp("[2001:db8::1]:1", "[2001:db8::2]:2").frame
    odd = AttackEpisode(
        "odd", "T1046", "lab", tuple(packet._replace(frame=frame) for packet in scan.packets), scan.flows
    )
    found = rehearsed(normal.packets, [odd])
    assert (found.episodes, found.left_out) == ((), ("odd has no IPv4",))
    assert "Not rehearsed: odd has no IPv4." in cautions(found)


def test_what_the_site_s_notes_mute_is_not_found_and_said(rehearsed: Rehearse, normal: Traffic) -> None:
    text = "rules: [{source: 198.18.220.1, why: our own audit}, {source: 198.18.224.0/24, service: tcp/22, why: x}]"
    notes = notes_of_text(text, "site.yaml")
    attacks = [made(guessing(service=service)) for service in ("ssh", "rdp")]
    found = rehearsed(normal.packets, attacks, notes=notes)
    audit, guesses = by_name(found)["ssh-guessing"], by_name(found)["rdp-guessing"]
    assert (audit.found, audit.muted, audit.right, audit.seconds, audit.rank) == (False, True, False, None, None)
    assert fault_in_words(audit) == "muted by rule 198.18.220.1 -> any: our own audit"
    assert (guesses.right, guesses.muted) == (True, False)
    assert "The site's notes mute every alert on ssh-guessing." in cautions(found)


def test_alerts_on_the_traffic_that_notes_mute_are_none_of_the_day_s(rehearsed: Rehearse) -> None:
    scanned = generate([NORMAL, PORTSCAN], 3, 2.0)
    notes = notes_of_text("rules: [{source: 203.0.113.45, technique: scan, why: our own audit}]", "site.yaml")
    attack = [made(guessing(service="rdp"))]
    assert len(rehearsed(scanned.packets, attack).day.alerts) == 1
    assert rehearsed(scanned.packets, attack, notes=notes).day.alerts == ()


def test_networks_that_the_notes_call_ours_are_the_site_s(rehearsed: Rehearse, normal: Traffic) -> None:
    notes = notes_of_text("home: [198.18.0.0/15]", "site.yaml")
    found = rehearsed(normal.packets, [made(PORTSCAN)], notes=notes)
    ((attackers, victims),) = (own.episode.sides for own in found.episodes)
    assert victims[0].startswith("198.1")
    assert attackers == ("203.0.113.45",)


def test_attacks_are_put_where_there_is_traffic(rehearsed: Rehearse, normal: Traffic) -> None:
    """Captures of two days with one between them, and a packet of 1970."""
    later = [packet._replace(ts_ns=packet.ts_ns + 48 * 3600 * 10**9) for packet in normal.packets]
    first = normal.packets[0]._replace(ts_ns=0)
    packets = [first, *normal.packets[len(normal.packets) // 2 :], *later]
    found = rehearsed(packets, [made(PORTSCAN), made(SYNFLOOD), made(udp_flood())])
    day = found.day
    assert (day.begin_ns, day.end_ns) == (later[0].ts_ns, later[-1].ts_ns)
    assert all(day.begin_ns <= own.episode.start_ns <= day.end_ns for own in found.episodes)
    assert day.seconds < 200
    assert any("longest stretch without a silence of more than 10 min" in line for line in cautions(found))
