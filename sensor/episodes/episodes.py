"""Flows grouped into episodes, and the few lines that each episode is worth.

An episode is a claim: one kind (sensor.episodes.shapes) about one source, target or pair. It opens when the level of
its shape is reached (sensor.episodes.behaviour), is reported again when its flows have grown tenfold or its verdict
changed, and closes after a quiet time. What the lanes flag beyond any shape is one kind more: unusual traffic of one
source (sensor.episodes.evidence). Where more open than anyone can read, one episode stands for many
(sensor.episodes.storms).

The verdict is an attack where the known lane and the shape agree, or where the shape is beyond doubt; else uncertain.

Time is the flows' own: the newest packet of any record so far. Nothing depends on how records were cut into batches.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_PORT, IP_VERSION, NEW_PACKETS, PROTOCOL, REPORT, FlowBatch
from flows.meter import FIRST_SNAPSHOT_NS
from flows.roles import FAILED, ICMP, ICMP6, OPENED, TALK, TCP
from models.attribution import top_columns
from models.fusion import Hybrid, Judgement
from sensor.alerts.alert import Action, Alert, ModelIdentity, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.alerts.techniques import Technique, technique_of
from sensor.episodes.alerting import AlertBuilder, TopColumns, episode_id
from sensor.episodes.behaviour import Behaviour
from sensor.episodes.claims import C_INDEX, Claims
from sensor.episodes.distinct import DistinctBudget
from sensor.episodes.episode import BufferedFlow, Episode, FlaggedFlow, Held, MergedHost
from sensor.episodes.evidence import EVIDENCE_LIMIT, EvidenceTable
from sensor.episodes.habits import BEYOND, Habits, subject_of
from sensor.episodes.holding import HeldEpisodes, Key
from sensor.episodes.reasons import Explainer
from sensor.episodes.remembered import RememberedFlows
from sensor.episodes.rows import RowTranslation
from sensor.episodes.shapes import (
    BEACON,
    DNS_TUNNEL,
    FLOOD_FROM,
    GUESSES_AGREED,
    GUESSING,
    KEPT_OPEN,
    KINDS,
    LOGIN_PORTS,
    MOSTLY,
    NO_LABEL,
    OTHER_LABEL,
    SCAN,
    SHAPES,
    SUPPORTING,
    TORRENT,
    UNSHAPED_FLOWS,
    UPLOAD,
    UPLOAD_BEAT,
    UPLOAD_LABEL,
    WEB_PORTS,
    label_kind,
)
from sensor.episodes.storms import Storms
from sensor.episodes.telling import UNSHAPED, NamesOf, exemplar_of, no_names, told
from sensor.progress.progress import OpenAlert

FLOWS_BETWEEN_FALSE_OPENINGS = 1e5  # of a bundle that is no one's
GROWTH = 10  # an open episode is reported again when its flows have grown by this factor
_NEVER_NS = 2**63
_DAY_NS = 86_400_000_000_000
STORM = UNSHAPED + 1  # a kind beside those of the shapes and of what none accounts for
# Kinds of which a few flows an hour are a part.
SLOW = frozenset({SCAN, BEACON, DNS_TUNNEL, UPLOAD, UPLOAD_BEAT, KEPT_OPEN})


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """When episodes open and close."""

    threshold: float = (
        FLOWS_BETWEEN_FALSE_OPENINGS  # expected number of flows of a host between two false openings, at least
    )
    quiet_ns: int = 300_000_000_000  # traffic time without a flagged flow after which an episode closes
    capacity_hosts: int = 16384  # hosts with flagged flows remembered at once, and episodes of each lot (HeldEpisodes)
    alerts_per_minute: int | None = 120  # of single hosts that open, None: any number
    first_report_ns: int = FIRST_SNAPSHOT_NS  # age at which the meter first reports a flow that goes on
    flows_per_alert: int | None = 0  # flows that are given with an alert's id, None: all of them
    # Level from which a claim of each kind is told that no lane agrees with and that is not beyond doubt; 1 is the
    # shape's own, another what a site asks for.
    levels: tuple[float, ...] = (1.0,) * KINDS
    habits: Habits = field(default_factory=dict)  # what the site always does


def episodes_of(
    hybrid: Hybrid,
    observer: Observer,
    rate: float | None = None,
    settings: EpisodeSettings | None = None,
    kind: type["Episodes"] | None = None,
) -> "Episodes":
    """Episodes for the judgements of a model at a nominal false-positive rate, its default one when None.

    kind: Episodes unless given.
    """
    cut_known, cut_novel = cuts_of(hybrid, rate)
    explainer = Explainer(hybrid.normal)
    builder = AlertBuilder(
        labels=hybrid.labels,
        explainer=explainer,
        model=ModelIdentity(hybrid.model_id, hybrid.sha256),
        observer=observer,
        top_columns=_moved_most(hybrid, rate, explainer),
    )
    return (kind or Episodes)(
        labels=hybrid.labels,
        techniques=hybrid.techniques,
        cut_known=cut_known,
        cut_novel=cut_novel,
        builder=builder,
        settings=settings or EpisodeSettings(),
    )


def cuts_of(hybrid: Hybrid, rate: float | None = None) -> tuple[float, float]:
    """p-values below which a model's known and novel lane flag, at a nominal rate, its default one when None."""
    return hybrid.thresholds[hybrid.default_rate if rate is None else rate]


