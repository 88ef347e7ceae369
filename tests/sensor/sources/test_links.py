"""Messages about interfaces become one event for each change."""

from hypothesis import example, given
from hypothesis import strategies as st

from sensor.progress.progress import InterfaceState
from sensor.sources.live.links import SETTLING_NS, WatchedLinks
from sensor.sources.live.rtnetlink import IFF_LOWER_UP, IFF_UP, Link, LinkChange, LinkDump, LinkRemoved

ETHERNET, PPP = 1, 512
UP, NO_CARRIER, DOWN = IFF_UP | IFF_LOWER_UP, IFF_UP, 0


def link(index: int = 2, name: str = "eth0", flags: int = UP, hardware: int = ETHERNET) -> Link:
    return Link(index, name, flags, hardware)


class Watched:
    """Interfaces that are watched, and a clock that goes on with each message."""

    def __init__(self, *links: Link) -> None:
        self.watched = WatchedLinks([each.name for each in links], links, {ETHERNET})
        self.now_ns = 0

    def report(self, *changes: LinkChange, after_ns: int = SETTLING_NS // 10) -> list[tuple[str | None, str]]:
        self.now_ns += after_ns
        self.watched.handle(changes, self.now_ns, 10**18 + self.now_ns)
        return [(event.interface, event.action) for event in self.watched.events()]

    def later(self) -> list[tuple[str | None, str]]:
        return self.report(after_ns=SETTLING_NS)


def test_down_and_up_are_one_event_each() -> None:
    watch = Watched(link())
    assert watch.report(link(flags=DOWN)) + watch.later() == [("eth0", "down")]
    assert watch.watched.states == (InterfaceState("eth0", False),)
    assert watch.report(link(flags=NO_CARRIER)) + watch.later() == []
    assert watch.report(link()) + watch.report(link()) + watch.later() == [("eth0", "up")]


def test_a_quick_flap_tells_both_in_order() -> None:
    watch = Watched(link())
    assert watch.report(link(flags=DOWN), link(), link(flags=DOWN), link()) == [
        ("eth0", "down"),
        ("eth0", "up"),
        ("eth0", "down"),
        ("eth0", "up"),
    ]
    assert watch.later() == []


def test_a_removal_that_first_goes_down_is_one_event() -> None:
    watch = Watched(link())
    assert watch.report(link(flags=DOWN)) == []
    assert watch.report(LinkRemoved(2)) + watch.later() == [("eth0", "removed")]
    assert watch.watched.readable == ((0, ETHERNET),)


def test_one_that_was_down_for_long_is_removed_by_an_event_of_its_own() -> None:
    watch = Watched(link())
    assert watch.report(link(flags=DOWN)) + watch.later() + watch.report(LinkRemoved(2)) == [
        ("eth0", "down"),
        ("eth0", "removed"),
    ]


def test_one_that_returns_and_is_set_up_is_one_event() -> None:
    watch = Watched(link())
    watch.report(LinkRemoved(2))
    assert watch.report(link(index=9, flags=DOWN)) == []
    assert watch.watched.readable == ((9, ETHERNET),)
    assert watch.report(link(index=9)) + watch.later() == [("eth0", "recreated")]


def test_one_that_returns_and_stays_down_says_so_and_later_that_it_is_up() -> None:
    watch = Watched(link())
    watch.report(LinkRemoved(2))
    watch.report(link(index=9, flags=DOWN))
    assert watch.later() == [("eth0", "recreated")]
    assert watch.report(link(index=9)) == [("eth0", "up")]


def test_a_renamed_one_is_followed_and_waited_for_under_either_name() -> None:
    for returning in ("eth0", "lan0"):
        watch = Watched(link())
        assert watch.report(link(name="lan0")) == [("lan0", "renamed")]
        assert watch.report(link(index=5, name="eth0")) == []  # another one may take the old name
        assert watch.report(LinkRemoved(2)) == [("lan0", "removed")]
        assert watch.report(link(index=9, name=returning)) == [(returning, "recreated")]


def test_others_are_nobodys_business() -> None:
    watch = Watched(link(), link(3, "eth1"))
    assert watch.report(link(7, "eth7"), link(7, "eth7", DOWN), LinkRemoved(7)) + watch.later() == []
    assert watch.report(LinkRemoved(3)) == [("eth1", "removed")]
    assert watch.watched.readable == ((2, ETHERNET), (0, ETHERNET))


def test_unknown_hardware_is_left_out_until_it_changes_back() -> None:
    watch = Watched(link())
    watch.report(LinkRemoved(2))
    assert watch.report(link(index=9, hardware=PPP)) == [("eth0", "left-out")]
    assert watch.report(link(index=9, hardware=PPP, flags=DOWN), link(index=9, hardware=PPP)) + watch.later() == []
    assert (watch.watched.readable, watch.watched.states) == (((0, PPP),), (InterfaceState("eth0", False),))
    watch.report(LinkRemoved(9))
    assert watch.report(link(index=10)) == [("eth0", "recreated")]


def test_a_listing_makes_up_for_lost_news() -> None:
    watch = Watched(link(), link(3, "eth1"), link(4, "eth2"))
    listing = LinkDump((link(9), link(3, "lan1"), link(4, "eth2", DOWN)))
    assert watch.report(listing) + watch.later() == [
        ("eth0", "removed"),
        ("eth0", "recreated"),
        ("lan1", "renamed"),
        ("eth2", "down"),
    ]
    assert watch.report(listing) == []


links_any = st.builds(
    link,
    index=st.integers(1, 4),
    name=st.sampled_from(["eth0", "eth1", "lan0"]),
    flags=st.sampled_from([UP, NO_CARRIER, DOWN]),
    hardware=st.sampled_from([ETHERNET, PPP]),
)
changes_any = (
    links_any | st.builds(LinkRemoved, st.integers(0, 4)) | st.builds(LinkDump, st.lists(links_any).map(tuple))
)


@given(st.lists(changes_any, max_size=30))
@example([link(1, hardware=PPP), link(1)])
def test_whatever_is_told_no_index_is_followed_twice_and_every_change_has_an_event(changes: list[LinkChange]) -> None:
    watch = Watched(link(1), link(2, "eth1"))
    for item in changes:
        before = watch.watched.states
        events = watch.report(item) + watch.later()
        followed = [index for index, _ in watch.watched.readable if index]
        assert len(followed) == len(set(followed))
        if watch.watched.states != before:
            assert events
