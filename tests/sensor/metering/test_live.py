"""Turns of the metering, with a capture that delivers what the test says."""

import dataclasses
from collections.abc import Callable

from flows.block import PacketBlock, block_of
from flows.meter import Meter
from sensor.errors import OutputError
from sensor.metering.live import LIVE_LAG_NS, LiveTurns
from sensor.metering.overload import DOWN_LEAST_S, STEPS
from sensor.metering.turns import END_NS, Turn, sum_of
from tests.support.packets import block, udp
from tests.support.scripted import SILENCE, T0, ScriptedCapture

SECOND = 10**9
UNDECODABLE = block_of([bytes(10)], [T0])


def packet(at_s: float, port: int = 1000) -> PacketBlock:
    return block([udp(f"10.0.0.1:{port}", "10.0.0.2:53", at=at_s, payload=20)])


def nothing() -> None:
    pass


def turns_of(capture: ScriptedCapture, meter: Meter | None = None) -> list[Turn]:
    return list(LiveTurns(capture, meter or Meter(1024, news_only=True)))


def test_an_empty_ring_proves_silence_only_up_to_when_it_was_asked() -> None:
    capture = ScriptedCapture([])

    def held_up() -> None:  # between the look at the ring and its answer: packets may have come since
        capture.now_ns += 300 * SECOND

    capture.turns = [(nothing, packet(0)), (held_up, SILENCE), (nothing, SILENCE)]
    turns = turns_of(capture)
    assert [len(turn.records) for turn in turns] == [0, 0, 1, 0]
    assert turns[1].until_ns == T0
    assert turns[2].until_ns == T0 + 300 * SECOND - LIVE_LAG_NS
    assert turns[3].until_ns == END_NS


def test_a_flow_is_not_over_while_its_next_packet_may_be_on_its_way() -> None:
    capture = ScriptedCapture([])

    def later(seconds: float) -> Callable[[], None]:
        def pass_() -> None:
            capture.now_ns = T0 + round(seconds * SECOND)

        return pass_

    idle = Meter(64, idle_timeout_ns=5 * SECOND)
    in_doubt, certain = 5.6, 6.6
    capture.turns = [(later(in_doubt), packet(0)), (later(certain), SILENCE), (nothing, SILENCE)]
    assert [len(turn.records) for turn in turns_of(capture, idle)] == [0, 0, 1, 0]


def test_packets_bring_their_own_time() -> None:
    capture = ScriptedCapture([(nothing, packet(0)), (nothing, packet(5))])
    capture.now_ns = T0 + 900 * SECOND
    assert [turn.until_ns for turn in turns_of(capture)] == [T0, T0 + 5 * SECOND, END_NS]


def test_every_packet_is_accounted_for_at_every_turn_and_the_capture_is_closed() -> None:
    capture = ScriptedCapture([(nothing, packet(0)), (nothing, UNDECODABLE), (nothing, SILENCE)])
    capture.lost, capture.filtered = 3, 5
    turns = turns_of(capture)
    assert [turn.totals.stats.packets for turn in turns] == [1, 2, 2, 2]
    last = turns[-1].totals
    assert last.capture.received == 5
    assert last.capture.dropped == 3
    assert last.stats.metered + sum(last.stats.undecoded.values()) == 2
    assert (last.first_ns, last.now_ns) == (T0, T0)
    assert capture.closed


def test_a_full_ring_is_answered_by_steps_and_told_once_each() -> None:
    now = [0.0]
    capture = ScriptedCapture([])

    def fill(share: float, seconds: float) -> None:
        capture.fill = share
        now[0] += seconds

    capture.turns = [
        (lambda: fill(0.9, 0.2), packet(0)),
        (lambda: fill(0.9, 0.2), packet(0)),
        (lambda: fill(0.9, 0.2), packet(0)),
        (lambda: fill(0.0, DOWN_LEAST_S + 1), packet(0)),
        (lambda: fill(0.0, DOWN_LEAST_S + 1), packet(0)),
        (lambda: fill(0.0, DOWN_LEAST_S + 1), packet(0)),
    ]
    turns = list(LiveTurns(capture, Meter(1024), clock=lambda: now[0]))
    words = [event.message for turn in turns for event in turn.events]
    steps = [turn.totals.overload for turn in turns]
    assert steps == [step.name for step in (*STEPS[1:4], STEPS[2], STEPS[1], STEPS[0], STEPS[0])]
    assert words == [
        *(f"overload: {step.name}" for step in (*STEPS[1:4], STEPS[2], STEPS[1])),
        "the overload is over: everything is metered again",
    ]


def test_under_sampling_what_is_left_out_is_counted() -> None:
    capture = ScriptedCapture([])

    def flood() -> PacketBlock:
        return block([udp(f"10.0.0.1:{port}", "10.0.0.2:53") for port in range(1000, 2000)])

    now = [0.0]

    def pressed() -> None:
        capture.fill = 1.0
        now[0] += 1

    capture.turns = [(pressed, flood()) for _ in range(20)]
    last = list(LiveTurns(capture, Meter(4096), clock=lambda: now[0]))[-1].totals
    assert last.overload == STEPS[-1].name
    assert last.stats.shed > 10_000
    assert last.stats.metered + last.stats.shed == 20_000


class FullDisk:
    """Keeps one block."""

    def __init__(self) -> None:
        self.packets = 0

    def add_interface(self, _name: str, _linktype: int) -> int:
        return 0

    def write(self, packets: PacketBlock, _interface_of: object, _step: int) -> None:
        if self.packets:
            raise OutputError("kept.pcapng: packets cannot be written: no space left")
        self.packets += len(packets)

    def close(self) -> None:
        pass


def test_a_full_disk_ends_the_keeping_of_packets_and_not_the_watch() -> None:
    capture = ScriptedCapture([(nothing, packet(at)) for at in range(4)])
    turns = list(LiveTurns(capture, Meter(1024), FullDisk()))
    assert [turn.totals.lost_packets for turn in turns] == [0, 1, 2, 3, 3]
    events = [(number, event.action, event.message) for number, turn in enumerate(turns) for event in turn.events]
    assert [(number, action) for number, action, _ in events] == [(1, "packets-lost"), (4, "packets-lost")]
    assert events[-1][2] == "3 packets in all were not written to a file"
    assert turns[-1].totals.stats.packets == 4


def test_accounts_of_workers_add_up() -> None:
    one = turns_of(ScriptedCapture([(nothing, packet(0)), (nothing, UNDECODABLE)], lost=1))[-1].totals
    two = turns_of(ScriptedCapture([(nothing, packet(3)), (nothing, packet(4, 2000))], lost=2, filtered=7))[-1].totals
    both = sum_of([dataclasses.replace(one, overload=STEPS[1].name), dataclasses.replace(two, overload=STEPS[-1].name)])
    assert both.capture.received == one.capture.received + two.capture.received == 7
    assert (both.capture.dropped, both.capture.filtered) == (3, 7)
    assert both.stats.packets == 4
    assert both.stats.undecoded == one.stats.undecoded
    assert (both.first_ns, both.now_ns) == (T0, T0 + 4 * SECOND)
    assert both.overload == STEPS[-1].name  # the worker that needs it most
