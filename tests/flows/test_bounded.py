"""Bounds that hold whatever an adversary sends: bytes per flow, a SYN flood, colliding keys, stamps of any year."""

import time

import numpy as np
import pytest

from flows.batch import END_REASON, IDLE_TIMEOUT
from flows.block import block_of
from flows.layout import P_A_HIGH, P_A_LOW, P_B_HIGH, P_B_LOW, P_PORTS, PACKET_FIELDS
from flows.meter import COMPATIBLE, Meter, concatenate
from flows.table import hash_key
from kernels.jit import U, entry
from tests.bench.bounded import SESSIONS, TABLE, flood, resident
from tests.support.packets import EPOCH_NS, block, udp

DAY_NS = 86_400 * 10**9
LATEST_NS = 2**62 - 1


def bytes_held(meter):
    return sum(held.nbytes for held in vars(meter).values() if isinstance(held, np.ndarray))


@pytest.mark.parametrize("compat", [None, *COMPATIBLE])
@pytest.mark.parametrize("capacity", [1 << 16, (1 << 16) + 1, 100_000])
def test_a_flow_costs_at_most_a_kilobyte(capacity, compat):
    # what does not grow with the table is the same for both; just over a power of two, slots are most generous
    once, twice = (bytes_held(Meter(flows, compat=compat)) for flows in (capacity, 2 * capacity))
    per_flow = (twice - once) / capacity
    assert 500 < per_flow <= 1000


def test_what_does_not_grow_with_the_table_is_small():
    assert bytes_held(Meter(1)) < 8 << 20


@pytest.mark.parametrize("answered", [False, True])
def test_a_flood_leaves_the_sessions_alone_and_memory_flat(answered):
    flood(100_000, answered=answered)  # touches the memory once
    before = resident()
    result = flood(1_000_000, answered=answered)
    assert result.survived >= 0.99 * SESSIONS
    assert result.evicted_sessions <= 0.01 * SESSIONS
    assert result.reported == result.stats.evicted == 1_000_000 + SESSIONS - TABLE
    assert result.memory[1] - result.memory[0] < 8 << 20
    assert resident() - before < 32 << 20


FLOWS, SLOT_BITS = 1 << 16, 17
PORTS = 4 << 40 | 6 << 32 | 443 << 16 | 1024
number = np.arange(FLOWS)


def keys_of(**words):
    """(FLOWS, PACKET_FIELDS) key words, those not named as in an ordinary flow."""
    rows = np.zeros((FLOWS, PACKET_FIELDS), dtype=np.int64)
    rows[:, P_B_LOW], rows[:, P_PORTS] = 0xC0000201, PORTS
    for name, values in words.items():
        rows[
            :, {"a_high": P_A_HIGH, "a_low": P_A_LOW, "b_high": P_B_HIGH, "b_low": P_B_LOW, "ports": P_PORTS}[name]
        ] = values
    return rows


def random_keys():
    rng = np.random.default_rng(3)
    return keys_of(a_low=rng.integers(0, 1 << 32, FLOWS), ports=PORTS + rng.integers(0, 1 << 16, FLOWS))


