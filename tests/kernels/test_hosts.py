from collections import OrderedDict

import numpy as np
import pytest

from kernels import hosts
from kernels.hosts import ABSENT, host_table
from kernels.jit import entry

find, admit, touch = entry(hosts.find), entry(hosts.admit), entry(hosts.touch)  # compiled, as their callers have them


def replay(capacity: int, seed: int, events: list[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """Rows given to each event, and the hosts left at the end, in table rows."""
    table = host_table(capacity, seed)
    rows = []
    with np.errstate(over="ignore"):
        for high, low in events:
            row = find(np.int64(high), np.int64(low), table.slots, table.keys, table.seed)
            if row == ABSENT:
                row = admit(np.int64(high), np.int64(low), table.slots, table.keys, table.links, table.ends, table.seed)
            else:
                touch(row, table.links, table.ends)
            rows.append(int(row))
    return rows, [(int(high), int(low)) for high, low in table.keys[: table.ends[2]]]


def events(count: int, number: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(4)
    popular = rng.zipf(1.3, count) % number
    return [(-(h % 3) - 1, (h - 5) << 40) for h in popular.tolist()]


def expected(capacity: int, sequence: list[tuple[int, int]]) -> tuple[list[int], set[tuple[int, int]]]:
    """Plain twin: a dictionary in order of use."""
    known: OrderedDict[tuple[int, int], int] = OrderedDict()
    rows = []
    for host in sequence:
        if host in known:
            known.move_to_end(host)
        else:
            known[host] = known.popitem(last=False)[1] if len(known) == capacity else len(known)
        rows.append(known[host])
    return rows, set(known)


@pytest.mark.parametrize("capacity", [1, 2, 3, 17, 64])
def test_the_table_is_a_strict_lru(capacity: int):
    sequence = events(3000, 150)
    rows, left = replay(capacity, seed=99, events=sequence)
    assert (rows, set(left)) == expected(capacity, sequence)


@pytest.mark.parametrize("seed", [0, 1, (1 << 128) - 1, 0xDEADBEEF << 64])
def test_the_seed_changes_nothing_that_is_seen(seed: int):
    sequence = events(3000, 150)
    assert replay(40, seed, sequence) == replay(40, 12345, sequence)


def test_the_seed_moves_the_hosts_about():
    tables = [host_table(16, seed) for seed in (1, 2)]
    with np.errstate(over="ignore"):
        for table in tables:
            for low in range(16):
                admit(np.int64(0), np.int64(low), table.slots, table.keys, table.links, table.ends, table.seed)
    assert not np.array_equal(tables[0].slots, tables[1].slots)


def test_a_cleared_table_knows_nobody():
    table = host_table(4, 7)
    with np.errstate(over="ignore"):
        admit(np.int64(1), np.int64(2), table.slots, table.keys, table.links, table.ends, table.seed)
        table.clear()
        assert find(np.int64(1), np.int64(2), table.slots, table.keys, table.seed) == ABSENT


@pytest.mark.parametrize("capacity", [0, -1, (1 << 24) + 1])
def test_a_capacity_out_of_range_is_refused(capacity: int):
    with pytest.raises(ValueError, match="host capacity"):
        host_table(capacity, 0)