def _moved_most(hybrid: Hybrid, rate: float | None, explainer: Explainer) -> TopColumns:
    """Which columns moved a score of this model most."""
    cut_known, cut_novel = cuts_of(hybrid, rate)

    def moved_most(values: NDArray[np.float64], p_known: float, p_novel: float) -> Sequence[int]:
        lanes = np.array([[p_known < cut_known, p_novel < cut_novel]])
        columns: list[int] = top_columns(hybrid, values[None, :], lanes, explainer.candidates)[0].tolist()
        return columns

    return moved_most


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

        cut_known, cut_novel: p-values below which a lane flags. builder: makes the alerts. seed: of the hash keys,
        random unless given; nothing but speed depends on it.
        """
        # Of every model so far, one after the other: an episode may hold labels of an earlier one.
        self._labels = list(labels)
        self._techniques = list(techniques)
        self._label_of: NDArray[np.int64] | None = None  # which of these the model's own are, None: the same
        self._builder = builder
        self._settings = settings
        self._storms = Storms(settings.alerts_per_minute)
        # Whether a site's notes mute an alert, which then takes no other's place; None without notes.
        self.mutes: Callable[[Alert], bool] | None = None
        self.names_of: NamesOf = no_names  # what traffic said of a flow that is shown; nothing is judged by it
        self._cuts = (cut_known, cut_novel)
        self._label_kinds = np.array([label_kind(identifier) for identifier in techniques], dtype=np.int8)
        self._behaviour = Behaviour(settings.capacity_hosts, seed, settings.first_report_ns)
        self._table = EvidenceTable(
            capacity=settings.capacity_hosts,
            cut_known=cut_known,
            cut_novel=cut_novel,
            threshold=settings.threshold,
            quiet_ns=settings.quiet_ns,
            seed=seed,
        )
        # Those that go on. Whoever looks on may read it, and changes nothing.
        self.held = HeldEpisodes(settings.capacity_hosts)
        self._open_claims: Counter[tuple[str, int]] = Counter()  # by the side that they are about, and its address
        self._remembered = RememberedFlows()
        self._budget = DistinctBudget()
        self._clock_ns = 0
        self._ordinal = 0
        self._dropped = 0  # packets that the capture has lost so far
        self._items: list[AlertItem] = []
        self._never_met = np.zeros(256, dtype=np.int64)  # flows that the model has no normal traffic of, by protocol

    @property
    def merged(self) -> int:
        """Alerts of single hosts that storms stand for so far."""
        return self._storms.merged

    @property
    def evicted(self) -> dict[str, int]:
        """What its bounded stores let go so far before its time, by store."""
        held = self.held
        return {
            "open episodes": held.closed_early,
            "merged hosts": held.merged_forgotten,
            "waiting episodes": held.forgotten,
            "waiting flows": self._remembered.evicted,
            "evidence": self._table.evicted,
            **self._behaviour.evicted,
        }

    def open_alerts(self, most: int) -> list[OpenAlert]:
        """Open episodes as they stand, at most so many: storms, then those that moved last, in the flows' own time."""
        episodes = (held for held in self.held.told() if isinstance(held, Episode) and held.opened)
        return [_as_it_stands(episode) for episode in islice(episodes, most)]

    @property
    def one_sided(self) -> int:
        """Records that were evidence of nothing so far: one side of a conversation alone is in view."""
        return self._behaviour.one_sided

    @property
    def unjudged(self) -> dict[int, int]:
        """Flows that no model judged so far, by IP protocol."""
        never_met = {int(p): int(self._never_met[p]) for p in np.flatnonzero(self._never_met)}
        return dict(sorted((Counter(self._behaviour.unjudged) + Counter(never_met)).items()))

    def observe(
        self, batch: FlowBatch, rows: NDArray[np.float64], judgement: Judgement, dropped: int = 0
    ) -> list[AlertItem]:
        """Alerts that a batch of scored flows gives rise to, and flows of those that are open, in order.

        rows: (n, c) what was judged of each flow. judgement: of the same rows. dropped: packets that the capture has
        lost so far, stated in each alert.
        """
        self._dropped = dropped
        if self._label_of is not None:
            judgement = replace(judgement, label=self._label_of[judgement.label])
        known = judgement.p_known < self._cuts[0]
        kinds = np.where(known, self._label_kinds[judgement.label], NO_LABEL).astype(np.int8)
        claims = self._behaviour.observe(batch, kinds)
        self._count_never_met(batch, judgement, claims)
        findings = self._table.observe(batch, *self._unshaped(judgement, claims, kinds))
        for (kind, row, level, clock_ns, before), flow in told(claims, findings, batch, judgement, self._cuts):
            self._clock_ns = clock_ns
            self._close_until(clock_ns)
            held = self._holder(kind, row, flow)
            if isinstance(held, MergedHost):
                held.add(flow, clock_ns)
            else:
                if not held.flows and before >= 0:
                    held.load_before = before
                held.add(flow, clock_ns)
            telling = _told_by(held)
            if telling.exemplar is None or flow.strength < telling.exemplar.flow.strength:
                telling.exemplar = exemplar_of(flow, batch, rows, judgement, self.names_of)
            if flow.label >= 0 and self._label_kinds[flow.label] == SUPPORTING.get(kind):
                held.supported += 1
            if self._wants_flow(telling):
                self._keep_flow(held, BufferedFlow(flow, batch.values[flow.row].copy()))
            self._weigh((kind, row), held, flow, level)
        self._clock_ns = self._behaviour.clock_ns
        self._close_until(self._clock_ns)
        return self._drain()

    @property
    def settings(self) -> EpisodeSettings:
        """When episodes open and close, as it is now."""
        return self._settings

    def adjust(self, settings: EpisodeSettings) -> None:
        """Go on with other settings; open episodes stay open. The capacity and the meter's stay as they are."""
        kept = self._settings
        self._settings = replace(settings, capacity_hosts=kept.capacity_hosts, first_report_ns=kept.first_report_ns)
        self._table.adjust(settings.threshold, settings.quiet_ns)
        self._storms.adjust(settings.alerts_per_minute)

    def exchange(self, before: Hybrid, hybrid: Hybrid, rate: float | None = None) -> None:
        """Go on with the judgements of another model; open episodes stay open, and their next lines bear its name.

        before: the model so far. rate: nominal false-positive rate of the other, its default one when None. Evidence
        stays as the thresholds of its time weighed it, as do the p-values and scores of the flows that alerts show.
        """
        self._cuts = cuts_of(hybrid, rate)
        self._table.exchange_cuts(*self._cuts)
        self._label_of = np.array(
            [0, *map(self._label_number, hybrid.labels[1:], hybrid.techniques[1:])], dtype=np.int64
        )
        self._label_kinds = np.array([label_kind(technique) for technique in self._techniques], dtype=np.int8)
        if before.contract != hybrid.contract:
            self._translate_rows(before, hybrid)
        explainer = Explainer(hybrid.normal)
        self._builder.exchange(
            labels=tuple(self._labels),
            explainer=explainer,
            model=ModelIdentity(hybrid.model_id, hybrid.sha256),
            top_columns=_moved_most(hybrid, rate, explainer),
        )

    def _label_number(self, label: str, technique: str | None) -> int:
        """Number of a label among those of every model so far, to which it is added where it is new."""
        for number in range(1, len(self._labels)):
            if self._labels[number] == label and self._techniques[number] == technique:
                return number
        self._labels.append(label)
        self._techniques.append(technique)
        return len(self._labels) - 1

    def _translate_rows(self, before: Hybrid, hybrid: Hybrid) -> None:
        """Put the rows that alerts are explained by in the order of other columns; what they do not have is NaN."""
        translated = RowTranslation(before.contract, hybrid.contract)
        episodes = [held for held in self.held if isinstance(held, Episode)]
        exemplars = {id(episode.exemplar): episode.exemplar for episode in episodes}  # a storm's may be another's
        for exemplar in exemplars.values():
            if exemplar is not None:
                exemplar.judged = translated(exemplar.values, exemplar.judged)
                exemplar.top_columns = ()  # the model that judged it has gone

    def finish(self) -> list[AlertItem]:
        """Close every open episode, in the order in which they would have closed."""
        self._close_until(_NEVER_NS)
        return self._drain()

    def _drain(self) -> list[AlertItem]:
        items, self._items = self._items, []
        return items

    def _count_never_met(self, batch: FlowBatch, judgement: Judgement, claims: Claims) -> None:
        """Count flows that a model would be asked about, had it met their like in normal traffic."""
        if judgement.judged.all():
            return
        fresh = (batch.identity[:, REPORT] == 0) & (batch.identity[:, NEW_PACKETS] > 0)
        never_met = fresh & ~judgement.judged & np.isin(claims.roles, (FAILED, OPENED, TALK))
        self._never_met += np.bincount(batch.identity[never_met, PROTOCOL] & 255, minlength=256)

    def _unshaped(
        self, judgement: Judgement, claims: Claims, kinds: NDArray[np.int8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """p-values of the lanes where they speak for themselves: of flows with data that no shape accounts for.

        A label that a shape could support says nothing by itself.
        """
        alone = claims.roles == TALK
        alone[claims.words[:, C_INDEX]] = False
        p_known = np.where(kinds >= OTHER_LABEL, judgement.p_known, 1.0)
        return np.where(alone, p_known, np.nan), np.where(alone, judgement.p_novel, np.nan)

    def _holder(self, kind: int, row: int, flow: FlaggedFlow) -> Held:
        """The episode that a flow belongs to, begun where there is none, or the host that a storm stands for."""
        key = (kind, row)
        subject = _subject(kind, flow)
        held = self.held.find(key)
        if held is not None:
            if held.subject == subject and not _told_by(held).closed:
                self.held.moved(key)
                return held
            self.held.let_go(key)  # its row was given to another, or its storm is over
            self._end(held, self._clock_ns)
        self._ordinal += 1
        technique = None if kind == UNSHAPED else _technique(kind, flow)
        episode = Episode(kind, subject, technique, flow, self._ordinal, self._budget)
        self._end_evicted(self.held.begin(key, episode))
        self.held.look_at(key, episode, self._due_ns(episode))
        return episode

    def _end_evicted(self, evicted: tuple[Key, Held] | None) -> None:
        """Close who was left no room, now."""
        if evicted is not None:
            self._end(evicted[1], self._clock_ns)

    def _weigh(self, key: Key, held: Held, flow: FlaggedFlow, level: float) -> None:
        """Take the level of a claim into account and report what has become worth a line."""
        reached = level >= 1
        if held.kind == UNSHAPED:
            held.known |= reached and flow.p_known < self._cuts[0]
            held.novel |= reached and flow.p_novel < self._cuts[1]
            few = held.novel or held.few_targets
            reached = reached and few and held.flows >= UNSHAPED_FLOWS and not self._accounted_for(held, flow)
            if reached and isinstance(held, Episode) and not held.opened:
                held.technique = self._labelled(held)
        elif reached:
            certain = SHAPES[held.kind].certain
            held.known |= 2 * held.supported >= held.flows > 0
            agreed = held.known or (certain is not None and level >= certain)
            if held.kind == GUESSING:
                # Only where people log on are like sessions guesses; elsewhere a program does its work.
                agreed = agreed and flow.identity[DST_PORT] in LOGIN_PORTS and held.flows >= GUESSES_AGREED
            held.attack |= agreed
        held.level = max(held.level, level if reached or held.kind != UNSHAPED else 0.0)
        if held.kind != UNSHAPED:
            reached = level >= self._settings.levels[held.kind] or (reached and held.attack)
        if reached:
            held.peak = max(held.peak, EVIDENCE_LIMIT * (1 - 0.5 / level))
        if isinstance(held, MergedHost):
            held.storm.weigh(held)
            self._report_progress(held.storm)
        elif held.opened:
            self._report_progress(held)
        elif reached:
            self._report_progress(self._open(key, held))

    def _accounted_for(self, held: Held, flow: FlaggedFlow) -> bool:
        """Whether an open claim about a flow's source, or about its target, says why what was before it is unusual."""
        if held.known or held.opened:
            return False
        return self._open_claims["source", flow.source] > 0 or self._open_claims["target", flow.target] > 0

    def _labelled(self, episode: Episode) -> Technique | None:
        """What the known lane calls flows that no shape accounts for, where it takes most of them for an upload.

        Of what leaves over ports of the web no shape says anything.
        """
        label = episode.label()
        if label < 0 or self._label_kinds[label] != UPLOAD_LABEL or episode.labels[label] < MOSTLY * episode.flows:
            return None
        return technique_of(self._techniques[label])

    def _open(self, key: Key, episode: Episode) -> Episode:
        """Tell of an episode that waited, on its own or in a storm; returns which of the two tells of it."""
        episode.opened = True
        self._open_claims[_side(episode)] += 1
        if episode.kind in SLOW:
            self.held.look_at(key, episode, self._due_ns(episode))  # sooner than one that may open yet is forgotten
        muted = None if self.mutes is None else partial(self._muted, self.mutes, episode)
        telling = episode
        if self._storms.admits(self._clock_ns, attack=episode.attack, muted=muted):
            self._end_evicted(self.held.open(key))
            self._begin(episode)
        else:
            telling = self._merge(key, episode)
        for flow in self._remembered.take(episode):
            self._give_flow(telling, flow)
        return telling

    def _merge(self, key: Key, episode: Episode) -> Episode:
        """Have a storm tell of an episode that opens; returns the storm."""
        self._ordinal += 1
        storm = self._storms.merge(episode, self._ordinal)
        self._end_evicted(self.held.merge(key, episode.fold(storm)))
        if not storm.opened:
            storm.opened = True
            storm_key = (STORM, storm.order)
            self.held.add_storm(storm_key, storm)
            self.held.look_at(storm_key, storm, self._due_ns(storm))
            self._begin(storm)
        return storm

    def _muted(self, mutes: Callable[[Alert], bool], episode: Episode) -> bool:
        return mutes(self._builder.draft(episode, self._clock_ns))

    def _begin(self, episode: Episode) -> None:
        episode.id = episode_id(episode, self._clock_ns)
        self._report(episode, "opened", self._clock_ns)

    def _due_ns(self, episode: Held) -> int:
        """When an episode is over unless it goes on: after the quiet time, or eight of its gaps where it is slow."""
        wait_ns = self._settings.quiet_ns
        if episode.kind in SLOW:
            wait_ns = min(_DAY_NS, wait_ns + 8 * (episode.end_ns - episode.start_ns) // max(1, episode.flows))
            wait_ns = wait_ns if episode.opened else _DAY_NS
        return (episode.last_ns or self._clock_ns) + wait_ns

    def _report_progress(self, episode: Episode) -> None:
        """Write an update when flows or hosts have grown tenfold or the verdict changed."""
        grown = episode.flows >= GROWTH * episode.flows_at_line or episode.alerts >= GROWTH * max(
            1, episode.alerts_at_line
        )
        if grown or episode.attack != episode.verdict_at_line:
            self._report(episode, "updated", self._clock_ns)

    def _close_until(self, until_ns: int) -> None:
        """Close the episodes whose quiet time ends by then, earliest first; none is reported later than now."""
        while (due := self.held.due(until_ns)) is not None:
            deadline_ns, key, held = due
            later_ns = self._due_ns(held)
            if later_ns > deadline_ns:  # flows came since: look again then
                self.held.look_at(key, held, later_ns)
                continue
            self.held.let_go(key)
            self._end(held, min(deadline_ns, self._clock_ns))

    def _end(self, held: Held, time_ns: int) -> None:
        """Close an episode that is held no longer, opened or not."""
        if isinstance(held, Episode):
            if held.opened:
                self._report(held, "closed", time_ns)
            self._remembered.take(held)
        if held.opened and held.subject:  # a storm is about nobody
            side = _side(held)
            self._open_claims[side] -= 1
            if not self._open_claims[side]:
                del self._open_claims[side]
        held.end()

    def _wants_flow(self, telling: Episode) -> bool:
        """Whether another flow is to be given with the id of this alert."""
        most = self._settings.flows_per_alert
        return most is None or telling.linked < most

    def _keep_flow(self, held: Held, flow: BufferedFlow) -> None:
        """Give a flow of an open episode at once, remember that of another."""
        if isinstance(held, MergedHost) or held.opened:
            self._give_flow(_told_by(held), flow)
        else:
            self._remembered.add(held, flow)

    def _give_flow(self, telling: Episode, buffered: BufferedFlow) -> None:
        """Give a flow of an open episode, under the id of the alert that tells of it."""
        if not self._wants_flow(telling):
            return
        flow, values = buffered
        telling.linked += 1
        label = self._labels[flow.label] if flow.label >= 0 else None
        self._items.append(
            AlertFlow(telling.id, telling.linked, flow.identity, values, flow.p_known, flow.p_novel, label)
        )

    def _report(self, episode: Episode, action: Action, time_ns: int) -> None:
        episode.alerts_at_line = episode.alerts
        episode.flows_at_line = episode.flows
        episode.technique_at_line = episode.technique
        episode.verdict_at_line = episode.attack
        episode.habit = self._habit(episode)
        self._items.append(self._builder.alert(episode, action, time_ns - episode.shift_ns, self._dropped))

    def _habit(self, episode: Episode) -> float | None:
        """Share of the learning period in which a claim was there, None for what is no habit, or more than it."""
        if episode.attack or episode.alerts or episode.exemplar is None or not self._settings.habits:
            return None
        subject = subject_of(episode.kind, episode.exemplar.flow.identity, one_port=episode.one_port)
        found = self._settings.habits.get(subject)
        return found[1] if found is not None and episode.level <= BEYOND * found[0] else None


def _subject(kind: int, flow: FlaggedFlow) -> tuple[int, ...]:
    """Whom a claim is about, by addresses and port: its source, its target, or both."""
    sided = "source" if kind == UNSHAPED else SHAPES[kind].sided
    if sided == "source":
        return (flow.source, flow.identity[IP_VERSION])
    if sided == "target":
        return (flow.target, flow.identity[IP_VERSION])
    return (flow.source, flow.target, flow.identity[IP_VERSION])


def _told_by(held: Held) -> Episode:
    """The episode whose alert tells of this one: itself, or a storm."""
    return held.storm if isinstance(held, MergedHost) else held


def _side(held: Held) -> tuple[str, int]:
    """Whom a claim accuses or defends, and the address."""
    about_target = held.kind < UNSHAPED and SHAPES[held.kind].sided == "target"
    return "target" if about_target else "source", held.subject[0]


def _technique(kind: int, flow: FlaggedFlow) -> Technique | None:
    """What ATT&CK calls a kind, by the protocol of the flow that begins it."""
    identity = flow.identity
    if kind == SCAN and identity[PROTOCOL] in (ICMP, ICMP6):
        return technique_of("T1018")
    if kind == BEACON and identity[DST_PORT] not in WEB_PORTS:
        return technique_of("T1571")
    if kind in (FLOOD_FROM, TORRENT) and identity[PROTOCOL] != TCP:
        return technique_of("T1498.001")  # it exhausts the line, as no system keeps a connection of it
    return technique_of(SHAPES[kind].technique)


def _as_it_stands(episode: Episode) -> OpenAlert:
    spread = episode.spread()
    return OpenAlert(
        id=episode.id,
        start_ns=episode.start_ns,
        end_ns=episode.end_ns,
        flows=spread.flows,
        packets=spread.packets,
        failed=spread.failed,
        targets=spread.targets,
        ports=spread.ports,
        origins=spread.origins,
    )
