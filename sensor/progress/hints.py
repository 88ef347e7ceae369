"""What a run's counts say about how it was run: one sentence a setting that would show more."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from sensor.progress.progress import Progress

# A share of packets that changes what is seen. A few tunnel packets stand in many captures (a host's own 6in4, a
# container network), and looking into them would make no difference.
_SHARE: Final = 0.01
_MANY_HALVES: Final = 0.25  # of flow records: a network that loses as much has other troubles
_FEWEST: Final = 10  # packets or records; fewer say nothing, whatever their share
_LATE_NS: Final = 10_000_000  # less is how cores that receive side by side pass each other, and blurs no gap


@dataclass(frozen=True, slots=True)
class Hint:
    """A sentence about a run, and the count that it rests on."""

    action: str  # what was counted, as the `event.action` of a line
    count: int
    message: str  # one sentence


def hints(progress: Progress) -> list[Hint]:
    """What stands out by now, most often nothing."""
    return [
        *_of_tunnels(progress),
        *_of_split_sessions(progress),
        *_of_halves(progress),
        *_of_late_packets(progress),
    ]


def since(progress: Progress, before: Progress) -> Progress:
    """What hints of shares look at, of the time after an earlier moment of the same run; all else is as it was."""
    return replace(
        progress,
        packets=progress.packets - before.packets,
        tunnelled=progress.tunnelled - before.tunnelled,
        late=progress.late - before.late,
        judged=progress.judged - before.judged,
        one_sided=progress.one_sided - before.one_sided,
        split_sessions=0,
    )


def _of_tunnels(progress: Progress) -> Iterable[Hint]:
    """Mirrored traffic comes in a tunnel: all of it looks like one flow from the outside."""
    if _is_worth_telling(progress.tunnelled, progress):
        share = _share(progress.tunnelled, progress.packets)
        message = f"{share} of the packets are a tunnel's (mirrored traffic?): --decap looks into them"
        yield Hint("packets-tunnelled", progress.tunnelled, message)


def _of_split_sessions(progress: Progress) -> Iterable[Hint]:
    """With tags in the key both halves of such a session look unanswered."""
    if count := progress.split_sessions:
        message = (
            f"{count:,} session{'s' * (count != 1)} seen with other VLAN tags, or none, on the way back, and metered "
            "as two flows each: meter.vlan_in_key: false makes them one"
        )
        yield Hint("sessions-split", count, message)


def _of_halves(progress: Progress) -> Iterable[Hint]:
    """A tap of one direction, or a sample of packets: what has no answer there says nothing."""
    if progress.one_sided >= max(_FEWEST, _MANY_HALVES * progress.judged):
        share = _share(progress.one_sided, progress.judged)
        message = (
            f"{share} of the flow records show one side of a conversation only (a tap of one direction, a sample of "
            "packets?): they are evidence of nothing, capture both directions whole"
        )
        yield Hint("flows-one-sided", progress.one_sided, message)


def _of_late_packets(progress: Progress) -> Iterable[Hint]:
    """Live packets are taken as they come: no clock but a card's own brings them in another order than that of time."""
    if progress.late_ns >= _LATE_NS and _is_worth_telling(progress.late, progress):
        message = (
            f"{_share(progress.late, progress.packets)} of the packets came after others stamped up to "
            f"{progress.late_ns / 1e9:,.2f} s later, which blurs the gaps between them: set the cards' clocks by the "
            "system's, or let the kernel stamp (capture.timestamps: kernel)"
        )
        yield Hint("packets-late", progress.late, message)


def _is_worth_telling(count: int, progress: Progress) -> bool:
    return count >= max(_FEWEST, _SHARE * progress.packets)


def _share(count: int, all_: int) -> str:
    """Rounded down: 100 % are all of them."""
    return f"{100 * count // all_} %"
