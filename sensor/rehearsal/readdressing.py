"""Packets and truth of an attack under other addresses, with a site's VLAN tags, at another time.

Addresses are replaced where the meter looks: in the IPv4 header and in what an ICMP error carries of another. Checksums
are not made anew, as nobody checks them: these packets never leave the process. RFC 791, 792; IEEE 802.1Q, 802.1ad.
"""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from flows.truth import FlowTruth
from sensor.rehearsal.episode import AttackEpisode
from sensor.rehearsal.hosts import text_of
from sensor.synth.truth import Packet

IPV4: Final = b"\x08\x00"
TAGGED: Final = (b"\x81\x00", b"\x88\xa8")
_ICMP: Final = 1
_ICMP_ERRORS: Final = (3, 4, 5, 11, 12)


def moved(episode: AttackEpisode, addresses: Mapping[int, int], tags: int, by_ns: int) -> AttackEpisode:
    """The episode under other addresses, later by by_ns; packets and flows that are not IPv4 are left out.

    addresses: numbers; those that are not in it stay. tags: VLAN tags as in FlowBatch.identity, 0 for none. Raises
    ValueError where nothing of the attack is left.
    """
    packed = {old.to_bytes(4, "big"): new.to_bytes(4, "big") for old, new in addresses.items()}
    packets = tuple(
        Packet(packet.ts_ns + by_ns, frame)
        for packet in episode.packets
        if (frame := readdressed(packet.frame, packed, tagging(tags))) is not None
    )
    flows = tuple(_moved_flow(truth, addresses, by_ns) for truth in episode.flows if ":" not in truth.initiator)
    if not packets or not any(truth.attack for truth in flows):
        raise ValueError(f"{episode.name} has no IPv4")
    return replace(episode, packets=packets, flows=flows)


def readdressed(frame: bytes, addresses: Mapping[bytes, bytes], tags: bytes) -> bytes | None:
    """An Ethernet frame with other IPv4 addresses and other VLAN tags; None for what is not IPv4, or cut in its header.

    tags: of 802.1Q, each with its EtherType before it.
    """
    at = 12
    while frame[at : at + 2] in TAGGED:
        at += 4
    if frame[at : at + 2] != IPV4 or len(frame) < at + 22:
        return None
    packet = bytearray(frame[at + 2 :])
    _replace(packet, 0, addresses)
    header = (packet[0] & 0x0F) * 4
    if packet[9] == _ICMP and len(packet) >= header + 28 and packet[header] in _ICMP_ERRORS:
        _replace(packet, header + 8, addresses)
    return frame[:12] + tags + IPV4 + packet


def tagging(tags: int) -> bytes:
    """Bytes of VLAN tags as FlowBatch.identity has them: outer << 12 | inner, or the only one; 0 for none."""
    outer, inner = tags >> 12, tags & 0xFFF
    parts = [TAGGED[1] + outer.to_bytes(2, "big")] if outer else []
    parts += [TAGGED[0] + inner.to_bytes(2, "big")] if inner else []
    return b"".join(parts)


def _replace(packet: bytearray, ip: int, addresses: Mapping[bytes, bytes]) -> None:
    for at in (ip + 12, ip + 16):
        old = bytes(packet[at : at + 4])
        packet[at : at + 4] = addresses.get(old, old)


def _moved_flow(truth: FlowTruth, addresses: Mapping[int, int], by_ns: int) -> FlowTruth:
    initiator, target = (int(ip_address(text)) for text in (truth.initiator, truth.target))
    return replace(
        truth,
        start_ns=truth.start_ns + by_ns,
        end_ns=truth.end_ns + by_ns,
        initiator=text_of(addresses.get(initiator, initiator)),
        target=text_of(addresses.get(target, target)),
    )
