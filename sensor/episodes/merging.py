"""Which episodes of a host are one: by technique, by service, and by the name that the shape of an episode gives it.

It knows the episodes of one host, by pool (sensor.episodes.evidence), and neither evidence nor alerts.
"""

from sensor.episodes.episode import Episode, FlaggedFlow
from sensor.episodes.evidence import FIRST_TECHNIQUE, NO_EXCHANGE
from sensor.episodes.shapes import SCAN_START, technique_of_spread

# Shapes are looked at for each of the first flows that can have one, then now and then.
_SHAPE_FIRST, _SHAPE_ALWAYS, _SHAPE_EVERY = SCAN_START, 128, 256


def open_episodes(pools: dict[int, Episode]) -> list[Episode]:
    """Open episodes of a host, oldest first, each once."""
    found = {id(e): e for e in pools.values() if e.opened and not e.closed}
    return sorted(found.values(), key=lambda e: e.order)


def joined(pools: dict[int, Episode], pool: int, flow: FlaggedFlow) -> Episode | None:
    """The open episode of another pool that a flow without a technique of its own belongs to: it has its service.

    A scan has everybody's service, so an episode that its shape named takes nothing in.
    """
    if pool >= FIRST_TECHNIQUE or len(pools) - (pool in pools) == 0:
        return None
    for episode in pools.values():
        open_elsewhere = episode.opened and not episode.closed and episode.pool != pool
        if open_elsewhere and not episode.named_by_shape and flow.service in episode.services:
            return episode
    return None


def name_by_shape(episode: Episode) -> None:
    """Let the shape of flows without any exchange of data name the technique, over any label.

    A name given by shape stays, but that a scan may turn out to be a flood.
    """
    flows = episode.flows
    if episode.pool != NO_EXCHANGE or flows < _SHAPE_FIRST or (flows > _SHAPE_ALWAYS and flows % _SHAPE_EVERY):
        return
    technique = technique_of_spread(episode.spread())
    if technique is not None and (not episode.named_by_shape or technique.tactic == "Impact"):
        episode.technique, episode.named_by_shape = technique, True


def belong_together(opened: Episode, episode: Episode) -> bool:
    """Whether an episode about to open is part of an open one.

    It is when both have one technique. Else, where no shape speaks, when one of them is unnamed and they share
    services: all those of an unnamed one about to open, or any when the open one is unnamed.
    """
    if opened.technique is not None and opened.technique == episode.technique:
        return True
    if opened.named_by_shape or episode.named_by_shape:
        return False
    if episode.pool < FIRST_TECHNIQUE:
        return episode.services.keys() <= opened.services.keys()
    return opened.pool < FIRST_TECHNIQUE and not opened.services.keys().isdisjoint(episode.services)


def merge(pools: dict[int, Episode], opened: Episode, episode: Episode) -> None:
    """Add an episode about to open to an open one, and send its later flows there too."""
    opened.absorb(episode)
    opened.buffered += episode.buffered
    if opened.merged_in is not None:
        opened.merged_in.absorb(episode)
    if episode.pool < FIRST_TECHNIQUE and not episode.named_by_shape:
        del pools[episode.pool]  # its later flows find the open episode by their service
        return
    pools[episode.pool] = opened
    if opened.pool < FIRST_TECHNIQUE and not opened.named_by_shape:
        # The open one has its name now, and takes from its former pool only what has its service.
        pools.pop(opened.pool, None)
        opened.pool, opened.technique = episode.pool, episode.technique
