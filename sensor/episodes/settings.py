"""When episodes open and close."""

from dataclasses import dataclass, field

from flows.meter import FIRST_SNAPSHOT_NS
from sensor.episodes.habits import Habits
from sensor.episodes.shapes import KINDS

FLOWS_BETWEEN_FALSE_OPENINGS = 1e5  # of a bundle that is no one's


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
