"""What a run's counts say about how it was run: one sentence a setting that would show more."""

from typing import Final

from sensor.progress.progress import Progress

# A share of packets that changes what is seen. A few tunnel packets stand in many captures (a host's own 6in4, a
# container network), and looking into them would make no difference.
_SHARE: Final = 0.01
_MANY_HALVES: Final = 0.25  # of flow records: a network that loses as much has other troubles
_FEWEST: Final = 10  # packets or records; fewer say nothing, whatever their share


def hints(progress: Progress) -> list[str]:
    """Sentences for the end of a run, most often none."""
    return [*_of_tunnels(progress), *_of_halves(progress)]


def _of_tunnels(progress: Progress) -> list[str]:
    """Mirrored traffic comes in a tunnel: all of it looks like one flow from the outside."""
    if progress.tunnelled < max(_FEWEST, _SHARE * progress.packets):
        return []
    share = 100 * progress.tunnelled // progress.packets  # rounded down: 100 % are all of them
    return [f"{share} % of the packets are a tunnel's (mirrored traffic?): --decap looks into them"]


def _of_halves(progress: Progress) -> list[str]:
    """A tap of one direction, or a sample of packets: what has no answer there says nothing."""
    if progress.one_sided < max(_FEWEST, _MANY_HALVES * progress.judged):
        return []
    share = 100 * progress.one_sided // progress.judged
    words = f"{share} % of the flow records show one side of a conversation only (a tap of one direction, a sample of"
    return [f"{words} packets?): they are evidence of nothing, capture both directions whole"]
