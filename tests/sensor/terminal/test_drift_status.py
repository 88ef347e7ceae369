"""What holds of drift, wherever a run is shown: the status, the summaries, the metrics."""

import io

from prometheus_client.core import CollectorRegistry
from prometheus_client.exposition import generate_latest
from rich.console import Console

from sensor.progress.latest import Latest
from sensor.progress.progress import DriftState, Progress
from sensor.progress.prometheus import PrometheusCollector
from sensor.terminal.glyphs import glyphs_for
from sensor.terminal.plain_screens import SummaryLine
from sensor.terminal.status import status, summary, warning_lines

HOLDS = Progress(drift=DriftState(("columns-changed", "alerts-more"), 1.5, 9.5, 5.0))
CALM = Progress(drift=DriftState((), 0.02, 4.5, 5.0))
WORDS = "drift: columns-changed, alerts-more"


def shown(progress: Progress, *, ended: bool) -> str:
    console = Console(file=io.StringIO(), width=100)
    glyphs = glyphs_for(console)
    console.print(
        summary(progress, "watch", "eth0", [], [], glyphs) if ended else status(progress, "watch", "eth0", 0.0, glyphs)
    )
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def metrics(progress: Progress) -> dict[str, str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PrometheusCollector(Latest(progress)))
    lines = generate_latest(registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("flowvigil_drift"))


def test_what_holds_stands_in_the_status_and_in_every_summary() -> None:
    assert WORDS in warning_lines(HOLDS)
    assert WORDS in shown(HOLDS, ended=False)
    assert WORDS in shown(HOLDS, ended=True)
    stream = io.StringIO()
    SummaryLine(stream, "watch", "eth0").finish(HOLDS)
    assert f"{WORDS}, " in stream.getvalue()


def test_what_does_not_hold_is_not_spoken_of() -> None:
    assert "drift" not in shown(CALM, ended=False) + shown(CALM, ended=True)
    assert "drift" not in shown(Progress(), ended=True)


def test_the_metrics_have_what_holds_and_the_numbers_that_are_known() -> None:
    assert metrics(HOLDS) == {
        'flowvigil_drift{condition="columns-changed"}': "1.0",
        'flowvigil_drift{condition="alerts-more"}': "1.0",
        "flowvigil_drift_conditions": "2.0",
        "flowvigil_drift_psi_max": "1.5",
        "flowvigil_drift_alerts_per_day": "9.5",
        "flowvigil_drift_alerts_per_day_asked": "5.0",
    }
    assert metrics(Progress(drift=DriftState())) == {"flowvigil_drift_conditions": "0.0"}
    assert metrics(Progress()) == {}
