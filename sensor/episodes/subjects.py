"""Whom a claim is about, and what ATT&CK calls it."""

from flows.batch import DST_PORT, IP_VERSION, PROTOCOL
from flows.roles import ICMP, ICMP6, TCP
from sensor.alerts.techniques import Technique, technique_of
from sensor.episodes.episode import FlaggedFlow, Held
from sensor.episodes.shapes import BEACON, FLOOD_FROM, SCAN, SHAPES, TORRENT, WEB_PORTS
from sensor.episodes.telling import UNSHAPED


def claimed_subject(kind: int, flow: FlaggedFlow) -> tuple[int, ...]:
    """Whom a claim is about, by addresses and port: its source, its target, or both."""
    sided = "source" if kind == UNSHAPED else SHAPES[kind].sided
    if sided == "source":
        return (flow.source, flow.identity[IP_VERSION])
    if sided == "target":
        return (flow.target, flow.identity[IP_VERSION])
    return (flow.source, flow.target, flow.identity[IP_VERSION])


def claimed_side(held: Held) -> tuple[str, int]:
    """Whom a claim accuses or defends, and the address."""
    about_target = held.kind < UNSHAPED and SHAPES[held.kind].sided == "target"
    return "target" if about_target else "source", held.subject[0]


def claimed_technique(kind: int, flow: FlaggedFlow) -> Technique | None:
    """What ATT&CK calls a kind, by the protocol of the flow that begins it."""
    identity = flow.identity
    if kind == SCAN and identity[PROTOCOL] in (ICMP, ICMP6):
        return technique_of("T1018")
    if kind == BEACON and identity[DST_PORT] not in WEB_PORTS:
        return technique_of("T1571")
    if kind in (FLOOD_FROM, TORRENT) and identity[PROTOCOL] != TCP:
        return technique_of("T1498.001")  # it exhausts the line, as no system keeps a connection of it
    return technique_of(SHAPES[kind].technique)
