"""What `baseline` learns from and with: records of captures or flow logs, and the sensor's judging by its settings."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from flows.batch import FlowBatch
from models.forest import IsolationForest
from models.fusion import Hybrid
from models.scaling import fit_scaling
from sensor import log
from sensor.baseline.judged import Records
from sensor.baseline.record_file import RecordFile
from sensor.cli.build import build_row_maker, checked_rate, episode_settings, observer, without_names
from sensor.cli.reading import capture_turns
from sensor.episodes.candidates import CandidateEpisodes
from sensor.episodes.made import episodes_of
from sensor.episodes.shapes import KIND_NAMES
from sensor.errors import InputError, OutputError, reason_of
from sensor.flow_log.reading import FlowLog
from sensor.judging.judge import RowMaker, Rows
from sensor.progress.words import first_problems
from sensor.settings.config import Config
from sensor.site.notes import SiteNotes
from training.memory import check

_TELL_S: Final = 5.0  # between two lines of progress


class SiteSensor:
    """The sensor's judging by settings (sensor.baseline.learning.LearningSensor)."""

    def __init__(self, config: Config, notes: SiteNotes | None = None) -> None:
        """notes: of the site, whose muted alerts are candidates as such."""
        self._config = config
        self._notes = notes

    def row_maker(self, hybrid: Hybrid) -> RowMaker | None:
        """What makes a bundle's rows."""
        return build_row_maker(hybrid, self._config.episodes.capacity_hosts)

    def episodes(self, hybrid: Hybrid, threshold: float, levels: Mapping[str, float]) -> CandidateEpisodes:
        """Episodes of which no alert is made, at such thresholds, that give every flow."""
        settings = replace(
            episode_settings(self._config, hybrid),
            threshold=threshold,
            levels=tuple(levels.get(kind, 1.0) for kind in KIND_NAMES[:-1]),
            habits={},
            flows_per_alert=None,
        )
        rate = checked_rate(self._config, hybrid)
        episodes = episodes_of(hybrid, observer(self._config), rate, settings, CandidateEpisodes)
        assert isinstance(episodes, CandidateEpisodes)  # noqa: S101  # it is what was asked for
        notes = self._notes
        if notes is not None:
            episodes.mutes = lambda alert: notes.of(alert).muted is not None
        return episodes


def fit_forest(columns: Mapping[str, int], rows: Rows, trees: int, sample: int, seed: int) -> IsolationForest:
    """A forest of normal rows (sensor.baseline.lanes.FitForest)."""
    from training.fit.forests import fit_isolation_forest

    return fit_isolation_forest(fit_scaling(rows, columns), rows, trees, sample, seed)


@contextmanager
def records_of_captures(
    config: Config, captures: Sequence[str], directory: Path
) -> Iterator[tuple[Records, list[str]]]:
    """Records of captures, kept in a file without a name while they are learnt from; and what could not be read.

    directory: of that file. Raises InputError, OutputError, and ConfigError for a filter.
    """
    turns = capture_turns(without_names(config), captures)
    with _kept_in(directory):
        kept = RecordFile(directory)
    with closing(kept):
        with _kept_in(directory):
            told_s = time.monotonic()
            for turn in turns:
                kept.add(turn.records)
                check("metering")
                if time.monotonic() - told_s >= _TELL_S:
                    told_s = time.monotonic()
                    share = f", {100 * turn.totals.bytes_read / turn.totals.size:.0f} %" if turn.totals.size else ""
                    log.progress(f"metering: {len(kept):,} records{share}")
            kept.flush()
        problems = list(turns.problems)
        yield SameRecords(kept.batches, problems), problems


@contextmanager
def _kept_in(directory: Path) -> Iterator[None]:
    """Raise OutputError where records cannot be kept in the directory."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{directory}: flow records cannot be kept there while they are learnt from: {reason_of(error)}"
        ) from error


@contextmanager
def records_of_logs(paths: Sequence[str]) -> Iterator[tuple[Records, list[str]]]:
    """Records of flow logs and flow tables; what could not be read of them is known when they were gone through.

    Raises InputError.
    """
    flow_log = FlowLog(paths)
    yield SameRecords(flow_log.batches, flow_log.problems), flow_log.problems
    for remark in first_problems(flow_log.remarks):
        log.info(remark)


class SameRecords:
    """Records that are gone through several times, as many each time, within the memory that the command may have."""

    def __init__(self, records: Records, problems: Sequence[str]) -> None:
        """problems: what could not be read so far, to which each time through may add."""
        self._records = records
        self._problems = problems
        self._count: int | None = None
        self._known = 0  # problems of the first time through

    def __call__(self) -> Iterator[FlowBatch]:
        """All records. Raises InputError where they are not as many as before, MemoryBoundError."""
        count = 0
        for batch in self._records():
            count += len(batch)
            if self._count is not None and count > self._count:
                break
            yield batch
            check("learning from the site's traffic")
        if self._count not in (None, count):
            problem = (
                f"found {count:,} flow records, {self._count:,} a moment ago; expected files that stay as they are"
            )
            raise InputError(problem, *first_problems(self._problems[self._known :]))
        if self._count is None:
            self._count, self._known = count, len(self._problems)
