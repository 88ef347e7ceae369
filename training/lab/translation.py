"""Address translation of a scenario: hosts of some segments have the router's address in another one.

Each host has ports of its own there, so that the translation can be turned back without a log. RFC 3022, RFC 7422. What
forges its source, and what comes uncalled from the other side, is dropped. IPv6 is not translated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from training.lab.attacks.tool import Reach
from training.lab.claims import Claim, Claims, Ends, uses
from training.lab.scenario import Scenario
from training.lab.traffic import ICMP, TCP, UDP, Ports

FIRST_PORT: Final = 1024
MOST_PORTS: Final = 2000  # of one host
DEVICE_CELLS: Final = 15  # of a device's name

_RULES: Final = """table ip lab {{
  chain back {{
    type filter hook input priority filter
    iifname "{outside}" drop
  }}
  chain through {{
    type filter hook forward priority filter
    iifname "{outside}" oifname {{ {inside} }} ct state != {{ established, related }} drop
    iifname {{ {inside} }} oifname "{outside}" ct state invalid drop
    iifname {{ {inside} }} oifname "{outside}" ip saddr != {{ {hosts} }} drop
  }}
  chain out {{
    type nat hook postrouting priority srcnat
    {sources}
    iifname {{ {inside} }} oifname "{outside}" snat to {address}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Ports that a host has outside, for TCP and UDP."""

    host: IPv4Address
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Translation:
    """One address for many hosts."""

    outside: str  # segment
    inside: tuple[str, ...]  # segments
    address: IPv4Address  # of the router outside
    blocks: tuple[Block, ...]

    def turned_back(self, ends: Ends) -> Iterator[Ends]:
        """Who a flow outside could be of, with inside addresses; itself where it is not translated.

        One host with TCP and UDP, any with other protocols. Ports of translated ends are those outside.
        """
        public = int(self.address)
        if public not in (ends.initiator, ends.target):
            yield ends
            return
        port = ends.initiator_port if ends.initiator == public else ends.target_port
        for block in self.blocks:
            if ends.protocol in (TCP, UDP) and not block.low <= port <= block.high:
                continue
            if ends.initiator == public:
                yield replace(ends, initiator=int(block.host))
            else:
                yield replace(ends, target=int(block.host))

    def rules(self) -> str:
        """The rules of nft that do it."""
        inside = ", ".join(f'"{name[:DEVICE_CELLS]}"' for name in self.inside)
        way = f'iifname {{ {inside} }} oifname "{self.outside[:DEVICE_CELLS]}"'
        sources = "\n    ".join(
            f"{way} ip saddr {block.host} meta l4proto {{ tcp, udp }} snat to {self.address}:{block.low}-{block.high}"
            for block in self.blocks
        )
        return _RULES.format(
            outside=self.outside[:DEVICE_CELLS],
            inside=inside,
            hosts=", ".join(str(block.host) for block in self.blocks),
            sources=sources,
            address=self.address,
        )


def translation_of(scenario: Scenario) -> Translation | None:
    """The translation of a scenario; None where it has none."""
    for name, segment in scenario.segments.items():
        if segment.masquerades:
            hosts = [host.address for host in scenario.hosts.values() if host.segment in segment.masquerades]
            size = min(MOST_PORTS, (65_536 - FIRST_PORT) // max(1, len(hosts)))
            lows = range(FIRST_PORT, FIRST_PORT + size * len(hosts), size)
            blocks = tuple(Block(host, low, low + size - 1) for host, low in zip(hosts, lows, strict=True))
            return Translation(name, segment.masquerades, segment.gateway, blocks)
    return None


def alike_outside(scenario: Scenario, reaches: Mapping[str, Sequence[Reach]]) -> Iterator[str]:
    """Who could not be told apart in a capture of translated addresses, where echoes have no ports and others change.

    reaches: of the attacks, by name.
    """
    translation = translation_of(scenario)
    if translation is None or not scenario.segments[translation.outside].capture:
        return
    hosts = scenario.hosts
    outside = {name for name, host in hosts.items() if host.segment == translation.outside}
    parties = [
        f"{action} of habit {name} of host {host}"
        for host, name, action, targets, ports in uses(scenario)
        if hosts[host].segment in translation.inside and _is_echo(ports) and not outside.isdisjoint(targets)
    ]
    parties += [
        f"attack {attack.name}"
        for attack in scenario.attacks
        if hosts[attack.source].segment in translation.inside
        and any(_is_echo(reach.ports) for reach in reaches[attack.name])
        and not outside.isdisjoint(attack.targets)
    ]
    if len(parties) > 1:
        yield f"echoes of {' and '.join(parties)} cannot be told apart in segment {translation.outside}, expected one"
    for attack in scenario.attacks:
        by_ports = any(reach.own_ports for reach in reaches[attack.name])
        if by_ports and hosts[attack.source].segment in translation.inside and attack.through in outside:
            yield f"attack {attack.name} is told by its ports, which are others in segment {translation.outside}"


def _is_echo(ports: Sequence[Ports]) -> bool:
    return any(each.protocol == ICMP for each in ports)


@dataclass(frozen=True, slots=True)
class ClaimsOutside:
    """The claims of a run, as they hold where addresses are translated."""

    claims: Claims
    translation: Translation

    def of(self, ends: Ends, now_ns: int) -> Claim | None:
        """Whose flow this is, None where nobody's; where it could be several hosts', the claim that goes before."""
        found = [self.claims.of(inside, now_ns) for inside in self.translation.turned_back(ends)]
        claims = [claim for claim in found if claim is not None]
        return min(claims, key=self.claims.claims.index, default=None)
