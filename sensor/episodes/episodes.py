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
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_PORT, FlowBatch
from models.fusion import Hybrid, Judgement
from sensor.alerts.alert import Action, Alert, ModelIdentity
from sensor.alerts.alert_flow import AlertItem
from sensor.alerts.techniques import Technique, technique_of
from sensor.episodes.alert_flows import AlertFlows
from sensor.episodes.alerting import AlertBuilder, episode_id
from sensor.episodes.behaviour import Behaviour
from sensor.episodes.deadlines import SLOW, due_ns
from sensor.episodes.distinct import DistinctBudget
from sensor.episodes.episode import BufferedFlow, Episode, FlaggedFlow, Held, MergedHost, told_by
from sensor.episodes.evidence import EVIDENCE_LIMIT, EvidenceTable
from sensor.episodes.habits import habit_of
from sensor.episodes.holding import HeldEpisodes, Key
from sensor.episodes.model_words import ModelLabels, cuts_of, moved_most_of
from sensor.episodes.reasons import Explainer
from sensor.episodes.remembered import RememberedFlows
from sensor.episodes.rows import translate_exemplars
from sensor.episodes.settings import EpisodeSettings
from sensor.episodes.shapes import (
    GUESSES_AGREED,
    GUESSING,
    LOGIN_PORTS,
    MOSTLY,
    SHAPES,
    SUPPORTING,
    UNSHAPED_FLOWS,
    UPLOAD_LABEL,
)
from sensor.episodes.storms import Storms
from sensor.episodes.subjects import claimed_side, claimed_subject, claimed_technique
from sensor.episodes.telling import UNSHAPED, NamesOf, as_it_stands, exemplar_of, no_names, told
from sensor.episodes.unshaped import never_met, unshaped
from sensor.progress.progress import OpenAlert

