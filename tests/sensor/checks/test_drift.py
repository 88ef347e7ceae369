"""The check of drift: what would be compared here, and what not."""

from dataclasses import replace

from sensor.checks.drift import drift
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.cli.build import build_judge, build_meter, load_model
from sensor.settings.config import Config, DriftSection
from tests.support.drifting import made_hybrid


def context(section: DriftSection, *, shifts: bool) -> CheckContext:
    cache = Observation("")
    found = CheckContext(Config(drift=section), (), cache, load_model, build_meter, build_judge)
    return replace(found, shifts_are_watched=shifts, hybrid=made_hybrid({"site": {"alerts_per_day": 3}}))


def test_it_says_what_is_compared_and_whose_rate_holds() -> None:
    assert drift(context(DriftSection(), shifts=True)).message == (
        "columns and scores compared day by day; alerts held to 3 a day"
    )
    assert "alerts held to 7.5 a day" in drift(context(DriftSection(alerts_per_day=7.5), shifts=True)).message


def test_it_says_what_is_not_watched_without_the_package() -> None:
    found = drift(context(DriftSection(), shifts=False))
    assert "shifts of scores within a day not: river is not installed (pip install 'flowvigil[home]')" in found.message
    assert found.status is CheckStatus.OK


def test_without_a_rate_and_without_a_model_it_says_so() -> None:
    rateless = replace(context(DriftSection(), shifts=True), hybrid=made_hybrid())
    assert "the rate of alerts not: nobody asked for one (drift.alerts_per_day)" in drift(rateless).message
    assert drift(replace(rateless, hybrid=None)).status is CheckStatus.SKIPPED
    assert drift(context(DriftSection(runs="none"), shifts=True)).status is CheckStatus.SKIPPED
