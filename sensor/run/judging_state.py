"""By what a watch judges at a moment: its bundle, which may be exchanged, and its settings, which may be read again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sensor.alerts.sensor_records import SensorState
from sensor.judging.judge import Judge
from sensor.settings.bearing import text_of
from sensor.settings.config import Config

RATE: Final = "detection.false_positive_rate"
_USUAL_RATE: Final = Config().detection.false_positive_rate


@dataclass(slots=True)
class JudgingState:
    """What the accounts of a watch say of it."""

    judge: Judge
    settings: Mapping[str, str]  # that bear on what is found and are not the default; the rate is the judge's own
    learns_site: bool  # whether a site is learnt beside the watch, until its bundle judges

    def __call__(self) -> SensorState:
        """As it is now."""
        hybrid = self.judge.hybrid
        site = hybrid.site
        warming = None if site is None or not site.warming else "warming"
        state = "learning" if self.learns_site and site is None else warming
        settings = {name: value for name, value in self.settings.items() if name != RATE}
        # One that was asked for comes with a bundle that has it, or never.
        if self.judge.rate not in (None, _USUAL_RATE):
            settings[RATE] = text_of(self.judge.rate)
        return SensorState(hybrid.model_id, hybrid.sha256, hybrid.manifest_sha256, settings, state)
