import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flows
from flows.batch import empty_batch
from flows.columns import COLUMNS, INDEX
from flows.dialects import CIC2017, DIALECTS, NATIVE, PYTHON_DIALECT, TOT, V4, WHOLE, as_columns, dialect_fields
from tests.support.packets import ip, metered, tcp, udp

# The header of the published TrafficLabelling files, letter for letter.
PUBLISHED_2017 = (
    "Flow ID, Source IP, Source Port, Destination IP, Destination Port, Protocol, Timestamp, Flow Duration, "
    "Total Fwd Packets, Total Backward Packets,Total Length of Fwd Packets, Total Length of Bwd Packets, "
    "Fwd Packet Length Max, Fwd Packet Length Min, Fwd Packet Length Mean, Fwd Packet Length Std,"
    "Bwd Packet Length Max, Bwd Packet Length Min, Bwd Packet Length Mean, Bwd Packet Length Std,Flow Bytes/s, "
    "Flow Packets/s, Flow IAT Mean, Flow IAT Std, Flow IAT Max, Flow IAT Min,Fwd IAT Total, Fwd IAT Mean, "
    "Fwd IAT Std, Fwd IAT Max, Fwd IAT Min,Bwd IAT Total, Bwd IAT Mean, Bwd IAT Std, Bwd IAT Max, Bwd IAT Min,"
    "Fwd PSH Flags, Bwd PSH Flags, Fwd URG Flags, Bwd URG Flags, Fwd Header Length, Bwd Header Length,"
    "Fwd Packets/s, Bwd Packets/s, Min Packet Length, Max Packet Length, Packet Length Mean, Packet Length Std, "
    "Packet Length Variance,FIN Flag Count, SYN Flag Count, RST Flag Count, PSH Flag Count, ACK Flag Count, "
    "URG Flag Count, CWE Flag Count, ECE Flag Count, Down/Up Ratio, Average Packet Size, Avg Fwd Segment Size, "
    "Avg Bwd Segment Size, Fwd Header Length,Fwd Avg Bytes/Bulk, Fwd Avg Packets/Bulk, Fwd Avg Bulk Rate, "
    "Bwd Avg Bytes/Bulk, Bwd Avg Packets/Bulk,Bwd Avg Bulk Rate,Subflow Fwd Packets, Subflow Fwd Bytes, "
    "Subflow Bwd Packets, Subflow Bwd Bytes,Init_Win_bytes_forward, Init_Win_bytes_backward, act_data_pkt_fwd, "
    "min_seg_size_forward,Active Mean, Active Std, Active Max, Active Min,Idle Mean, Idle Std, Idle Max, Idle Min, "
    "Label"
)
# 2023-11-14 22:13:20 UTC is where the builders' time begins.
EXCHANGE = [
    tcp("10.0.0.1:40000", "9.0.0.2:80", "S", at=0.25, window=1000),
    tcp("9.0.0.2:80", "10.0.0.1:40000", "SA", at=0.5, window=2000),
    tcp("10.0.0.1:40000", "9.0.0.2:80", "PA", at=0.75, payload=7),
]


def ended(packets):
    """Their flows without snapshots."""
    return metered(packets, first_snapshot_ns=1000 * 10**9)


def only(packets, dialect):
    """The one flow of some packets, as a mapping."""
    columns = as_columns(ended(packets), dialect)
    assert all(len(field) == 1 for field in columns.values())
    return {name.strip(): field[0] for name, field in columns.items()}


def test_the_2017_header_is_the_published_one_with_its_blanks_and_its_double():
    assert ",".join(CIC2017.header) == PUBLISHED_2017


@pytest.mark.parametrize(("dialect", "key"), [(CIC2017, "cicids2017"), (TOT, "tot"), (V4, "v4")])
def test_headers_are_those_of_the_reference(dialect, key, shared_data: Path):
    rows = json.loads((shared_data / "meter-golden" / "header-dialects.json").read_text(encoding="utf-8"))
    assert [name.strip() for name in dialect.header] == [row[key] for row in rows if row[key] != "—"]


@pytest.mark.parametrize(
    ("dialect", "golden"),
    [(V4, "syn_first10k.java-v4.csv.gz"), (PYTHON_DIALECT, "syn_first10k.pycic-0.2.0.csv.gz")],
)
def test_headers_are_those_the_programs_wrote(dialect, golden, shared_data: Path):
    with gzip.open(shared_data / "meter-golden" / golden, "rt", newline="") as stream:
        assert tuple(next(csv.reader(stream))) == dialect.header


def test_a_name_and_a_field_stand_side_by_side():
    for dialect in DIALECTS:
        assert len(dialect.header) == len(dialect.fields) == len(dialect_fields(empty_batch(), dialect))
        public = {getattr(column, dialect.name, column.name): column.name for column in COLUMNS}
        for name, field in zip(dialect.header, dialect.fields, strict=True):
            assert field not in INDEX or public[name.strip()] == field, (dialect.name, name)


