"""What a watch tells and does, turn by turn, with reports, clocks and alerts that the test makes."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.batch import FlowBatch
from flows.block import PacketBlock
from flows.meter import Meter
from sensor.alerts.alert import Alert, Endpoint, Observer
from sensor.cli.reload import (
    NotesAgain,
    Reload,
    not_yet_requested,
    reopened_outputs,
    requested_by_signals,
    taken_interval,
)
from sensor.errors import ConfigError, OutputError
from sensor.metering.live import LiveTurns
from sensor.metering.turns import Turn
from sensor.progress.hints import hints
from sensor.progress.progress import OutputState, Progress
from sensor.run.detection import Detection
from sensor.run.outlet import Outlet
from sensor.run.run import Run
from sensor.run.watching import Watching
from sensor.settings.config import Config, effective_config
from sensor.site.notes import Party, Rule, SiteNotes
from sensor.sources.capture import LinkEvent
from tests.support.alerts import an_alert
from tests.support.packets import Packet, block, udp
from tests.support.scripted import SILENCE, T0, ScriptedCapture

HOUR_NS = 3600 * 10**9


@dataclass
class Judge:
    """Finds in each turn what it was told to find."""

    found: list[list[Alert]] = field(default_factory=list)
    flows: int = 0
    judged: int = 0
    spent_ns: int = 0
    merged: int = 0
    one_sided: int = 0
    context_evicted: int | None = None
    stores_evicted: dict[str, int] = field(default_factory=dict)
    bundle: str = "made"
    unjudged: dict[str, int] = field(default_factory=dict)
    episodes: SimpleNamespace = field(default_factory=SimpleNamespace)

    def judge(self, _records: FlowBatch, _dropped: int) -> list[Alert]:
        return self.found.pop(0) if self.found else []

    def finish(self) -> list[Alert]:
        return []


@dataclass
class Screen:
    """Writes down what it is told."""

    notes: list[str] = field(default_factory=list)
    problem: str | None = None
    last: Progress = field(default_factory=Progress)

    def update(self, progress: Progress, _alerts: Sequence[Alert]) -> None:
        self.last = progress

    def note(self, message: str) -> None:
        self.notes.append(message)

    def finish(self, _progress: Progress, problems: Sequence[str] = ()) -> None:
        self.problem = "; ".join(problems) or None


@dataclass
class Lines:
    """Keeps what is written."""

    written: list[dict[str, Any]] = field(default_factory=list)

    def write(self, lines: Sequence[bytes]) -> None:
        self.written += [json.loads(line) for line in lines]

    def of(self, dataset: str) -> list[dict[str, Any]]:
        return [record for record in self.written if record["event"]["dataset"] == f"flowvigil.{dataset}"]


@dataclass
class Stage:
    """A watch over a scripted capture, all its clocks at `now`."""

    capture: ScriptedCapture
    judge: Judge = field(default_factory=Judge)
    screen: Screen = field(default_factory=Screen)
    lines: Lines = field(default_factory=Lines)
    now: float = 0.0

    def watch(self, notes: SiteNotes | None = None, **options: Any) -> tuple[Run, Watching]:
        """The run with a site's notes, and its hook with these options."""
        outlet = Outlet([self.lines])
        detection = Detection(self.judge, outlet, notes=notes)  # type: ignore[arg-type]
        hook = Watching(detection, Observer("test", "0"), clock=lambda: self.now, wall_clock_ns=lambda: T0, **options)
        source = LiveTurns(self.capture, Meter(1024))
        return Run(source, detection, self.screen, [hook], clock=lambda: self.now), hook

    def watched(self, **options: Any) -> None:
        """A watch from its begin to its end."""
        self.watch(**options)[0].run()


def passing(stage: Stage, seconds: float) -> Callable[[], None]:
    def pass_() -> None:
        stage.now += seconds

    return pass_