# Each of 65,536 distinct keys that whoever knows the code, but not the random keys, might try.
CRAFTED = {
    "consecutive addresses": keys_of(a_low=number + 0x0A000000),
    "addresses equal in their low 16 bits": keys_of(a_low=number << 16),
    "consecutive ports": keys_of(ports=PORTS + number),
    "a grid of high octets": keys_of(a_low=(number & 255) << 24, b_low=(number >> 8) << 24),
    "a grid of low octets": keys_of(a_low=number & 255, b_low=number >> 8),
    "both halves of an IPv6 word alike": keys_of(a_low=number << 32 | number, a_high=0x20010DB8 << 32),
    "halves of an IPv6 word that add up to the same": keys_of(a_low=number << 32 | (FLOWS - number)),
    "IPv6 words that cancel out": keys_of(a_low=number << 47, b_low=(FLOWS - number) << 47),
    "multiples of 2**47": keys_of(a_high=number << 47),
    "two bits of each of eight half words": keys_of(
        **{
            name: ((number >> (4 * w)) & 3) << 30 | ((number >> (4 * w + 2)) & 3) << 62
            for w, name in enumerate(("a_high", "a_low", "b_high", "b_low"))
        }
    ),
    "multiples of the golden ratio": keys_of(
        a_low=(number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    ),
}
KEY_DRAWS = 20


@entry
def hash_all(fields, keys, hashed):
    """Hash of each row of fields into hashed."""
    for row in range(len(hashed)):
        hashed[U(row)] = hash_key(fields, row * PACKET_FIELDS, keys)


def mean_probes(rows):
    """Of each draw of random keys: probes to find a flow, and to find that it is not there."""
    hashed = np.zeros(FLOWS, dtype=np.int64)
    draws = []
    for _ in range(KEY_DRAWS):
        hash_all(rows.reshape(-1), Meter(1)._keys, hashed)
        draws.append(probes(hashed))
    return np.array(draws)


def probes(hashed):
    """Mean slots looked at to find a flow and to find that one is not there, in a table half full."""
    slots = 1 << SLOT_BITS
    at_home = np.bincount(hashed & (slots - 1), minlength=slots)
    # how many entries each slot hands on to the next, going round twice as runs may wrap
    balance = np.cumsum(np.concatenate([at_home, at_home]) - 1)
    handed_on = (balance - np.minimum.accumulate(np.minimum(balance, 0)))[slots:]
    found = 1 + handed_on.sum() / len(hashed)
    taken = (at_home + np.roll(handed_on, 1)) > 0
    return found, steps_to_empty(taken)


def steps_to_empty(taken):
    """Mean slots looked at from a random one on to the first that is empty."""
    empty = np.flatnonzero(~taken)
    gaps = np.diff(np.append(empty, empty[0] + len(taken)))
    return float((gaps * (gaps + 1) / 2).sum() / len(taken))


@pytest.fixture(scope="module")
def random_cost():
    return mean_probes(random_keys()).mean(axis=0)


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_keys_cost_at_most_twice_random_ones_under_any_drawn_keys(name, random_cost):
    assert (mean_probes(CRAFTED[name]).max(axis=0) <= 2 * random_cost).all()


def test_the_table_of_a_running_meter_is_as_the_count_of_probes_says():
    meter = Meter(FLOWS)
    packets = [udp(f"10.{i >> 14}.{i >> 6 & 255}.{i & 63}:53", "192.0.2.1:53") for i in range(4096)]
    meter.feed(block(packets))
    slots, mask = meter._slots, len(meter._slots) - 1
    taken = np.flatnonzero(slots)
    home = (slots[taken] >> 32) & mask
    assert len(taken) == len(packets)
    assert np.mean((taken - home) & mask) < 0.1  # a table filled to 3 %


ERAS = {
    "1970": [0], "2106": [(2**32 - 1) * 10**9], "2116": [LATEST_NS], "1970 and 2116": [0, LATEST_NS],
    "days forward and back": [EPOCH_NS, EPOCH_NS + 5 * DAY_NS, EPOCH_NS - 3 * DAY_NS, EPOCH_NS + 400 * DAY_NS],
    "beyond what 64 bits hold": [0, LATEST_NS, 2**63 - 1, -(2**63)],
}  # fmt: skip


@pytest.mark.parametrize("eras", ERAS.values(), ids=ERAS)
def test_whatever_year_stamps_claim_flows_still_end_by_silence(eras):
    meter, frames, stamps = Meter(4096), [], []
    for turn in range(60):
        start = eras[turn % len(eras)]
        for i in range(50):
            frames.append(udp(f"10.1.{turn}.{i}:53", "192.0.2.1:53").frame)
            stamps.append(min(max(start + turn * 10**9 + i * 10**6, -(2**63)), 2**63 - 1))
    began = time.process_time()
    first = meter.feed(block_of(frames, stamps))
    # the source's clock is right again: after some silence nothing of before may be left
    right = [EPOCH_NS + 450 * DAY_NS + i * 10**9 for i in range(300)]
    later = [udp("10.2.0.1:53", "192.0.2.1:53").frame] * len(right)
    batch = concatenate([first, meter.feed(block_of(later, right))])
    assert time.process_time() - began < 2.0  # a loop over the ticks of a century takes a minute
    ended_by_silence = batch.identity[:, END_REASON] == IDLE_TIMEOUT
    assert ended_by_silence.sum() >= 3000
    assert meter.stats.flows == 1
    assert batch.column("flow_duration").min() >= 0
    assert bytes_held(meter) == bytes_held(Meter(4096))
