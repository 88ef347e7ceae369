"""The store of names and hellos: bounded, newest kept, by time, whatever portions things come in."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import DST_LOW, DST_PORT, IDENTITY_WIDTH, IP_VERSION, SRC_LOW
from flows.block import Int64s
from flows.names.layout import (
    ASKED,
    HELLO_HEAD,
    HELLO_OF_FLOW,
    NAME_BYTES,
    REVERSE,
    S_A_HIGH,
    S_A_LOW,
    S_B_LOW,
    S_DIGEST,
    S_FROM,
    S_KIND,
    S_LENGTH,
    S_PORTS,
    S_STAMP_NS,
    S_TIME_NS,
    SIGHTING_WORDS,
)
from flows.names.reading import Sightings, joined
from flows.names.store import MOVES, NAMED_NS, NAMES, SeenName, SightingStore, in_order
from flows.names.text import digest_of
from tests.support.examples import examples

ADDRESSES, FLOWS = 3, 2


def sighting(time_ns: int, address: int, text: bytes, kind: int = ASKED, asker: int = 9) -> Sightings:
    words = np.zeros((1, SIGHTING_WORDS), dtype=np.int64)
    words[0, [S_TIME_NS, S_STAMP_NS, S_KIND, S_A_LOW, S_B_LOW]] = time_ns, time_ns + 5, kind, address, asker
    words[0, [S_PORTS, S_FROM, S_LENGTH]] = 4 << 40 | 4, 0, len(text)
    content = np.frombuffer(bytearray(text), dtype=np.uint8)
    with np.errstate(over="ignore"):
        words[0, S_DIGEST] = digest_of(content, 0, len(text))
    return Sightings(words, content)


def record(source: int, destination: int = 0, destination_port: int = 0) -> Int64s:
    words = np.zeros(IDENTITY_WIDTH, dtype=np.int64)
    words[[IP_VERSION, SRC_LOW, DST_LOW, DST_PORT]] = 4, source, destination, destination_port
    return words


def names_of(store: SightingStore, address: int, now_ns: int = 1000) -> list[SeenName]:
    known = store.known(record(address), now_ns)
    return [] if known is None or known.source is None else known.source.told()


def names(store: SightingStore, address: int, now_ns: int = 1000) -> list[str]:
    return [seen.name for seen in names_of(store, address, now_ns)]


def test_the_latest_names_are_kept_and_told_the_latest_first() -> None:
    store = SightingStore(ADDRESSES, FLOWS)
    store.add(joined([sighting(at, 1, f"n{at}.example".encode()) for at in range(1, NAMES + 3)]))
    store.take_until(20)
    assert names(store, 1) == ["n4.example", "n3.example"]
    store.add(sighting(50, 1, b"n3.example", asker=8))
    store.take_until(100)
    newest = names_of(store, 1)[0]
    assert names(store, 1) == ["n3.example", "n4.example"]
    assert (newest.seen_ns, newest.asker, newest.reverse) == (55, (4, 0, 8), False)


def test_a_name_asked_for_and_one_of_a_reverse_lookup_are_two() -> None:
    store = SightingStore(ADDRESSES, FLOWS)
    store.add(joined([sighting(1, 1, b"a.example"), sighting(2, 1, b"a.example", REVERSE)]))
    store.take_until(100)
    assert [(seen.name, seen.reverse) for seen in names_of(store, 1, 3)] == [
        ("a.example", True),
        ("a.example", False),
    ]


def test_a_name_is_told_for_a_day() -> None:
    store = SightingStore(ADDRESSES, FLOWS)
    store.add(sighting(1, 1, b"a.example"))
    store.take_until(2)
    assert names(store, 1, NAMED_NS) == ["a.example"]
    assert names(store, 1, NAMED_NS + 1) == []


def test_what_was_not_seen_for_longest_gives_way_and_is_counted_where_it_was_of_use() -> None:
    store = SightingStore(ADDRESSES, FLOWS)
    store.add(joined([sighting(at, at, b"a.example") for at in (1, 2, 3)] + [sighting(4, 1, b"b.example")]))
    store.add(sighting(5, 7, b"c.example"))
    store.take_until(100)
    assert (names(store, 2), names(store, 1), names(store, 7)) == ([], ["b.example", "a.example"], ["c.example"])
    assert store.evicted == {"names": 1, "hellos": 0}
    store.add(sighting(5 + NAMED_NS, 8, b"d.example"))
    store.take_until(6 + NAMED_NS)
    assert store.evicted == {"names": 1, "hellos": 0}  # a day later it was of no use


def test_the_latest_hello_of_a_flow_is_told() -> None:
    store = SightingStore(ADDRESSES, FLOWS)
    kept = bytes(HELLO_HEAD) + b"www.example.org"
    store.add(joined([sighting(at, at, kept, HELLO_OF_FLOW, asker=90) for at in (10, 20, 30)]))
    store.take_until(100)
    known = store.known(record(20, 90, 4), 100)
    assert known is not None
    assert known.hello is not None
    assert (known.source, known.hello.seen_ns) == (None, 20)
    assert (known.hello.told().server_name, known.hello.told().ja4) == ("www.example.org", None)
    assert store.known(record(10, 90, 4), 100) is None  # gave way
    assert store.evicted == {"names": 0, "hellos": 1}


def test_few_names_wait_where_time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.names.store.WAITING", 4)
    store = SightingStore(ADDRESSES, FLOWS)
    for number in range(20):
        store.add(sighting(7, 1, f"n{number}.example".encode()))
        assert store.waiting <= 4


class PlainStore:
    """The same, plainly."""

    def __init__(self) -> None:
        self.of: OrderedDict[int, dict[tuple[int, bytes], tuple[int, int]]] = OrderedDict()

    def take(self, time_ns: int, address: int, text: bytes, kind: int, asker: int) -> None:
        if address not in self.of and len(self.of) == ADDRESSES:
            self.of.popitem(last=False)
        held = self.of.setdefault(address, {})
        self.of.move_to_end(address)
        if (kind, text) not in held and len(held) == NAMES:
            del held[min(held, key=lambda each: held[each][0])]
        held[kind, text] = time_ns, asker

    def told(self, address: int) -> set[tuple[str, bool, int, int]]:
        return {
            (text.decode(), kind == REVERSE, time_ns + 5, asker)
            for (kind, text), (time_ns, asker) in self.of.get(address, {}).items()
        }


SEEN = st.tuples(
    st.integers(1, 5), st.sampled_from([b"a", b"b", b"cc", b"dd", b"e" * NAME_BYTES, b"f"]), st.integers(0, 1)
)


@examples(150)
@given(st.lists(SEEN, max_size=40), st.data())
def test_what_is_kept_is_what_a_plain_store_keeps_however_it_is_cut(
    seen: list[tuple[int, bytes, int]], data: st.DataObject
) -> None:
    store, plain = SightingStore(ADDRESSES, FLOWS, seed=data.draw(st.integers(0, 9))), PlainStore()
    waiting: list[Sightings] = []
    until = data.draw(st.integers(0, len(seen) + 1))
    for time_ns, (address, text, kind) in enumerate(seen, 1):
        waiting.append(sighting(time_ns, address, text, kind, asker=time_ns))
        if data.draw(st.booleans()):
            store.add(joined(waiting))
            waiting = []
        if data.draw(st.booleans()):
            store.take_until(min(until, time_ns))
        if time_ns < until:
            plain.take(time_ns, address, text, kind, time_ns)
    store.add(joined(waiting))
    store.take_until(until)
    for address in range(1, 6):
        found = names_of(store, address)
        assert {(each.name, each.reverse, each.seen_ns, each.asker[2]) for each in found} == plain.told(address)


@given(st.permutations([(1, 1, b"a"), (1, 2, b"a"), (1, 3, b"a"), (1, 4, b"a"), (1, 1, b"b"), (1, 1, b"c")]))
def test_those_of_one_moment_come_in_one_order(seen: list[tuple[int, int, bytes]]) -> None:
    def kept(order: list[tuple[int, int, bytes]]) -> list[list[str]]:
        store = SightingStore(ADDRESSES, FLOWS)
        store.add(joined([sighting(*each) for each in order]))
        store.take_until(2)
        return [names(store, address) for address in range(1, 5)]

    assert kept(seen) == kept(sorted(seen))


def test_what_stays_waiting_takes_no_more_room_however_often_more_comes() -> None:
    """The last one of each turn waits, as where an answer is the last packet of a block."""
    store, text = SightingStore(ADDRESSES, FLOWS), b"x" * NAME_BYTES
    sizes = []
    for turn in range(1, 30):
        store.add(joined([sighting(turn * 100 + n, 1, text) for n in range(50)]))
        store.take_until(turn * 100 + 49)
        sizes.append(store.waiting_bytes)
    assert store.waiting == 1
    assert sizes[-1] == sizes[1]


@examples(60)
@given(st.lists(st.lists(st.integers(0, 3), min_size=12, max_size=12), max_size=40), st.booleans())
def test_sightings_are_put_in_order_by_their_words_alone(rows: list[list[int]], many: bool) -> None:
    words = np.array(rows * (MOVES if many else 1), dtype=np.int64).reshape(-1, 12)
    words = np.hstack([words, np.zeros((len(words), SIGHTING_WORDS - 12), dtype=np.int64)])
    shown = [S_TIME_NS, S_STAMP_NS, S_KIND, *range(S_A_HIGH, S_FROM), S_LENGTH, S_DIGEST]
    found = words[in_order(words)][:, shown].tolist()
    assert found == sorted(words[:, shown].tolist())