def test_each_interval_and_the_end_bring_an_account() -> None:
    stage = Stage(ScriptedCapture([]))
    packet = block([udp("10.0.0.1:1", "10.0.0.2:53")])
    stage.capture.turns = [(passing(stage, 4), packet) for _ in range(8)]
    stage.capture.filtered = 5
    stage.watched(interval_s=10)
    accounts = [record["flowvigil"] for record in stage.lines.of("stats")]
    assert [account["received"] for account in accounts] == [8, 11, 13]
    assert [account["packets_per_second"] for account in accounts] == [round(8 / 12, 6), 3 / 12, 2 / 8]
    assert [account["interval_s"] for account in accounts] == [12, 12, 8]
    assert [account["final"] for account in accounts] == [False, False, True]
    assert all(account["difference"] == 0 for account in accounts)


def test_events_are_told_on_every_output_and_the_screen_once() -> None:
    stage = Stage(ScriptedCapture([(lambda: None, SILENCE), (lambda: None, SILENCE)]))
    stage.capture.happened = [LinkEvent("made0", "down", "made0 went down", T0)]
    stage.watched()
    (event,) = stage.lines.of("sensor")
    assert event["event"]["action"] == "interface-down"
    assert event["observer"]["ingress"]["interface"]["name"] == "made0"
    assert stage.screen.notes == ["made0 went down"]


def test_after_a_clock_step_alerts_bear_the_new_time_and_the_step_is_told() -> None:
    stage = Stage(ScriptedCapture([]))

    def step() -> None:
        stage.capture.clock_step_ns = HOUR_NS

    stage.capture.turns = [(lambda: None, SILENCE), (step, SILENCE)]
    before = an_alert(time_ns=T0, start_ns=T0 - 5, end_ns=T0 - 1)
    stage.judge.found = [[before], [before]]
    stage.watched()
    first, second = stage.lines.of("alert")
    assert first["@timestamp"] == "2023-11-14T22:13:20.000000Z"
    assert second["@timestamp"] == "2023-11-14T23:13:20.000000Z"
    assert second["event"]["start"] == "2023-11-14T23:13:19.999999Z"
    assert first["event"]["id"] == second["event"]["id"]
    assert [event["event"]["action"] for event in stage.lines.of("sensor")] == ["clock-step"]
    assert "set forward by 60 min, " in stage.screen.notes[0]


def test_requests_are_handled_once_in_the_next_turn() -> None:
    stage = Stage(ScriptedCapture([]))
    hooks: list[Watching] = []

    def request() -> None:
        hooks[0].requests.stats = hooks[0].requests.reload = True

    stage.capture.turns = [(request, SILENCE), (lambda: None, SILENCE), (lambda: None, SILENCE)]
    run, hook = stage.watch(reload=lambda _watching: ["settings read again"])
    hooks.append(hook)
    run.run()
    assert [event["event"]["action"] for event in stage.lines.of("sensor")] == ["reloaded"]
    assert stage.screen.notes[0] == "settings read again"
    assert len(stage.screen.notes) == 2
    assert "received 0 =" in stage.screen.notes[1]


def one_way(vlan: int, source: str, target: str, at: float) -> Packet:
    return udp(source, target, at=at, vlan=(vlan,) if vlan else ())


def sessions_by_side(count: int, at: float) -> PacketBlock:
    """Questions with a tag, their answers with none."""
    ends = [(f"10.0.0.1:{1000 + number}", "10.0.0.2:53") for number in range(count)]
    return block([one_way(vlan, *pair, at) for one in ends for vlan, pair in ((7, one), (0, one[::-1]))])


SPLIT = "seen with other VLAN tags, or none, on the way back, and metered as two flows each: meter.vlan_in_key: false"


