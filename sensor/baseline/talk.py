"""Who talks to whom: the services of a site, its links, how regularly they are used, and what is rare.

Counts of flows by source, destination and service, in a bounded table; what no longer fits is counted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IP_VERSION,
    PROTOCOL,
    REPORT,
    SRC_HIGH,
    SRC_LOW,
    WITH_PORTS,
    address,
)
from flows.columns import INDEX
from sensor.baseline.judged import RecordPart

MOST_LINKS: Final = 200_000
RHYTHM_GAPS: Final = 8.0  # of a link from which on it may have a rhythm (column pair_gaps)
RHYTHM_SPREAD: Final = 0.35  # of the logarithm of its gaps, at most (column pair_gap_spread)
RARE_FLOWS: Final = 2  # of a service, at most, that is called rare
_WORDS: Final = [SRC_HIGH, SRC_LOW, DST_HIGH, DST_LOW, IP_VERSION, DST_PORT, PROTOCOL]


class ServicePort(NamedTuple):
    """A port and its protocol."""

    port: int  # 0 of protocols without
    protocol: int


@dataclass(slots=True)
class HostLink:
    """A source, a destination and a service, and what was seen of them."""

    source: str
    destination: str
    service: ServicePort
    flows: int = 0
    answered: int = 0
    gap_s: float = 0.0  # geometric mean of the gaps between its flows, 0 where nobody knows
    regular: bool = False  # whether these gaps are alike


@dataclass(frozen=True, slots=True)
class Talk:
    """What a learning period showed of who talks to whom."""

    links: Sequence[HostLink]  # the busiest first
    uncounted: int  # flows of links that did not fit

    def services(self) -> list[tuple[ServicePort, int, int, int]]:
        """Service, its flows, clients and servers; the busiest first."""
        flows: Counter[ServicePort] = Counter()
        clients: dict[ServicePort, set[str]] = {}
        servers: dict[ServicePort, set[str]] = {}
        for link in self.links:
            flows[link.service] += link.flows
            clients.setdefault(link.service, set()).add(link.source)
            servers.setdefault(link.service, set()).add(link.destination)
        return [(own, count, len(clients[own]), len(servers[own])) for own, count in flows.most_common()]

    def hosts(self) -> list[tuple[str, int, int]]:
        """Address, flows that it began, and services of hosts that it asked; the busiest first."""
        flows: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        for link in self.links:
            flows[link.source] += link.flows
            asked[link.source] += 1
        return [(host, count, asked[host]) for host, count in flows.most_common()]

    def rhythms(self) -> list[HostLink]:
        """Links in a beat, the most flows first."""
        return [link for link in self.links if link.regular]

    def rare(self) -> list[HostLink]:
        """Links of services that hardly anybody uses."""
        seldom = {own for own, flows, _, _ in self.services() if flows <= RARE_FLOWS}
        return [link for link in self.links if link.service in seldom]


class TalkCounter:
    """Counts part by part."""

    def __init__(self, columns: Sequence[str], most: int = MOST_LINKS) -> None:
        """columns: of the rows, in their order. most: links that are told apart."""
        place = {name: i for i, name in enumerate(columns)}
        self._gaps = [place[name] for name in ("pair_gaps", "pair_gap_mean", "pair_gap_spread") if name in place]
        self._most = most
        self._links: dict[tuple[int, ...], HostLink] = {}
        self._uncounted = 0

    def count(self, part: RecordPart) -> None:
        """Count the flows that a part tells of for the first time."""
        identity = part.records.identity
        fresh = np.flatnonzero(identity[:, REPORT] == 0)
        if not len(fresh):
            return
        words = identity[fresh][:, _WORDS]
        words[:, 5] = np.where(np.isin(words[:, 6], list(WITH_PORTS)), words[:, 5], 0)
        links, last, place = np.unique(words[::-1], axis=0, return_index=True, return_inverse=True)
        flows = np.bincount(place.reshape(-1), minlength=len(links))
        answers = part.records.values[fresh, INDEX["bwd_packets"]][::-1] > 0
        answered = np.bincount(place.reshape(-1), weights=answers, minlength=len(links))
        rows = part.rows[fresh[len(fresh) - 1 - last]]
        for own, count, back, row in zip(links.tolist(), flows.tolist(), answered.tolist(), rows, strict=True):
            self._add(tuple(own), count, int(back), row)

    def told(self) -> Talk:
        """All of it so far."""
        return Talk(sorted(self._links.values(), key=lambda link: -link.flows), self._uncounted)

    def _add(self, words: tuple[int, ...], flows: int, answered: int, row: NDArray[np.float64]) -> None:
        link = self._links.get(words)
        if link is None:
            if len(self._links) >= self._most:
                self._uncounted += flows
                return
            source, destination = address(words[0], words[1], words[4]), address(words[2], words[3], words[4])
            link = self._links[words] = HostLink(source, destination, ServicePort(words[5], words[6]))
        link.flows += flows
        link.answered += answered
        if self._gaps:
            gaps, mean, spread = (float(row[column]) for column in self._gaps)
            link.gap_s = mean
            link.regular = gaps >= RHYTHM_GAPS and spread <= RHYTHM_SPREAD