def test_whole_columns_are_integers_and_every_value_is_the_meters():
    batch = metered(EXCHANGE)
    for dialect in DIALECTS:
        for name, field in zip(dialect.fields, dialect_fields(batch, dialect), strict=True):
            if name in INDEX and name != "protocol":
                assert (field.dtype.kind == "i") == (name in WHOLE), name
                assert field[0] == batch.column(name)[0], name


@pytest.mark.parametrize(
    ("dialect", "start"),
    [
        (NATIVE, np.datetime64("2023-11-14T22:13:20.250000")),
        (CIC2017, "14/11/2023 10:13:20"),
        (TOT, "14/11/2023 10:13:20 PM"),
        (V4, "14/11/2023 10:13:20 PM"),
        (PYTHON_DIALECT, "2023-11-14 22:13:20"),
    ],
)
def test_a_start_has_the_dialects_form(dialect, start):
    made = dict(zip(dialect.fields, as_columns(metered(EXCHANGE), dialect).values(), strict=True))
    assert made["start"][0] == start


def test_the_older_dialects_order_the_flow_id_by_address_and_v4_by_originator():
    assert only(EXCHANGE, CIC2017)["Flow ID"] == only(EXCHANGE, TOT)["Flow ID"] == "9.0.0.2-10.0.0.1-80-40000-6"
    assert only(EXCHANGE, V4)["Flow ID"] == only(EXCHANGE, NATIVE)["flow_id"] == "10.0.0.1-9.0.0.2-40000-80-6"
    assert only(EXCHANGE, CIC2017)["Source IP"] == "10.0.0.1"


def test_the_order_of_addresses_is_that_of_signed_bytes():
    # as in the published 131.202.242.189-115.29.168.58-59442-443-6, whose source is 115.29.168.58
    packets = [udp("115.29.168.58:443", "131.202.242.189:59442", payload=1)]
    assert only(packets, CIC2017)["Flow ID"] == "131.202.242.189-115.29.168.58-59442-443-17"


def test_no_window_is_minus_one_until_2020_and_zero_since():
    one_way = [udp("10.0.0.1:5", "10.0.0.2:6", payload=3)]
    for dialect in (NATIVE, CIC2017, TOT):
        made = dict(zip(dialect.fields, dialect_fields(metered(one_way), dialect), strict=True))
        assert made["fwd_init_win_bytes"][0] == made["bwd_init_win_bytes"][0] == -1
    for dialect in (V4, PYTHON_DIALECT):
        made = dict(zip(dialect.fields, dialect_fields(metered(one_way), dialect), strict=True))
        assert made["fwd_init_win_bytes"][0] == made["bwd_init_win_bytes"][0] == 0


def test_a_window_of_a_tcp_packet_is_kept_in_every_dialect():
    for dialect in DIALECTS:
        made = dict(zip(dialect.fields, dialect_fields(metered(EXCHANGE), dialect), strict=True))
        assert (made["fwd_init_win_bytes"][0], made["bwd_init_win_bytes"][0]) == (1000, 2000)


def test_the_older_dialects_know_tcp_and_udp_only():
    ping = [ip("10.0.0.1", "10.0.0.2", 1, bytes([8, 0, 0, 0, 0, 1, 0, 1]))]
    for dialect in (CIC2017, TOT):
        flow = only(ping, dialect)
        assert (flow["Protocol"], flow["Flow ID"]) == (0, "10.0.0.1-10.0.0.2-0-0-0")
    for dialect in (NATIVE, V4, PYTHON_DIALECT):
        flow = only(ping, dialect)
        assert flow.get("Protocol", flow.get("protocol")) == 1


def test_labels_say_that_nobody_has_labelled_the_flow():
    assert only(EXCHANGE, V4)["Label"] == "NeedManualLabel"
    assert only(EXCHANGE, TOT)["Label"] == only(EXCHANGE, CIC2017)["Label"] == "No Label"


def test_ipv6_and_ipv4_stand_in_one_table_as_text():
    batch = metered([udp("[2001:db8::1]:5", "[2001:db8::2]:6", at=0.0), udp("10.0.0.1:5", "255.0.10.200:6", at=1.0)])
    made = as_columns(batch)
    pairs = dict(zip(made["src_address"].tolist(), made["dst_address"].tolist(), strict=True))
    assert pairs == {"2001:db8::1": "2001:db8::2", "10.0.0.1": "255.0.10.200"}


def test_the_2017_dialects_doubled_column_is_numbered_where_names_must_differ():
    made = as_columns(ended(EXCHANGE), CIC2017)
    assert len(made) == 85
    assert made[" Fwd Header Length"] == made[" Fwd Header Length.1"] == 40


def test_a_count_that_is_no_whole_number_is_refused():
    batch = metered(EXCHANGE)
    batch.values[0, INDEX["fwd_packets"]] = np.nan
    with pytest.raises(ValueError, match="fwd_packets"):
        dialect_fields(batch, V4)


def test_the_librarys_names_load_when_they_are_used():
    code = "import sys, flows; print('numpy' in sys.modules); flows.COLUMNS; print('numba' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["False", "False"]
    assert set(flows.__all__) == set(flows._MODULES)
    assert all(getattr(flows, name) is not None for name in flows.__all__)
    with pytest.raises(AttributeError, match="Metre"):
        flows.Metre  # noqa: B018