def test_sessions_with_a_tag_one_way_are_told_with_the_first_account_that_knows_enough_of_them() -> None:
    stage = Stage(ScriptedCapture([]))
    silence = [(passing(stage, 6), block([udp("10.0.0.9:1", "10.0.0.8:2", at=at)])) for at in (20, 40, 60, 200)]
    stage.capture.turns = [(passing(stage, 1), sessions_by_side(12, at=0)), *silence]
    stage.watched(interval_s=10)
    told = [record["event"]["action"] for record in stage.lines.written if "action" in record["event"]]
    assert told == ["sessions-split"]
    datasets = [record["event"]["dataset"] for record in stage.lines.written]
    assert datasets == ["flowvigil.sensor", "flowvigil.stats", "flowvigil.stats", "flowvigil.stats"]
    (note,) = stage.screen.notes
    assert note.startswith(f"12 sessions {SPLIT}")
    assert stage.lines.of("stats")[0]["flowvigil"]["split_sessions"] == 12


def test_what_stands_out_late_in_a_long_watch_is_told_though_it_is_a_small_share_of_all() -> None:
    stage = Stage(ScriptedCapture([]))

    def judged(records: int, one_sided: int) -> Callable[[], None]:
        def pass_() -> None:
            stage.now += 1800
            stage.judge.judged, stage.judge.one_sided = records, one_sided

        return pass_

    account = [(0, 0), (1_000_000, 0), (1_001_500, 0), (1_003_000, 990), (1_003_100, 1000), (1_004_800, 2000)]
    stage.capture.turns = [(judged(*counts), SILENCE) for counts in account]
    stage.watched(interval_s=10)
    (note,) = stage.screen.notes
    assert note.startswith("lately 56 % of the flow records show one side of a conversation only")
    assert [event["event"]["action"] for event in stage.lines.of("sensor")] == ["flows-one-sided"]


def test_a_hint_that_rests_on_little_is_a_line_at_the_end_and_the_screens_own_affair() -> None:
    stage = Stage(ScriptedCapture([]))
    stage.capture.turns = [(passing(stage, 11), sessions_by_side(2, at=at)) for at in (0, 100)]
    stage.watched(interval_s=10)
    assert [event["event"]["action"] for event in stage.lines.of("sensor")] == ["sessions-split"]
    assert stage.lines.of("sensor")[0]["flowvigil"]["message"].startswith(f"2 sessions {SPLIT}")
    assert stage.screen.notes == []
    assert [hint.action for hint in hints(stage.screen.last)] == ["sessions-split"]


@pytest.mark.parametrize(("behind_s", "told"), [(0.5, True), (0.001, False)])
def test_packets_far_out_of_order_are_told_with_how_far_and_how_to_mend_it(behind_s: float, told: bool) -> None:
    """Two cards, each with a clock of its own; what cores mix by a little is no matter."""
    stage = Stage(ScriptedCapture([]))
    times = [number / 10 - (number % 2) * (0.1 + behind_s) for number in range(100)]
    packets = block([udp("10.0.0.1:1", "10.0.0.2:53", at=5 + at) for at in times])
    stage.capture.turns = [(passing(stage, 11), packets), (passing(stage, 11), SILENCE)]
    stage.watched(interval_s=10)
    expected = (
        f"50 % of the packets came after others stamped up to {behind_s:.2f} s later, which blurs the gaps "
        "between them: set the cards' clocks by the system's, or let the kernel stamp (capture.timestamps: kernel)"
    )
    assert stage.screen.notes == ([expected] if told else [])


class Unread:
    """Outputs whose stdout nobody reads any more."""

    broken_pipe = over = failed = True
    lost = 0
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def write(self, lines: Sequence[bytes]) -> None:
        pass

    def states(self) -> tuple[OutputState, ...]:
        return ()

    def close(self) -> None:
        pass


def test_a_watch_whose_reader_has_gone_ends() -> None:
    stage = Stage(ScriptedCapture([(lambda: None, SILENCE)] * 50))
    run, _ = stage.watch()
    run.consumer.outlet.outputs = Unread()  # type: ignore[attr-defined]
    run.run()
    assert stage.capture.stopped
    assert stage.capture.closed


