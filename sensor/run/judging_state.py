"""By what a watch judges at a moment: its bundle, which may be exchanged, and its settings, which may be read again."""

from collections.abc import Mapping
from dataclasses import dataclass

from sensor.alerts.sensor_records import SensorState
from sensor.judging.judge import Judge


@dataclass(slots=True)
class JudgingState:
    """What the accounts of a watch say of it."""

    judge: Judge
    settings: Mapping[str, str]  # that bear on what is found and are not the default
    learns_site: bool  # whether a site is learnt beside the watch, until its bundle judges

    def __call__(self) -> SensorState:
        """As it is now."""
        hybrid = self.judge.hybrid
        site = hybrid.site
        warming = None if site is None or not site.warming else "warming"
        state = "learning" if self.learns_site and site is None else warming
        return SensorState(hybrid.model_id, hybrid.sha256, hybrid.manifest_sha256, dict(self.settings), state)
