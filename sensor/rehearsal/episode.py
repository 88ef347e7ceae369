"""An attack that is rehearsed: its packets, and whose each of its flows is."""

from dataclasses import dataclass
from ipaddress import IPv4Network

from flows.block import PacketBlock, block_of
from flows.truth import FlowTruth
from sensor.rehearsal.hosts import PRIVATE
from sensor.synth.generate import Traffic, generate
from sensor.synth.scenarios.scenario import Scenario
from sensor.synth.truth import Packet

GENERATOR = "generator"
SEED = 7


@dataclass(frozen=True, slots=True)
class AttackEpisode:
    """One attack: at least a packet, and a flow that is an attack's. Its packets are Ethernet frames."""

    name: str  # of the generator's scenario, or of the lab's episode
    technique: str  # MITRE ATT&CK technique id
    source: str  # who made it: GENERATOR, or the name of the lab's run
    packets: tuple[Packet, ...]  # by time
    flows: tuple[FlowTruth, ...]  # of all its packets, also those of ordinary traffic that belongs to it
    home: tuple[IPv4Network, ...] = PRIVATE  # networks that were inside where it was made

    @property
    def attack(self) -> tuple[FlowTruth, ...]:
        """The flows that are the attack."""
        return tuple(truth for truth in self.flows if truth.attack)

    @property
    def start_ns(self) -> int:
        """First packet of the attack, ns since 1970 UTC."""
        return min(truth.start_ns for truth in self.attack)

    @property
    def end_ns(self) -> int:
        """Last packet of the attack, ns since 1970 UTC."""
        return max(truth.end_ns for truth in self.attack)

    @property
    def sides(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Who began the attack's flows, and whom with, each once in the order of the flows."""
        attack = self.attack
        initiators = dict.fromkeys(truth.initiator for truth in attack)
        return tuple(initiators), tuple(dict.fromkeys(truth.target for truth in attack))

    def block(self) -> PacketBlock:
        """Its packets as the meter takes them."""
        return block_of([packet.frame for packet in self.packets], [packet.ts_ns for packet in self.packets])


def made(scenario: Scenario) -> AttackEpisode:
    """The episode that a scenario of the generator is. Raises ValueError for one that is no attack."""
    traffic: Traffic = generate([scenario], SEED)
    techniques = {truth.technique for truth in traffic.truth if truth.attack}
    if len(techniques) != 1:
        raise ValueError(f"{scenario.name} has {len(techniques)} techniques, expected one")
    return AttackEpisode(scenario.name, techniques.pop(), GENERATOR, traffic.packets, traffic.truth)