class Broken:
    """Turns that end unasked."""

    ends_by_itself = False
    problems = ("worker 1 ended unasked",)
    remarks = ()

    def __iter__(self) -> Iterator[Turn]:
        yield from LiveTurns(ScriptedCapture([(lambda: None, SILENCE)]), Meter(1024))

    def stop(self) -> None:
        raise AssertionError


def test_why_it_ended_unasked_is_told() -> None:
    stage = Stage(ScriptedCapture([]))
    run, _ = stage.watch()
    run.turns = Broken()
    run.run()
    assert stage.screen.problem == "worker 1 ended unasked"
    assert stage.lines.of("stats")[-1]["flowvigil"]["final"]


def test_the_watchdog_is_fed_in_every_turn() -> None:
    fed: list[int] = []
    stage = Stage(ScriptedCapture([(lambda: None, SILENCE)] * 7))
    stage.watched(alive=lambda: fed.append(1))
    assert len(fed) == 8


def test_alerts_opened_are_in_the_totals_of_the_last_account() -> None:
    stage = Stage(ScriptedCapture([(lambda: None, SILENCE)]))
    opened = an_alert(time_ns=T0, start_ns=T0, end_ns=T0)
    stage.judge.found = [[opened, replace(opened, id="B", verdict="uncertain")]]
    stage.watched()
    assert stage.lines.of("stats")[-1]["flowvigil"]["alerts"] == {
        "opened": 2,
        "attack": 1,
        "uncertain": 1,
        "merged": 0,
    }


# Notes of the site

OURS = SiteNotes(rules=(Rule("ours", source=Party("192.0.2.10", (ip_network("192.0.2.10"),))),))


def told_of(*alerts: Alert, notes: SiteNotes | None) -> tuple[Stage, Progress]:
    """A watch that finds one alert a turn."""
    stage = Stage(ScriptedCapture([(lambda: None, SILENCE)] * len(alerts)))
    stage.judge.found = [[each] for each in alerts]
    run, _ = stage.watch(notes)
    run.run()
    return stage, run.progress


def test_muted_alerts_are_counted_apart_and_an_account_tells_them() -> None:
    other = Endpoint("192.0.2.11", 1, 2, 3)
    stage, progress = told_of(an_alert(), an_alert(id="B", source=other, verdict="uncertain"), notes=OURS)
    assert (progress.alerts, progress.attacks, progress.uncertain, progress.muted) == (1, 0, 1, 1)
    assert stage.lines.of("stats")[-1]["flowvigil"]["alerts"] == {
        "opened": 1, "attack": 0, "uncertain": 1, "merged": 0, "muted": 1,
    }  # fmt: skip
    assert [alert["flowvigil"].get("muted") for alert in stage.lines.of("alert")] == [
        {"by": "rule 192.0.2.10 -> any", "why": "ours"}, None,
    ]  # fmt: skip


def test_what_counters_show_never_goes_back() -> None:
    opened = an_alert(id="B", verdict="uncertain")
    attack = replace(opened, action="updated", verdict="attack")
    _, progress = told_of(opened, attack, an_alert(id="C", verdict="uncertain"), notes=None)
    assert (progress.attacks, progress.uncertain, progress.opened_uncertain) == (1, 1, 2)


def test_an_alert_that_goes_beyond_its_note_counts_from_there_on() -> None:
    more = replace(an_alert().spread, origins=9)
    course = [an_alert(), an_alert(action="updated", spread=more), an_alert(action="closed", spread=more)]
    _, progress = told_of(*course, notes=OURS)
    assert (progress.alerts, progress.attacks, progress.muted) == (1, 1, 0)


@dataclass
class Reopened:
    """Outputs that are opened anew."""

    times: int = 0

    def reopen(self, _path: Path | None) -> int:
        self.times += 1
        return 0


