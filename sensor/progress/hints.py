"""What a run's counts say about how it was run: one sentence a setting that would show more."""

from typing import Final

from sensor.progress.progress import Progress

# A share of packets that changes what is seen. A few tunnel packets stand in many captures (a host's own 6in4, a
# container network), and looking into them would make no difference.
_SHARE: Final = 0.01
_PACKETS: Final = 10  # fewer say nothing, whatever their share


def hints(progress: Progress) -> list[str]:
    """Sentences for the end of a run, most often none."""
    return [*_of_tunnels(progress)]


def _of_tunnels(progress: Progress) -> list[str]:
    """Mirrored traffic comes in a tunnel: all of it looks like one flow from the outside."""
    if progress.tunnelled < max(_PACKETS, _SHARE * progress.packets):
        return []
    share = 100 * progress.tunnelled // progress.packets  # rounded down: 100 % are all of them
    return [f"{share} % of the packets are a tunnel's (mirrored traffic?): --decap looks into them"]
