"""Traffic of chosen scenarios, merged in time, with the truth of each flow. Nothing here reads a clock or a file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sensor.synth.dice import SECOND, stream
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.slowhttp import SLOWHTTP
from sensor.synth.scenarios.synflood import SYNFLOOD
from sensor.synth.site import Site
from sensor.synth.truth import Exchange, FlowTruth, Packet

SCENARIOS: tuple[Scenario, ...] = (NORMAL, PORTSCAN, SYNFLOOD, SSH_GUESSING, SLOWHTTP)

MONDAY_MORNING_NS = 1_772_442_000 * SECOND  # 2026-03-02 09:00 UTC
DEMO_SEED, DEMO_MINUTES, DEMO_SNAPLEN = 7, 7.0, 96


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets in time order, and the truth of each flow in the order of their starts."""

    packets: tuple[Packet, ...]
    truth: tuple[FlowTruth, ...]


def generate(scenarios: Iterable[Scenario], seed: int, minutes: float, start_ns: int = MONDAY_MORNING_NS) -> Traffic:
    """Traffic of these scenarios side by side, over minutes from start_ns.

    Each scenario has its own random stream and its own hosts that initiate: the same seed gives it the same packets,
    whichever others run beside it. What would come after the end is cut off, as by a capture that stops.
    """
    span = Span(start_ns, start_ns + int(minutes * 60 * SECOND))
    exchanges = [exchange for scenario in scenarios for exchange in _run(scenario, seed, span)]
    packets = sorted((packet for exchange in exchanges for packet in exchange.packets), key=_when)
    truth = sorted((exchange.truth for exchange in exchanges if exchange.truth), key=_started)
    return Traffic(tuple(packets), tuple(truth))


def _run(scenario: Scenario, seed: int, span: Span) -> Iterator[Exchange]:
    begin_ns = span.start_ns + int(scenario.begins * (span.end_ns - span.start_ns))
    rng = stream(seed, scenario.name)
    for exchange in scenario.traffic(Site(), rng, Span(begin_ns, span.end_ns)):
        yield from _cut(exchange, span.end_ns)


def _cut(exchange: Exchange, end_ns: int) -> Iterator[Exchange]:
    """The exchange as far as it lies before end_ns; nothing when it lies after."""
    kept = tuple(packet for packet in exchange.packets if packet.ts_ns < end_ns)
    if len(kept) == len(exchange.packets):
        yield exchange
    elif kept:
        truth = exchange.truth and replace(exchange.truth, end_ns=kept[-1].ts_ns, packets=len(kept))
        yield Exchange(kept, truth)


def _when(packet: Packet) -> int:
    return packet.ts_ns


def _started(truth: FlowTruth) -> tuple[int, str, int, str, int]:
    return truth.start_ns, truth.initiator, truth.initiator_port, truth.target, truth.target_port
