"""Flagged flows grouped into episodes, and the few lines that each episode is worth.

One line per source host and technique: an episode opens when the evidence of its pool (sensor.episodes.evidence)
reaches the threshold, is reported again when its flows have grown tenfold or its technique or verdict changed, and
closes after a quiet time. Where more open than anyone can read, one episode stands for many (sensor.episodes.storms).
A flow that names no technique itself (no data exchanged, or flagged by the novel lane alone) joins the open episode of
its host that already has the same service, so one attack that both lanes see is one episode.

Time is the flows' own: the newest packet of any record so far. Nothing depends on how records were cut into batches.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flows.batch import FlowBatch
from flows.columns import INDEX
from models.attribution import top_columns
from models.fusion import Hybrid, Judgement
from sensor.alerts.alert import Action, ModelIdentity, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.alerts.techniques import Technique, technique_of
from sensor.episodes.alerting import AlertBuilder, episode_id
from sensor.episodes.episode import BufferedFlow, Episode, Exemplar, FlaggedFlow
from sensor.episodes.evidence import F_INDEX, FIRST_TECHNIQUE, NO_EXCHANGE, UNUSUAL, EvidenceTable, FlaggedRows
from sensor.episodes.merging import belong_together, joined, merge, name_by_shape, open_episodes
from sensor.episodes.reasons import Explainer
from sensor.episodes.storms import Storms

GROWTH = 10  # an open episode is reported again when its flows have grown by this factor
_BUFFERED_FLOWS = 8  # flows of an episode remembered before it opens: chance may fill many hosts with such
_CHUNK = 256  # rows made into Python numbers at once: many more would only wake the garbage collector
_NEVER_NS = 2**63
_TINY = float(np.finfo(np.float64).tiny)  # instead of the cut 0 of a lane that is off
_FWD_BYTES, _BWD_BYTES, _BWD_PACKETS = INDEX["fwd_bytes"], INDEX["bwd_bytes"], INDEX["bwd_packets"]


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """When episodes open and close."""

    threshold: float = 1e5  # expected number of flows of a host between two false openings, at least
    quiet_ns: int = 300_000_000_000  # traffic time without a flagged flow after which an episode closes
    capacity_hosts: int = 16384  # hosts with flagged flows remembered at once
    alerts_per_minute: int | None = 120  # of single hosts that open, None: any number
    flows_per_alert: int = 0  # flows that are given with an alert's id


def episodes_of(
    hybrid: Hybrid, observer: Observer, rate: float | None = None, settings: EpisodeSettings | None = None
) -> "Episodes":
    """Episodes for the judgements of a model at a nominal false-positive rate, its default one when None."""
    cut_known, cut_novel = hybrid.thresholds[hybrid.default_rate if rate is None else rate]
    explainer = Explainer(hybrid.normal)

    def moved_most(values: NDArray[np.float64], p_known: float, p_novel: float) -> Sequence[int]:
        lanes = np.array([[p_known < cut_known, p_novel < cut_novel]])
        columns: list[int] = top_columns(hybrid, values[None, :], lanes, explainer.candidates)[0].tolist()
        return columns

    builder = AlertBuilder(
        labels=hybrid.labels,
        techniques=hybrid.techniques,
        explainer=explainer,
        model=ModelIdentity(hybrid.model_id, hybrid.sha256),
        observer=observer,
        top_columns=moved_most,
    )
    return Episodes(
        labels=hybrid.labels,
        techniques=hybrid.techniques,
        cut_known=cut_known,
        cut_novel=cut_novel,
        builder=builder,
        settings=settings or EpisodeSettings(),
    )


class Episodes:
    """All episodes of a run: give it every scored batch in order, then finish."""

    def __init__(
        self,
        *,
        labels: Sequence[str],
        techniques: Sequence[str | None],
        cut_known: float,
        cut_novel: float,
        builder: AlertBuilder,
        settings: EpisodeSettings,
        seed: int | None = None,
    ) -> None:
        """labels: names by label index; techniques: their ATT&CK ids, None where a label has none.

        cut_known, cut_novel: p-values below which a lane flags. builder: makes the alerts. seed: of the host hash,
        random unless given; nothing but speed depends on it.
        """
        self._labels = labels
        self._builder = builder
        self._settings = settings
        self._storms = Storms(settings.alerts_per_minute)
        self._cuts = (cut_known, cut_novel)
        self._technique_of_label = [technique_of(identifier) for identifier in techniques]
        pools = _pools(labels, techniques)
        self._technique_of_pool: dict[int, Technique | None] = {}
        for pool, technique in zip(pools.tolist(), self._technique_of_label, strict=True):
            self._technique_of_pool[pool] = technique
        self._table = EvidenceTable(
            capacity=settings.capacity_hosts,
            pool_of_label=pools,
            cut_known=cut_known,
            cut_novel=cut_novel,
            threshold=settings.threshold,
            quiet_ns=settings.quiet_ns,
            seed=seed,
        )
        self._hosts: dict[int, dict[int, Episode]] = {}  # row of the evidence table → pool → episode
        self._deadlines: list[tuple[int, int, Episode]] = []  # heap; a deadline may be out of date
        self._clock_ns = 0
        self._ordinal = 0
        self._dropped = 0  # packets that the capture has lost so far
        self._items: list[AlertItem] = []

    @property
    def merged(self) -> int:
        """Alerts of single hosts that storms stand for so far."""
        return self._storms.merged

    @property
    def one_sided(self) -> int:
        """Records that were evidence of nothing so far: one side of a conversation alone is in view."""
        return self._table.one_sided

    def observe(
        self, batch: FlowBatch, rows: NDArray[np.float64], judgement: Judgement, dropped: int = 0
    ) -> list[AlertItem]:
        """Alerts that a batch of scored flows gives rise to, and flows of those that are open, in order.

        rows: (n, c) what was judged of each flow. judgement: of the same rows. dropped: packets that the capture has
        lost so far, stated in each alert.
        """
        self._dropped = dropped
        findings = self._table.observe(batch, judgement.p_known, judgement.p_novel, judgement.label)
        for (host, fresh, pool, anew, clock_ns), flow in _flagged(findings, batch, judgement, self._cuts):
            self._clock_ns = clock_ns
            self._close_until(clock_ns)
            if fresh:
                self._forget(host)
            pools = self._hosts.setdefault(host, {})
            episode = joined(pools, pool, flow) or pools.get(pool)
            if episode is None or episode.closed or (anew and not episode.opened):
                episode = pools[pool] = self._episode(pool, flow)
            _count(episode, flow, clock_ns, lambda flow: _exemplar(flow, batch, rows, judgement))
            if episode.reported_by.linked < self._settings.flows_per_alert:
                self._buffer(episode, BufferedFlow(flow, batch.values[flow.row].copy()))
            self._weigh(pools, episode, flow)
        self._clock_ns = findings.clock_ns
        self._close_until(findings.clock_ns)
        return self._drain()

    def adjust(self, settings: EpisodeSettings) -> None:
        """Go on with other settings; open episodes stay open. The capacity stays as it is."""
        self._settings = replace(settings, capacity_hosts=self._settings.capacity_hosts)
        self._table.adjust(settings.threshold, settings.quiet_ns)
        self._storms.adjust(settings.alerts_per_minute)

    def finish(self) -> list[AlertItem]:
        """Close every open episode, in the order in which they would have closed."""
        self._close_until(_NEVER_NS)
        self._hosts.clear()
        return self._drain()

    def _drain(self) -> list[AlertItem]:
        items, self._items = self._items, []
        return items

    def _episode(self, pool: int, first: FlaggedFlow) -> Episode:
        self._ordinal += 1
        return Episode(pool, self._technique_of_pool.get(pool), first, self._ordinal)

    def _weigh(self, pools: dict[int, Episode], episode: Episode, flow: FlaggedFlow) -> None:
        """Add the evidence of a flagged flow to its episode and report what has become worth a line."""
        threshold = self._table.threshold
        evidence = max(flow.evidence_known, flow.evidence_novel)
        episode.peak = max(episode.peak, evidence)
        episode.known |= flow.evidence_known >= threshold
        episode.novel |= flow.evidence_novel >= threshold
        name_by_shape(episode)
        if not episode.opened and evidence >= threshold:
            episode = self._open(pools, episode)
        if episode.opened:
            self._report_progress(pools, episode)

    def _open(self, pools: dict[int, Episode], episode: Episode) -> Episode:
        """Open an episode, or add it to an open one that it belongs to; returns the one that is open now."""
        if episode.technique is None and episode.label() >= 0:
            episode.technique = self._technique_of_label[episode.label()]
        same = next((other for other in open_episodes(pools) if belong_together(other, episode)), None)
        if same is not None:
            merge(pools, same, episode)
            self._emit_flows(same)
            return same
        self._gather(pools, episode)
        if self._storms.admits(self._clock_ns, attack=episode.known):
            self._begin(episode)
        else:
            self._ordinal += 1
            storm = self._storms.merge(episode, self._ordinal)
            if not storm.opened:
                self._begin(storm)
            self._wait_for_end(episode)
        self._emit_flows(episode)
        return episode

    def _begin(self, episode: Episode) -> None:
        episode.id = episode_id(episode, self._clock_ns)
        self._wait_for_end(episode)
        self._report(episode, "opened", self._clock_ns)

    def _wait_for_end(self, episode: Episode) -> None:
        episode.opened = True
        heapq.heappush(self._deadlines, (episode.last_ns + self._settings.quiet_ns, episode.order, episode))

    def _gather(self, pools: dict[int, Episode], episode: Episode) -> None:
        """Take in the recent flows without a technique that had the service of an episode about to open."""
        for pool in (NO_EXCHANGE, UNUSUAL):
            other = pools.get(pool)
            if other is None or other is episode or other.opened or episode.named_by_shape:
                continue
            recent = self._clock_ns - other.last_ns < self._settings.quiet_ns
            if recent and other.services.keys() <= episode.services.keys():
                episode.absorb(other)
                episode.buffered = other.buffered + episode.buffered
                del pools[pool]

    def _report_progress(self, pools: dict[int, Episode], episode: Episode) -> None:
        """Write an update when flows or hosts have grown tenfold or the technique or the verdict changed."""
        renamed = episode.technique != episode.technique_at_line
        if renamed:
            twins = [e for e in open_episodes(pools) if e is not episode and e.technique == episode.technique]
            if twins:
                self._join(pools, episode, twins[0])
                return
        reported = episode.reported_by
        if reported is not episode:
            episode.technique_at_line = episode.technique
            reported.weigh(episode)
            renamed = False  # a storm keeps its name
        grown = reported.flows >= GROWTH * reported.flows_at_line or reported.alerts >= GROWTH * max(
            1, reported.alerts_at_line
        )
        if renamed or grown or reported.known != reported.verdict_at_line:
            self._report(reported, "updated", self._clock_ns)

    def _join(self, pools: dict[int, Episode], episode: Episode, twin: Episode) -> None:
        """Two open episodes turned out to be one: the newer ends in the older, one of a storm in one of its own."""
        older, newer = sorted((episode, twin), key=lambda e: (e.merged_in is not None, e.order))
        self._report(newer, "closed", self._clock_ns, continues=older.id)
        older.absorb(newer)
        newer.end()
        for pool, held in list(pools.items()):
            if held is newer:
                pools[pool] = older

    def _close_until(self, until_ns: int) -> None:
        """Close the episodes whose quiet time ends by then, earliest first; none is reported later than now."""
        while self._deadlines and self._deadlines[0][0] <= until_ns:
            deadline_ns, order, episode = heapq.heappop(self._deadlines)
            due_ns = episode.last_ns + self._settings.quiet_ns
            if episode.closed:
                continue
            if due_ns != deadline_ns:  # flows came since: look again later
                heapq.heappush(self._deadlines, (due_ns, order, episode))
                continue
            self._close(episode, min(due_ns, self._clock_ns))

    def _close(self, episode: Episode, time_ns: int) -> None:
        self._report(episode, "closed", time_ns)
        episode.end()

    def _forget(self, row_of_host: int) -> None:
        """Close what the former host of a row still had open: more hosts were flagged since than are remembered."""
        for episode in open_episodes(self._hosts.pop(row_of_host, {})):
            self._close(episode, self._clock_ns)

    def _buffer(self, episode: Episode, flow: BufferedFlow) -> None:
        episode.buffered.append(flow)
        if episode.opened:
            self._emit_flows(episode)
        else:
            del episode.buffered[:-_BUFFERED_FLOWS]

    def _emit_flows(self, episode: Episode) -> None:
        """Give the buffered flows of an open episode, under the id of the alert that reports it."""
        reported = episode.reported_by
        for flow, values in episode.buffered:
            if reported.linked >= self._settings.flows_per_alert:
                break
            reported.linked += 1
            label = self._labels[flow.label] if flow.label >= 0 else None
            self._items.append(
                AlertFlow(reported.id, reported.linked, flow.identity, values, flow.p_known, flow.p_novel, label)
            )
        episode.buffered = []

    def _report(self, episode: Episode, action: Action, time_ns: int, continues: str = "") -> None:
        if episode.merged_in is not None:
            return
        episode.alerts_at_line = episode.alerts
        episode.flows_at_line = episode.flows
        episode.technique_at_line = episode.technique
        episode.verdict_at_line = episode.known
        self._items.append(self._builder.alert(episode, action, time_ns - episode.shift_ns, self._dropped, continues))


def _pools(labels: Sequence[str], techniques: Sequence[str | None]) -> NDArray[np.int64]:
    """Pool of each label: one for each technique, and one for each label without any."""
    keys: dict[str, int] = {}
    pools = [
        keys.setdefault(technique or f"label {label}", FIRST_TECHNIQUE + len(keys))
        for label, technique in zip(labels, techniques, strict=True)
    ]
    return np.array(pools, dtype=np.int64)


def _count(episode: Episode, flow: FlaggedFlow, clock_ns: int, exemplar: Callable[[FlaggedFlow], Exemplar]) -> None:
    """Count a report of a flagged flow in its episode and in the storm that reports it."""
    fresh = None
    for counting in (episode,) if episode.merged_in is None else (episode, episode.merged_in):
        fresh = counting.add(flow, clock_ns, fresh)
        if counting.exemplar is None or flow.strength < counting.exemplar.flow.strength:
            counting.exemplar = exemplar(flow)


def _exemplar(flow: FlaggedFlow, batch: FlowBatch, rows: NDArray[np.float64], judgement: Judgement) -> Exemplar:
    scores = {name: float(score[flow.row]) for name, score in judgement.scores.items()}
    return Exemplar(flow, batch.values[flow.row].copy(), rows[flow.row].copy(), scores)


def _flagged(
    findings: FlaggedRows, batch: FlowBatch, judgement: Judgement, cuts: tuple[float, float]
) -> Iterator[tuple[list[int], FlaggedFlow]]:
    """The flagged flows of a batch as plain numbers, each with the words of its finding but the first."""
    for first in range(0, len(findings.words), _CHUNK):
        words = findings.words[first : first + _CHUNK]
        index = words[:, F_INDEX]
        values = batch.values[index]
        failed = (values[:, _BWD_PACKETS] == 0) | (values[:, _FWD_BYTES] + values[:, _BWD_BYTES] == 0)
        p_known, p_novel = judgement.p_known[index], judgement.p_novel[index]
        known = p_known < cuts[0]
        # A flow that the known lane flagged is below 1 and stands before any that it did not.
        strength = np.where(known, p_known / max(cuts[0], _TINY), 1 + p_novel / max(cuts[1], _TINY))
        flows = zip(
            batch.identity[index].tolist(),
            index.tolist(),
            np.where(known, judgement.label[index], -1).tolist(),
            strength.tolist(),
            failed.tolist(),
            p_known.tolist(),
            p_novel.tolist(),
            *findings.evidence[first : first + _CHUNK].T.tolist(),
            strict=True,
        )
        yield from zip(words[:, F_INDEX + 1 :].tolist(), map(FlaggedFlow._make, flows), strict=True)
