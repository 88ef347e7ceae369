"""Have the kernels compiled before packets come: a scan of our own goes all the way to an alert that nobody sees."""

from collections.abc import Sequence

import numpy as np

from flows.arrival import warm_arrivals
from flows.block import PacketBlock, block_of
from flows.linktypes import ETHERNET
from flows.meter import Meter
from flows.names.store import warm_up_names
from flows.pcap import FILE_HEADER, PcapWalker
from flows.pcapng import SHORTEST_SECTION_HEADER, PcapngWalker
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.judging.judge import Judge
from sensor.packets.pcapng import interface_description, max_encoded_bytes, packet_blocks, section_header
from sensor.sources.filters.bpf import BpfProgram
from sensor.sources.filters.packet_filter import PacketFilter
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.truth import Packet

RETURN = 0x06  # BPF_RET: of a program that takes the packet, or, with 0, does not


def warm_up(meter: Meter, judge: Judge) -> None:
    """Run a few packets through a meter and a judge that are thrown away; the model forgets them."""
    items = [*judge.judge(meter.feed(_block(_packets()))), *judge.judge(meter.drain()), *judge.finish()]
    for item in items:
        if isinstance(item, Alert):
            alert_line(item)
    judge.hybrid.forget()
    warm_up_names()


def warm_up_reading() -> None:
    """Read a few packets as pcap and as pcapng, and filter them."""
    warm_arrivals()
    packets = _packets()
    block = _block(packets)
    PacketFilter(lambda linktype: BpfProgram("", linktype, ((RETURN, 0, 0, 0),))).apply(block)
    pcap = pcap_bytes(packets)
    blocks = packet_blocks(
        block, np.zeros(len(block), dtype=np.int64), np.empty(max_encoded_bytes(block), dtype=np.uint8)
    )
    pcapng = section_header() + interface_description("", ETHERNET) + bytes(blocks)
    PcapWalker(pcap[:FILE_HEADER]).walk(np.array(bytearray(pcap)), FILE_HEADER, len(pcap))
    PcapngWalker(pcapng[:SHORTEST_SECTION_HEADER]).walk(np.array(bytearray(pcapng)), 0, len(pcapng))


def _packets() -> Sequence[Packet]:
    return generate([PORTSCAN], seed=1, minutes=0.5).packets[:64]


def _block(packets: Sequence[Packet]) -> PacketBlock:
    return block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
