"""Traffic of chosen scenarios, merged in time, with the ground truth of each flow. It reads no clock and no file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from flows.truth import FlowTruth
from sensor.synth.randomness import SECOND, stream
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.slowhttp import SLOWHTTP
from sensor.synth.scenarios.synflood import SYNFLOOD
from sensor.synth.site import Site
from sensor.synth.truth import Exchange, Packet

SCENARIOS: tuple[Scenario, ...] = (NORMAL, PORTSCAN, SYNFLOOD, SSH_GUESSING, SLOWHTTP)

MONDAY_MORNING_NS = 1_772_442_000 * SECOND  # 2026-03-02 09:00 UTC
DEMO_SEED, DEMO_MINUTES, DEMO_SNAPLEN = 7, 7.0, 96


@dataclass(frozen=True, slots=True)
class Traffic:
    """Synthetic traffic with its ground truth."""

    packets: tuple[Packet, ...]  # by time
    truth: tuple[FlowTruth, ...]  # by start of the flow


def generate(
    scenarios: Iterable[Scenario], seed: int, minutes: float | None = None, start_ns: int = MONDAY_MORNING_NS
) -> Traffic:
    """Generate traffic of these scenarios side by side, for some minutes from start_ns; None: as long as the longest.

    Each scenario has its own random stream and its own initiating hosts: the same seed gives it the same packets,
    whichever others run beside it; two of one name would be the same hosts. Packets after the end are cut off, as by a
    capture that stops.
    """
    chosen = tuple(scenarios)
    if minutes is None:
        minutes = max((scenario.minutes for scenario in chosen), default=0.0)
    span = Span(start_ns, start_ns + int(minutes * 60 * SECOND))
    exchanges = [exchange for scenario in chosen for exchange in _run(scenario, seed, span)]
    packets = sorted((packet for exchange in exchanges for packet in exchange.packets), key=_packet_time)
    truth = sorted((exchange.truth for exchange in exchanges if exchange.truth), key=_flow_start)
    return Traffic(tuple(packets), tuple(truth))


def _run(scenario: Scenario, seed: int, span: Span) -> Iterator[Exchange]:
    begin_ns = span.start_ns + int(scenario.begins * (span.end_ns - span.start_ns))
    rng = stream(seed, scenario.name)
    for exchange in scenario.traffic(Site(), rng, Span(begin_ns, span.end_ns)):
        yield from _cut(exchange, span.end_ns)


def _cut(exchange: Exchange, end_ns: int) -> Iterator[Exchange]:
    """The part of an exchange before end_ns; nothing when there is none."""
    remaining = tuple(packet for packet in exchange.packets if packet.ts_ns < end_ns)
    if len(remaining) == len(exchange.packets):
        yield exchange
    elif remaining:
        truth = exchange.truth and replace(exchange.truth, end_ns=remaining[-1].ts_ns, packets=len(remaining))
        yield Exchange(remaining, truth)


def _packet_time(packet: Packet) -> int:
    return packet.ts_ns


def _flow_start(truth: FlowTruth) -> tuple[int, str, int, str, int]:
    return truth.start_ns, truth.initiator, truth.initiator_port, truth.target, truth.target_port
