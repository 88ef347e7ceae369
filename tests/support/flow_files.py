"""Flow tables as files, in every public dialect, for the tests of the readers."""

import csv
import random
from functools import cache
from pathlib import Path

from flows.batch import END_REASON, SNAPSHOT, FlowBatch
from flows.dialects import CIC2017, Dialect
from sensor.flow_tables.table import open_table
from tests.support.packets import ip, metered, tcp, udp


@cache
def many_shapes() -> FlowBatch:
    """Flows of many shapes: answered and not, with gaps and without, IPv4 and IPv6, of four protocols."""
    draw = random.Random(5)
    packets = []
    for i in range(60):
        there, back = f"10.0.0.{i + 1}:{1024 + i}", f"10.1.0.{i % 7 + 1}:{draw.choice((22, 53, 80))}"
        at = draw.uniform(0, 20)
        for _ in range(draw.randrange(1, 12)):
            at += draw.choice((0.0, 0.0001, 0.3, 1.5, 7.0))
            ends = (there, back) if draw.random() < 0.6 else (back, there)
            length = draw.choice((0, 0, 1, 40, 900))
            flags = draw.choice(("S", "A", "PA", "FA", "AU", "AEC"))
            window = draw.choice((0, 501, 64240))
            sent = tcp(*ends, flags, at=at, payload=length, window=window) if i % 3 else udp(*ends, at=at, payload=5)
            packets.append(sent)
    packets += [udp("[2001:db8::1]:5", "[ff02::fb]:5353", at=3.0, payload=9), ip("10.0.0.9", "10.9.0.1", 1, bytes(8))]
    flows = metered(sorted(packets, key=lambda packet: packet.ts_ns), capacity=512)
    ended = flows.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(flows.identity[ended], flows.values[ended])


def written(directory: Path, batch: FlowBatch, dialect: Dialect, suffix: str = ".csv") -> Path:
    path = directory / f"{dialect.name}{suffix}"
    with open_table(path, dialect) as table:
        table.write(batch)
    return path


def lines(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def rewritten(path: Path, rows: list[list[str]]) -> Path:
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table_of_2017() -> list[list[str]]:
    """A table as the program of 2017 wrote it: a TCP and a UDP flow of three packets, the first with 31 bytes."""
    tcp_flow = {
        "flow_id": "9.0.0.2-10.0.0.1-80-40000-6", "src_address": "10.0.0.1", "src_port": "40000", "protocol": "6",
        "dst_address": "9.0.0.2", "dst_port": "80", "start": "03/07/2017 08:55:58", "label": "BENIGN",
        "flow_duration": "33", "fwd_packets": "2", "bwd_packets": "1", "fwd_bytes": "31.0", "flow_bytes_per_s": "9.4E5",
        "flow_packets_per_s": "90909.09", "packet_length_max": "31.0", "packet_length_mean": "15.5",
        "packet_length_std": "17.897858344878397", "packet_length_variance": "320.3333333333333",
        "average_packet_size": "20.666666666666668", "fwd_header_length": "64", "bwd_header_length": "32",
        "fwd_psh_flags": "1", "syn_flag_count": "1", "ack_flag_count": "1", "rst_flag_count": "1",
        "fwd_seg_size_min": "32", "fwd_init_win_bytes": "264", "bwd_init_win_bytes": "364",
    }  # fmt: skip
    udp_flow = tcp_flow | {"protocol": "17", "fwd_header_length": "-2", "fwd_seg_size_min": "-1",
                           "flow_duration": "-1", "start": "03/07/2017 01:05:00", "flow_bytes_per_s": "Infinity",
                           "fwd_init_win_bytes": "-1", "fwd_psh_flags": "0", "syn_flag_count": "0",
                           "flow_packets_per_s": "NaN", "flow_iat_min": "-3"}  # fmt: skip
    rows = [[flow.get(field, "0") for field in CIC2017.fields] for flow in (tcp_flow, udp_flow)]
    return [list(CIC2017.header), *rows]
