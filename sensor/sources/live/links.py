"""State of the watched interfaces, by changes that the kernel reports: one event for each change.

It knows no socket and no clock. An interface is followed by its index, whatever its name; after its removal the next
one of that name replaces it. It counts as up while it is administratively up and has a carrier: else no packet comes.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sensor.progress.progress import InterfaceState
from sensor.sources.capture import LinkEvent
from sensor.sources.live.rtnetlink import Link, LinkChange, LinkDump, LinkRemoved

# Before its removal an interface goes down, and after its creation it comes up a little later: one event for both.
SETTLING_NS: Final = 500_000_000
ABSENT: Final = 0  # no interface has this index


@dataclass(slots=True)
class WatchedLink:
    """State of one watched interface."""

    requested: str  # the name that was asked for
    name: str  # at present
    index: int  # ABSENT while there is none
    hardware: int  # ARPHRD_ number
    readable: bool  # frames of its hardware type can be read
    up: bool
    deferred: LinkEvent | None = None  # not reported yet, since a further change may replace it
    deferred_at_ns: int = 0


class WatchedLinks:
    """State of all watched interfaces, and their events since the last call of `events`."""

    def __init__(self, requested: Sequence[str], links: Sequence[Link], readable_hardware: Container[int]) -> None:
        """links: the interfaces as they are, one for each name."""
        self._readable_hardware = readable_hardware
        self._links = [
            WatchedLink(name, link.name, link.index, link.hardware, link.hardware in readable_hardware, link.up)
            for name, link in zip(requested, links, strict=True)
        ]
        self._events: list[LinkEvent] = []

    @property
    def states(self) -> tuple[InterfaceState, ...]:
        """Name and state of each interface."""
        return tuple(InterfaceState(link.name, link.up and link.readable) for link in self._links)

    @property
    def readable(self) -> tuple[tuple[int, int], ...]:
        """(index, hardware type) of each interface; index 0 of one that is absent or of an unknown type."""
        return tuple((link.index if link.readable else ABSENT, link.hardware) for link in self._links)

    def events(self) -> list[LinkEvent]:
        """Events since the last call."""
        events, self._events = self._events, []
        return events

    def handle(self, changes: Iterable[LinkChange], now_ns: int, time_ns: int) -> None:
        """Apply changes. now_ns: monotonic clock; time_ns: wall clock, for the events."""
        for change in changes:
            if isinstance(change, LinkDump):
                self._compare(change, now_ns, time_ns)
            elif isinstance(change, LinkRemoved):
                self._remove(change.index, time_ns)
            else:
                self._change(change, now_ns, time_ns)
        for link in self._links:
            if link.deferred and now_ns - link.deferred_at_ns >= SETTLING_NS:
                self._release(link)

    def _compare(self, dump: LinkDump, now_ns: int, time_ns: int) -> None:
        present = {link.index for link in dump.links}
        for link in self._links:
            if link.index not in present:
                self._remove(link.index, time_ns)
        for change in dump.links:
            self._change(change, now_ns, time_ns)

    def _remove(self, index: int, time_ns: int) -> None:
        for link in self._links:
            if index != ABSENT and link.index == index:
                if link.deferred and link.deferred.action == "down":
                    link.deferred = None
                self._release(link)
                link.index, link.up = ABSENT, False
                self._report(
                    link, "removed", f"{link.name}: the interface was removed; waiting for it to return", time_ns
                )

    def _change(self, change: Link, now_ns: int, time_ns: int) -> None:
        for link in self._links:
            if link.index == change.index:
                self._follow(link, change, now_ns, time_ns)
                return
        for link in self._links:
            if link.index == ABSENT and change.name in (link.name, link.requested):
                self._adopt(link, change, now_ns, time_ns)
                return

    def _adopt(self, link: WatchedLink, change: Link, now_ns: int, time_ns: int) -> None:
        """Replace a removed interface by a new one."""
        link.index, link.name, link.up = change.index, change.name, change.up
        link.hardware, link.readable = change.hardware, change.hardware in self._readable_hardware
        if not link.readable:
            self._report_unreadable(link, time_ns)
        elif link.up:
            self._report(link, "recreated", f"{link.name}: the interface is there again: capture goes on", time_ns)
        else:
            message = f"{link.name}: the interface is there again, and down"
            self._defer(link, "recreated", message, now_ns, time_ns)

    def _follow(self, link: WatchedLink, change: Link, now_ns: int, time_ns: int) -> None:
        if change.name != link.name:
            self._release(link)
            before, link.name = link.name, change.name
            self._report(link, "renamed", f"{before}: the interface is now called {link.name}", time_ns)
        if change.hardware != link.hardware:
            was_readable = link.readable
            link.hardware, link.readable = change.hardware, change.hardware in self._readable_hardware
            if not link.readable:
                self._report_unreadable(link, time_ns)
            elif not was_readable and link.up and change.up:
                self._report(link, "up", f"{link.name}: the interface is up: capture goes on", time_ns)
        if change.up == link.up:
            return
        link.up = change.up
        if not link.readable:
            return
        if not link.up:
            self._defer(link, "down", f"{link.name}: the interface is down; waiting for it", now_ns, time_ns)
        elif link.deferred and link.deferred.action == "recreated":
            link.deferred = None
            self._report(link, "recreated", f"{link.name}: the interface is there again: capture goes on", time_ns)
        else:
            self._release(link)
            self._report(link, "up", f"{link.name}: the interface is up: capture goes on", time_ns)

    def _report_unreadable(self, link: WatchedLink, time_ns: int) -> None:
        message = f"{link.name}: now an interface of hardware type {link.hardware}, which cannot be read: left out"
        self._report(link, "left-out", message, time_ns)

    def _report(self, link: WatchedLink, action: str, message: str, time_ns: int) -> None:
        self._events.append(LinkEvent(link.name, action, message, time_ns))

    def _defer(self, link: WatchedLink, action: str, message: str, now_ns: int, time_ns: int) -> None:
        self._release(link)
        link.deferred, link.deferred_at_ns = LinkEvent(link.name, action, message, time_ns), now_ns

    def _release(self, link: WatchedLink) -> None:
        if link.deferred:
            self._events.append(link.deferred)
            link.deferred = None
