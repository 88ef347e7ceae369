"""KDD connection records of whole captures: whatever the packets, whatever the blocks."""

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.block import block_of
from flows.kdd.columns import FLAGS, PROTOCOLS, SERVICES, UNKNOWN, kdd_columns
from flows.kdd.meter import Connections
from flows.meter import Meter, concatenate
from tests.support.examples import examples
from tests.support.packets import EPOCH_NS, ip, tcp, udp

COLUMNS = kdd_columns(content=False)
LIMITS = {
    "protocol_type": (UNKNOWN, len(PROTOCOLS) - 1),
    "service": (0, len(SERVICES) - 1),
    "flag": (0, len(FLAGS) - 1),
    "count": (1, 511),
    "srv_count": (1, 511),
    "dst_host_count": (1, 255),
    "dst_host_srv_count": (1, 255),
}
HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2"]


def fragment_of(source, target, protocol, offset, more, content):
    """IPv4 fragment in Ethernet; offset in bytes."""
    frame = bytearray(ip(source, target, protocol, content).frame)
    frame[14 + 4 : 14 + 8] = struct.pack("!HH", 7, more << 13 | offset // 8)
    return bytes(frame)


@st.composite
def frames(draw):
    """A frame among few hosts, whole or a fragment, perhaps with some bytes changed or its end cut off."""
    v4 = draw(st.booleans())
    among = HOSTS[:3] if v4 else HOSTS[3:]
    source, target = draw(st.sampled_from(among)), draw(st.sampled_from(among))
    kind = draw(st.sampled_from(["tcp", "tcp", "udp", "ip", "fragment"]))
    ports = draw(st.sampled_from([(5, 80), (80, 5), (7, 7), (20, 9999)]))
    if kind == "tcp":
        flags = draw(st.sampled_from(["S", "SA", "A", "PA", "FA", "R", "RA", "SFRPAUEC", "", "AU"]))
        frame = tcp(f"{source}:{ports[0]}", f"{target}:{ports[1]}", flags, payload=draw(st.integers(0, 9))).frame
    elif kind == "udp":
        frame = udp(f"{source}:{ports[0]}", f"{target}:{ports[1]}", payload=draw(st.integers(0, 9))).frame
    elif kind == "fragment" and v4:
        offset, protocol = draw(st.sampled_from([0, 8, 16, 65_528])), draw(st.sampled_from([1, 6, 17]))
        frame = fragment_of(source, target, protocol, offset, draw(st.booleans()), bytes(draw(st.integers(0, 60))))
    else:
        frame = ip(source, target, draw(st.sampled_from([1, 58, 47, 0, 255])), draw(st.binary(max_size=12))).frame
    changed = bytearray(frame)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 4]))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed[: draw(st.sampled_from([len(changed), len(changed), len(changed) // 2]))])


steps = st.sampled_from([0, 1000, 10**6, 10**8, 3 * 10**9, 11 * 10**9, 130 * 10**9, -(10**9)])


@examples(150)
@given(st.lists(st.tuples(frames(), steps), min_size=1, max_size=80), st.integers(1, 40), st.sampled_from([2, 64]))
def test_any_frames_give_rows_within_their_limits_that_do_not_depend_on_blocks(events, size, capacity):
    stamps = (EPOCH_NS + np.cumsum([step for _, step in events])).tolist()
    packets = [frame for frame, _ in events]
    whole = Meter(capacity)
    expected = Connections().columns(concatenate([whole.feed(block_of(packets, stamps)), whole.drain()]))
    pieces, connections, parts = Meter(capacity), Connections(), []
    for i in range(0, len(packets), size):
        parts.append(connections.columns(pieces.feed(block_of(packets[i : i + size], stamps[i : i + size]))))
    parts.append(connections.columns(pieces.drain()))
    assert np.array_equal(np.concatenate(parts), expected)
    for column, values in zip(COLUMNS, expected.T, strict=True):
        lowest, highest = LIMITS.get(column.name, (0, 1 if column.kind in ("truth", "share") else 2**40))
        assert lowest <= values.min(initial=lowest), column.name
        assert values.max(initial=highest) <= highest, column.name
        assert np.array_equal(values, np.rint(values)) or column.kind == "share", column.name


def test_a_batch_without_records_has_no_rows():
    assert Connections().columns(Meter(8).drain()).shape == (0, len(COLUMNS))


def test_a_syn_flood_and_a_port_sweep_look_as_in_the_data():
    flood = [tcp(f"10.1.{i >> 8}.{i & 255}:1000", "10.0.0.2:80", "S", at=i / 1000) for i in range(2000)]
    sweep = []
    for port in range(1, 400):
        at = 30 + port / 500
        sweep += [tcp("10.0.0.9:999", f"10.0.0.3:{port}", "S", at=at)]
        sweep += [tcp(f"10.0.0.3:{port}", "10.0.0.9:999", "RA", at=at + 0.0005)]
    meter = Meter(4096, news_only=True)
    packets = [*flood, *sweep]
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    rows = Connections().columns(concatenate([meter.feed(block), meter.drain()]))
    names = [column.name for column in COLUMNS]
    flag = rows[:, names.index("flag")]
    flooded, swept = (dict(zip(names, rows[flag == FLAGS.index(f)][-1], strict=True)) for f in ("S0", "REJ"))
    assert [flooded[name] for name in ("count", "srv_count", "serror_rate", "same_srv_rate")] == [511, 511, 1, 1]
    assert [flooded[name] for name in ("dst_host_count", "dst_host_srv_count", "dst_host_serror_rate")] == [255, 255, 1]
    assert [swept[name] for name in ("count", "srv_count", "rerror_rate", "diff_srv_rate")] == [399, 1, 1, 1]
    shares = ("dst_host_diff_srv_rate", "dst_host_same_src_port_rate", "dst_host_rerror_rate", "dst_host_srv_count")
    assert [swept[name] for name in shares] == [1, 1, 1, 1]
