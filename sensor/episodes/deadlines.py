"""When an episode is over unless it goes on: after the quiet time, or after some of its own gaps where it is slow."""

from typing import Final

from sensor.episodes.episode import Held
from sensor.episodes.shapes import BEACON, DNS_TUNNEL, KEPT_OPEN, SCAN, UPLOAD, UPLOAD_BEAT

GAPS: Final = 8
DAY_NS: Final = 86_400_000_000_000
# Kinds of which a few flows an hour are a part.
SLOW: Final = frozenset({SCAN, BEACON, DNS_TUNNEL, UPLOAD, UPLOAD_BEAT, KEPT_OPEN})


def due_ns(episode: Held, quiet_ns: int, clock_ns: int) -> int:
    """The traffic time at which it is over; of a slow one that waits to open a day after its last flow."""
    wait_ns = quiet_ns
    if episode.kind in SLOW:
        wait_ns = min(DAY_NS, wait_ns + GAPS * (episode.end_ns - episode.start_ns) // max(1, episode.flows))
        wait_ns = wait_ns if episode.opened else DAY_NS
    return (episode.last_ns or clock_ns) + wait_ns
