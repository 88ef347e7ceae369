"""What news of the kernel mean for the interfaces that are watched: one event for each change.

Knows no socket and no clock. An interface is followed by its index, whatever it is called; when it was removed, the
next one under its name takes its place. It counts as up when it was set up and has a carrier: else no packet comes.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sensor.progress.progress import InterfaceState
from sensor.sources.capture import LinkEvent
from sensor.sources.live.rtnetlink import Gone, Link, Listing, News

# An interface that is removed first goes down, and one that was made is set up a little later: one change for people.
SETTLING_NS: Final = 500_000_000
ABSENT: Final = 0  # no interface has this index


@dataclass(slots=True)
class WatchedLink:
    """An interface that is watched. asked_for: its first name. held: an event that may turn out to be another one."""

    asked_for: str
    name: str
    index: int
    hardware: int
    known: bool  # frames of its hardware type can be read
    up: bool
    held: LinkEvent | None = None
    held_at_ns: int = 0


class WatchedLinks:
    """State of the interfaces that are watched, and the events since `events` was called last."""

    def __init__(self, asked_for: Sequence[str], links: Sequence[Link], known_hardware: Container[int]) -> None:
        """links: the interfaces as they are, one for each name."""
        self._known = known_hardware
        self._links = [
            WatchedLink(name, link.name, link.index, link.hardware, link.hardware in known_hardware, link.up)
            for name, link in zip(asked_for, links, strict=True)
        ]
        self._events: list[LinkEvent] = []

    @property
    def states(self) -> tuple[InterfaceState, ...]:
        """Name and state of each interface."""
        return tuple(InterfaceState(link.name, link.up and link.known) for link in self._links)

    @property
    def readable(self) -> tuple[tuple[int, int], ...]:
        """(index, hardware type) of each interface; index 0 of one that is absent or of an unknown type."""
        return tuple((link.index if link.known else ABSENT, link.hardware) for link in self._links)

    def events(self) -> list[LinkEvent]:
        """Take what happened."""
        events, self._events = self._events, []
        return events

    def take(self, news: Iterable[News], now_ns: int, time_ns: int) -> None:
        """Take in news. now_ns: a clock that never steps; time_ns: the wall clock, for the events."""
        for told in news:
            if isinstance(told, Listing):
                self._compare(told, now_ns, time_ns)
            elif isinstance(told, Gone):
                self._remove(told.index, time_ns)
            else:
                self._change(told, now_ns, time_ns)
        for link in self._links:
            if link.held and now_ns - link.held_at_ns >= SETTLING_NS:
                self._release(link)

    def _compare(self, listing: Listing, now_ns: int, time_ns: int) -> None:
        present = {link.index for link in listing.links}
        for link in self._links:
            if link.index not in present:
                self._remove(link.index, time_ns)
        for told in listing.links:
            self._change(told, now_ns, time_ns)

    def _remove(self, index: int, time_ns: int) -> None:
        for link in self._links:
            if index != ABSENT and link.index == index:
                if link.held and link.held.action == "down":
                    link.held = None
                self._release(link)
                link.index, link.up = ABSENT, False
                self._tell(
                    link, "removed", f"{link.name}: the interface was removed; waiting for it to return", time_ns
                )

    def _change(self, told: Link, now_ns: int, time_ns: int) -> None:
        for link in self._links:
            if link.index == told.index:
                self._follow(link, told, now_ns, time_ns)
                return
        for link in self._links:
            if link.index == ABSENT and told.name in (link.name, link.asked_for):
                self._adopt(link, told, now_ns, time_ns)
                return

    def _adopt(self, link: WatchedLink, told: Link, now_ns: int, time_ns: int) -> None:
        """Let an interface take the place of the one that was removed."""
        link.index, link.name, link.up = told.index, told.name, told.up
        link.hardware, link.known = told.hardware, told.hardware in self._known
        if not link.known:
            self._tell_unknown(link, time_ns)
        elif link.up:
            self._tell(link, "recreated", f"{link.name}: the interface is there again: capture goes on", time_ns)
        else:
            message = f"{link.name}: the interface is there again, and down"
            self._hold(link, "recreated", message, now_ns, time_ns)

    def _follow(self, link: WatchedLink, told: Link, now_ns: int, time_ns: int) -> None:
        if told.name != link.name:
            self._release(link)
            before, link.name = link.name, told.name
            self._tell(link, "renamed", f"{before}: the interface is now called {link.name}", time_ns)
        if told.hardware != link.hardware:
            link.hardware, link.known = told.hardware, told.hardware in self._known
            if not link.known:
                self._tell_unknown(link, time_ns)
        if told.up == link.up:
            return
        link.up = told.up
        if not link.known:
            return
        if not link.up:
            self._hold(link, "down", f"{link.name}: the interface is down; waiting for it", now_ns, time_ns)
        elif link.held and link.held.action == "recreated":
            link.held = None
            self._tell(link, "recreated", f"{link.name}: the interface is there again: capture goes on", time_ns)
        else:
            self._release(link)
            self._tell(link, "up", f"{link.name}: the interface is up: capture goes on", time_ns)

    def _tell_unknown(self, link: WatchedLink, time_ns: int) -> None:
        message = f"{link.name}: now an interface of hardware type {link.hardware}, which cannot be read: left out"
        self._tell(link, "left-out", message, time_ns)

    def _tell(self, link: WatchedLink, action: str, message: str, time_ns: int) -> None:
        self._events.append(LinkEvent(link.name, action, message, time_ns))

    def _hold(self, link: WatchedLink, action: str, message: str, now_ns: int, time_ns: int) -> None:
        self._release(link)
        link.held, link.held_at_ns = LinkEvent(link.name, action, message, time_ns), now_ns

    def _release(self, link: WatchedLink) -> None:
        if link.held:
            self._events.append(link.held)
            link.held = None
