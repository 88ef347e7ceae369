"""What is assembled alike for captures (sensor.cli.reading) and for interfaces (sensor.cli.watching)."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.alerts.kinds import timestamp

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.flow_log.recorder import FlowRecorder
    from sensor.run.detection import Detection
    from sensor.run.run import Hook, Run
    from sensor.settings.config import Config
    from sensor.site.marking import Marking
    from sensor.site.notes import SiteNotes


@dataclass(frozen=True, slots=True)
class AssembledRun:
    """A run that is ready to start."""

    run: "Run"
    detection: "Detection"  # the consumer of its turns: judge, outputs and kept packets


def started(stack: ExitStack, recorder: "FlowRecorder | None") -> "FlowRecorder | None":
    """The recorder with its thread, which ends with the stack."""
    return None if recorder is None else stack.enter_context(recorder)


def marking_of(config: "Config", notes: "SiteNotes | None", detection: "Callable[[], Detection]") -> "Marking | None":
    """What a screen writes to the site's notes with; None without any. detection: of the run, once it is made."""
    if config.site.file is None or notes is None:
        return None
    from sensor.site.marking import Marking

    def take_over(changed: "SiteNotes") -> None:
        detection().notes = changed

    return Marking(config.site.file, notes, take_over, lambda: timestamp(time.time_ns())[:19] + "Z")


def site_hooks(hybrid: "Hybrid") -> "list[Hook]":
    """What says that the bundle's site is warming; nothing where it is not, or where the bundle knows of no site."""
    from sensor.episodes.learned_site import warming_site

    words = "" if hybrid.site is None else warming_site(hybrid.site)
    if not words:
        return []
    from sensor.run.warming import WarmingNote

    return [WarmingNote(words)]


def drift_hooks(detection: "Detection") -> "list[Hook]":
    """What tells of drift; nothing where it is not looked for."""
    if detection.drift is None:
        return []
    from sensor.run.drifting import Drifting

    return [Drifting(detection, detection.drift)]
