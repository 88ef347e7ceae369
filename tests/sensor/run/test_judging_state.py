"""By what a watch judges, as its accounts say it: the bundle of the moment, and the settings that are in force."""

from types import SimpleNamespace
from typing import Any

import pytest

from sensor.cli.reload import told_settings
from sensor.run.judging_state import JudgingState
from sensor.settings.bearing import changed_settings
from sensor.settings.config import Config, effective_config


def a_judge(warming: tuple[str, ...] | None = None) -> Any:
    site = None if warming is None else SimpleNamespace(warming=warming)
    return SimpleNamespace(rate=None, hybrid=SimpleNamespace(model_id="m", sha256="w", manifest_sha256="h", site=site))


def config(*overrides: str) -> Config:
    return effective_config(overrides=overrides).config


@pytest.mark.parametrize(
    ("warming", "learns", "told"),
    [(None, False, None), (None, True, "learning"), ((), True, None), (("budget",), False, "warming")],
)
def test_a_site_is_learning_until_its_bundle_judges(
    warming: tuple[str, ...] | None, learns: bool, told: str | None
) -> None:
    state = JudgingState(a_judge(warming), {}, learns)()
    assert (state.model_id, state.sha256, state.manifest_sha256, state.site) == ("m", "w", "h", told)


def test_settings_are_those_that_bear_on_what_is_found_and_are_not_the_default() -> None:
    found = changed_settings(config("meter.vlan_in_key=false", "stats.interval_s=5", "capture.filter=tcp"))
    assert found == {"meter.vlan_in_key": "false", "capture.filter": "tcp"}


def test_settings_read_again_are_told_where_a_reload_takes_them_over() -> None:
    started = config("meter.vlan_in_key=false", "episodes.quiet_s=60")
    state = JudgingState(a_judge(), changed_settings(started), False)
    told_settings(started, state, config("meter.decapsulate=true", "episodes.alerts_per_minute=7"), None)  # type: ignore[arg-type]
    assert state().settings == {"meter.vlan_in_key": "false", "episodes.alerts_per_minute": "7"}


def test_the_rate_is_that_by_which_is_judged_not_one_that_was_asked_for_with_a_bundle_that_did_not_load() -> None:
    judge = a_judge()
    state = JudgingState(judge, changed_settings(config()), False)
    told_settings(config(), state, config("detection.false_positive_rate=0.05"), None)  # type: ignore[arg-type]
    assert state().settings == {}
    judge.rate = 0.05
    assert state().settings == {"detection.false_positive_rate": "0.05"}
    judge.rate = 0.01
    assert state().settings == {}