GROWTH = 10  # an open episode is reported again when its flows have grown by this factor
ASK_AGAIN_NS = 10_000_000_000  # between two looks whether what made an open alert harmless still does
_NEVER_NS = 2**63
STORM = UNSHAPED + 1  # a kind beside those of the shapes and of what none accounts for


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
        self._labels = ModelLabels(labels, techniques)
        self._builder = builder
        self._settings = settings
        self._storms = Storms(settings.alerts_per_minute)
        # Whether a site's notes mute an alert, which then takes no other's place; None without notes.
        self.mutes: Callable[[Alert], bool] | None = None
        self.names_of: NamesOf = no_names  # what traffic said of a flow that is shown; nothing is judged by it
        self._cuts = (cut_known, cut_novel)
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
        self._flows = AlertFlows(self._labels.names, settings.flows_per_alert, RememberedFlows())
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
            "waiting flows": self._flows.evicted,
            "evidence": self._table.evicted,
            **self._behaviour.evicted,
        }

    def open_alerts(self, most: int) -> list[OpenAlert]:
        """Open episodes as they stand, at most so many: storms, then those that moved last, in the flows' own time."""
        episodes = (held for held in self.held.told() if isinstance(held, Episode) and held.opened)
        return [as_it_stands(episode) for episode in islice(episodes, most)]

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
        judgement = self._labels.numbered(judgement)
        kinds = self._labels.kinds_of(judgement, self._cuts[0])
        claims = self._behaviour.observe(batch, kinds)
        self._never_met += never_met(batch, judgement, claims)
        findings = self._table.observe(batch, *unshaped(judgement, claims, kinds))
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
            telling = told_by(held)
            if telling.exemplar is None or flow.strength < telling.exemplar.flow.strength:
                telling.exemplar = exemplar_of(flow, batch, rows, judgement, self.names_of)
            if flow.label >= 0 and self._labels.kind_of(flow.label) == SUPPORTING.get(kind):
                held.supported += 1
            if self._flows.wanted(telling):
                self._items += self._flows.of(held, BufferedFlow(flow, batch.values[flow.row].copy()))
            self._weigh((kind, row), held, flow, level)
            if kind in SLOW:
                self._hasten((kind, row))
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
        self._flows.most = settings.flows_per_alert
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
        self._labels.exchange(hybrid.labels, hybrid.techniques)
        if before.contract != hybrid.contract:
            translate_exemplars(self.held, before, hybrid)
        explainer = Explainer(hybrid.normal)
        self._builder.exchange(
            labels=tuple(self._labels.names),
            explainer=explainer,
            model=ModelIdentity(hybrid.model_id, hybrid.sha256),
            top_columns=moved_most_of(hybrid, rate, explainer),
        )

    def finish(self) -> list[AlertItem]:
        """Close every open episode, in the order in which they would have closed."""
        self._close_until(_NEVER_NS)
        return self._drain()

    def _drain(self) -> list[AlertItem]:
        items, self._items = self._items, []
        return items

    def _holder(self, kind: int, row: int, flow: FlaggedFlow) -> Held:
        """The episode that a flow belongs to, begun where there is none, or the host that a storm stands for."""
        key = (kind, row)
        claimed = claimed_subject(kind, flow)
        held = self.held.find(key)
        if held is not None:
            if held.subject == claimed and not told_by(held).closed:
                self.held.moved(key)
                return held
            self.held.let_go(key)  # its row was given to another, or its storm is over
            self._end(held, self._clock_ns)
        self._ordinal += 1
        technique = None if kind == UNSHAPED else claimed_technique(kind, flow)
        episode = Episode(kind, claimed, technique, flow, self._ordinal, self._budget)
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
        if label < 0 or self._labels.kind_of(label) != UPLOAD_LABEL or episode.labels[label] < MOSTLY * episode.flows:
            return None
        return technique_of(self._labels.techniques[label])

    def _open(self, key: Key, episode: Episode) -> Episode:
        """Tell of an episode that waited, on its own or in a storm; returns which of the two tells of it."""
        episode.opened = True
        self._open_claims[claimed_side(episode)] += 1
        if episode.kind in SLOW:
            self.held.look_at(key, episode, self._due_ns(episode))  # sooner than one that may open yet is forgotten
        muted = None if self.mutes is None else partial(self._muted, self.mutes, episode)
        telling = episode
        if self._storms.admits(self._clock_ns, attack=episode.attack, muted=muted):
            self._end_evicted(self.held.open(key))
            self._begin(episode)
        else:
            telling = self._merge(key, episode)
        self._items += self._flows.opened(episode, telling)
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
        draft = self._builder.draft(episode, self._clock_ns)
        episode.muted = mutes(replace(draft, id=episode.id) if episode.id else draft)
        episode.extent_asked, episode.asked_ns = episode.extent, self._clock_ns
        return episode.muted

    def _begin(self, episode: Episode) -> None:
        episode.id = episode_id(episode, self._clock_ns)
        self._report(episode, "opened", self._clock_ns)

    def _due_ns(self, episode: Held) -> int:
        return due_ns(episode, self._settings.quiet_ns, self._clock_ns)

    def _hasten(self, key: Key) -> None:
        """Look sooner at what was slow when its deadline was reckoned and is not any more, and at its storm."""
        held = self.held.find(key)
        if held is None or not held.opened:
            return
        due_ns = self._due_ns(held)
        if held.due_ns - due_ns > self._settings.quiet_ns:
            self.held.look_at(key, held, due_ns)
        if isinstance(held, MergedHost):
            self._hasten((STORM, held.storm.order))

    def _report_progress(self, episode: Episode) -> None:
        """Write an update when flows or hosts have grown tenfold, the verdict changed, or it is harmless no more."""
        grown = episode.flows >= GROWTH * episode.flows_at_line or episode.alerts >= GROWTH * max(
            1, episode.alerts_at_line
        )
        if grown or episode.attack != episode.verdict_at_line or self._outgrown(episode):
            self._report(episode, "updated", self._clock_ns)

    def _outgrown(self, episode: Episode) -> bool:
        """Whether it has gone beyond the habit of the site or the note that made its last line harmless."""
        if not (episode.muted or episode.habit is not None) or self._clock_ns - episode.asked_ns < ASK_AGAIN_NS:
            return False
        episode.asked_ns = self._clock_ns
        if episode.habit is not None and habit_of(episode, self._settings.habits) is None:
            return True
        if not episode.muted or self.mutes is None or episode.extent == episode.extent_asked:
            return False
        return self._storms.may_ask_again(self._clock_ns) and not self._muted(self.mutes, episode)

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
            self._flows.forget(held)
        if held.opened and held.subject:  # a storm is about nobody
            side = claimed_side(held)
            self._open_claims[side] -= 1
            if not self._open_claims[side]:
                del self._open_claims[side]
        held.end()

    def _report(self, episode: Episode, action: Action, time_ns: int) -> None:
        episode.alerts_at_line = episode.alerts
        episode.flows_at_line = episode.flows
        episode.verdict_at_line = episode.attack
        episode.habit = habit_of(episode, self._settings.habits)
        self._items.append(self._builder.alert(episode, action, time_ns - episode.shift_ns, self._dropped))
