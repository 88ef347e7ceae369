"""The meter against the output of GintsEngelen/CICFlowMeter 4dd5319 on three captures, cell by cell.

Every column is compared in every row, except where the specification says that the fork itself is wrong. Those are
listed here one by one, with what the fork does and what this meter does.
"""

import csv
import gzip
from datetime import UTC, datetime

import numpy as np
import pytest

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    IP_VERSION,
    PROTOCOL,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    address,
)
from flows.columns import COLUMNS
from flows.meter import Meter, concatenate
from tests.support.captures import read_whole_pcap

# Column -> when the fork's cell is wrong, given its row.
FORK_IS_WRONG = {
    # B5: -1 for a duration of 0; here 0
    "Flow Bytes/s": lambda row: row["Flow Duration"] == "0",
    "Flow Packets/s": lambda row: row["Flow Duration"] == "0",
    # B9: divides by the number of gaps, not of sub-flows
    "Subflow Fwd Packets": lambda _: True,
    "Subflow Fwd Bytes": lambda _: True,
    "Subflow Bwd Packets": lambda _: True,
    "Subflow Bwd Bytes": lambda _: True,
    # the fork's minimum starts from 0
    "Bwd Seg Size Min": lambda _: True,
    # column 73 and 74: 0 where no TCP packet went that way; here -1
    "FWD Init Win Bytes": lambda row: row["Protocol"] != "6" or row["Total Fwd Packet"] == "0",
    "Bwd Init Win Bytes": lambda row: row["Protocol"] != "6" or row["Total Bwd packets"] == "0",
}
# Columns the fork adds to CIC's and this meter does not carry. They count packets whose sequence number, ACK
# number and length came before, which needs every packet of a flow kept (B21), and count duplicate ACKs as
# retransmissions.
NOT_CARRIED = {"Fwd TCP Retrans. Count", "Bwd TCP Retrans. Count", "Total TCP Retrans. Count"}
NOT_NUMBERS = {"Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Timestamp", "Label"}

# The fork has no inactivity timeout (B21): a TCP flow that resumes after more than 120 s of silence keeps the old
# direction. Here silence ends the flow and the first packet's sender begins a new one (D2, D3 b), as in the fork for
# UDP. These are the TCP flows, as the fork names them, that a packet of the other side resumed; the last continues the
# first.
RESUMED_FROM_THE_OTHER_SIDE = {
    ("10.0.133.101-198.51.102.53-39204-3478-6", 1700000210567174),
    ("10.0.19.148-198.51.112.102-59801-3478-6", 1700000182491375),
    ("10.0.133.101-198.51.102.53-39204-3478-6", 1700000340842352),
}


def fork_rows(path):
    rows = {}
    with gzip.open(path, "rt", newline="") as text:
        for row in csv.DictReader(text):
            start = datetime.fromisoformat(row["Timestamp"]).replace(tzinfo=UTC)
            # the Flow ID is not renewed when the direction of a UDP flow changes
            name = "-".join(row[part] for part in ("Src IP", "Dst IP", "Src Port", "Dst Port", "Protocol"))
            rows[name, int(start.replace(microsecond=0).timestamp()) * 10**6 + start.microsecond] = row
    return rows


def flow_id(identity):
    version = int(identity[IP_VERSION])
    source = address(int(identity[SRC_HIGH]), int(identity[SRC_LOW]), version)
    target = address(int(identity[DST_HIGH]), int(identity[DST_LOW]), version)
    return f"{source}-{target}-{identity[SRC_PORT]}-{identity[DST_PORT]}-{identity[PROTOCOL]}"


def final_records(capture):
    meter = Meter()
    batch = concatenate([meter.feed(read_whole_pcap(capture)), meter.drain()])
    assert sum(meter.stats.undecoded.values()) == 0
    ends = batch.identity[:, END_REASON] != SNAPSHOT
    return {
        (flow_id(identity), int(identity[START_NS]) // 1000): (identity, values)
        for identity, values in zip(batch.identity[ends], batch.values[ends], strict=True)
    }


def continued_connections(ours):
    """Keys of flows that continue an earlier one of the same endpoints: True where silence over 120 s came before."""
    last_end, continued = {}, {}
    for (name, start), (identity, _) in sorted(ours.items(), key=lambda item: item[0][1]):
        source, target, source_port, target_port, protocol = name.split("-")
        connection = (frozenset([(source, source_port), (target, target_port)]), protocol)
        if connection in last_end:
            silence = start - last_end[connection] > 120_000_000
            continued[name, start] = silence
        last_end[connection] = int(identity[END_NS]) // 1000
    return continued


@pytest.mark.parametrize("capture", ["syn_first10k", "syn20k_long", "real_2015"])
def test_every_column_equals_the_corrected_fork_but_where_the_fork_is_wrong(shared_data, capture):
    golden = fork_rows(shared_data / "meter-golden" / f"{capture}.java-engelen.csv.gz")
    ours = final_records(shared_data / "meter-golden" / f"{capture}.pcap.gz")
    mirrored = RESUMED_FROM_THE_OTHER_SIDE & set(golden)
    assert len(ours) == len(golden)
    assert set(golden) - set(ours) == mirrored
    continued = continued_connections(ours)
    after_silence = {name for (name, _), silence in continued.items() if silence}
    columns = {column.v4: i for i, column in enumerate(COLUMNS) if column.v4}
    assert set(next(iter(golden.values()))) - set(columns) == NOT_CARRIED | NOT_NUMBERS
    compared, wrong = 0, []
    for key in set(golden) & set(ours):
        _, values = ours[key]
        for name, i in columns.items():
            cell = float(golden[key][name])
            if name in FORK_IS_WRONG and FORK_IS_WRONG[name](golden[key]):
                continue
            # B13: 0 where a packet from the other side restarted the flow, though forward packets followed
            if name in ("FWD Init Win Bytes", "Fwd Seg Size Min") and cell == 0 and key in continued:
                continue
            # counts the silence before the flow, too
            if name == "Total Connection Flow Time" and key[0] in after_silence:
                continue
            compared += 1
            if not np.isclose(values[i], cell, rtol=1e-9, atol=1e-9):
                wrong.append((key, name, cell, values[i]))
    assert wrong == []
    assert compared > 70 * len(set(golden) & set(ours))


def test_flows_resumed_from_the_other_side_are_the_forks_rows_mirrored(shared_data):
    golden = fork_rows(shared_data / "meter-golden" / "syn20k_long.java-engelen.csv.gz")
    ours = final_records(shared_data / "meter-golden" / "syn20k_long.pcap.gz")
    columns = {column.v4: i for i, column in enumerate(COLUMNS) if column.v4}
    for name, start in RESUMED_FROM_THE_OTHER_SIDE:
        source, target, source_port, target_port, protocol = name.split("-")
        _, values = ours[f"{target}-{source}-{target_port}-{source_port}-{protocol}", start]
        row = golden[name, start]
        for backward, forward in [
            ("Total Bwd packets", "Total Fwd Packet"),
            ("Total Length of Bwd Packet", "Total Length of Fwd Packet"),
            ("Bwd IAT Std", "Fwd IAT Std"),
            ("Bwd Header Length", "Fwd Header Length"),
        ]:
            assert values[columns[backward]] == pytest.approx(float(row[forward]), rel=1e-9)
            assert values[columns[forward]] == pytest.approx(float(row[backward]), rel=1e-9)
        for same in ["Flow Duration", "Flow IAT Std", "Packet Length Std", "ACK Flag Count", "Idle Mean", "Active Max"]:
            assert values[columns[same]] == pytest.approx(float(row[same]), rel=1e-9)
