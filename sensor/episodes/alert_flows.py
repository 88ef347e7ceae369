"""Flows that are given with the ids of alerts: at once where the alert is open, else when it opens."""

from collections.abc import Sequence

from sensor.alerts.alert_flow import AlertFlow
from sensor.episodes.episode import BufferedFlow, Episode, Held, MergedHost, told_by
from sensor.episodes.remembered import RememberedFlows


class AlertFlows:
    """Gives the first flows of each alert under its id, numbered."""

    def __init__(self, labels: Sequence[str], most: int | None, remembered: RememberedFlows) -> None:
        """labels: names by label number, of which there may come more. most: flows of one alert, None: all of them."""
        self.most = most
        self._labels = labels
        self._remembered = remembered

    @property
    def evicted(self) -> int:
        """Flows of episodes that had not opened which gave way to others."""
        return self._remembered.evicted

    def wanted(self, telling: Episode) -> bool:
        """Whether another flow is to be given with the id of this alert."""
        return self.most is None or telling.linked < self.most

    def of(self, held: Held, flow: BufferedFlow) -> list[AlertFlow]:
        """What a flow gives now: itself where it is of an open alert; that of another is remembered."""
        if isinstance(held, MergedHost) or held.opened:
            return self._given(told_by(held), [flow])
        self._remembered.add(held, flow)
        return []

    def opened(self, episode: Episode, telling: Episode) -> list[AlertFlow]:
        """What was remembered of an episode that opens. telling: whose alert tells of it, itself or a storm."""
        return self._given(telling, self._remembered.take(episode))

    def forget(self, episode: Episode) -> None:
        """Remember nothing of an episode any more."""
        self._remembered.take(episode)

    def _given(self, telling: Episode, flows: Sequence[BufferedFlow]) -> list[AlertFlow]:
        given = []
        for flow, values in flows:
            if not self.wanted(telling):
                break
            telling.linked += 1
            label = self._labels[flow.label] if flow.label >= 0 else None
            given.append(
                AlertFlow(telling.id, telling.linked, flow.identity, values, flow.p_known, flow.p_novel, label)
            )
        return given