def test_notes_are_not_in_force_where_the_rest_was_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("home: 10.0.0.0/8\n")
    config = effective_config(overrides=[f"site.file={path}"]).config
    notes = NotesAgain(config)

    def fails(_config: Config, _watching: Watching) -> str:
        raise ConfigError("no space left")

    _, hook = Stage(ScriptedCapture([])).watch()
    assert Reload(lambda: config, config, (notes.read, fails, notes.take_over))(hook) == [
        "not taken over: no space left"
    ]
    assert hook.detection.notes is None


def test_a_reload_takes_over_notes_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    path, outputs = tmp_path / "site.yaml", Reopened()
    path.write_text("rules:\n  - {source: 192.0.2.10, why: ours}\n")
    config = effective_config(overrides=[f"site.file={path}", "stats.interval_s=30"]).config
    notes = NotesAgain(config)
    takers = (
        notes.read,
        partial(reopened_outputs, outputs, had_file=False),  # type: ignore[arg-type]
        taken_interval,
        notes.take_over,
    )
    reload = Reload(lambda: config, config, takers)
    stage = Stage(ScriptedCapture([]))
    _, hook = stage.watch(reload=reload)
    assert reload(hook) == [f"settings read again, 1 rule and no assets of {path}"]
    taken_over = hook.detection.notes
    assert taken_over is not None
    assert taken_over.of(an_alert()).muted is not None
    hook.interval_s = 10
    path.write_text("rules:\n  - {source: 192.0.2.10, wy: ours}\n")
    (line,) = reload(hook)
    assert line.startswith(f"not taken over: {path}:2:5: rules.0.why is missing")
    assert (hook.detection.notes, hook.interval_s, outputs.times) == (taken_over, 10, 1)
    path.unlink()
    (line,) = reload(hook)
    assert line.startswith(f"not taken over: {path}: no such file")
    assert hook.detection.notes == taken_over


def test_settings_that_came_by_a_pipe_are_not_read_again(tmp_path: Path) -> None:
    """They would be empty by now, or keep whoever reads them waiting."""
    pipe, config = tmp_path / "pipe", effective_config().config
    os.mkfifo(pipe)
    _, hook = Stage(ScriptedCapture([])).watch()
    (line,) = Reload(lambda: effective_config(pipe).config, config, (), pipe)(hook)
    assert line == f"not taken over: {pipe}: is a pipe or a device, expected a file: settings can be read again then"


@pytest.mark.parametrize(("before", "after", "told"), [("", "a", True), ("a", "", True), ("a", "b", False)])
def test_a_file_of_alerts_where_there_was_none_takes_a_restart(before: str, after: str, told: bool) -> None:
    at_start, now = (effective_config(overrides=[f"output.file={name}"]).config for name in (before, after))
    _, hook = Stage(ScriptedCapture([])).watch()
    lines = Reload(lambda: now, at_start, ())(hook)
    assert ("only a restart takes over output.file" in lines) is told


def test_what_is_requested_before_the_watch_can_do_it_is_done_then() -> None:
    _, hook = Stage(ScriptedCapture([])).watch()
    with not_yet_requested() as requested:
        signal.raise_signal(signal.SIGHUP)
        with requested_by_signals(hook, requested):
            assert (hook.requests.reload, hook.requests.stats) == (True, False)
            signal.raise_signal(signal.SIGUSR1)
            assert hook.requests.stats


def test_an_output_that_cannot_be_reopened_keeps_nothing_else_from_being_taken_over() -> None:
    class Refused:
        def reopen(self, path: Path | None) -> int:
            raise OutputError(f"{path}: permission denied")

    config = effective_config(overrides=["output.file=a", "stats.interval_s=30"]).config
    _, hook = Stage(ScriptedCapture([])).watch()
    takers = (partial(reopened_outputs, Refused(), had_file=True), taken_interval)  # type: ignore[arg-type]
    assert Reload(lambda: config, config, takers)(hook) == [
        "settings read again, not all outputs reopened, which go on as they were (a: permission denied)"
    ]
    assert hook.interval_s == 30
