"""docs/alerts.md shows what the sensor says of the demo capture."""

import pytest

from docs.alert_book import PAGE, sources, with_alerts
from sensor.synth.generate import DEMO_MINUTES, DEMO_SEED, SCENARIOS, generate

pytestmark = pytest.mark.ux


def test_the_page_shows_the_alerts_as_they_are() -> None:
    page = PAGE.read_text()
    assert with_alerts(page) == page, "python -m docs.alert_book writes it anew"


def test_the_page_shows_each_attack_of_the_demo_capture() -> None:
    truth = generate(SCENARIOS, DEMO_SEED, DEMO_MINUTES).truth
    assert set(sources(PAGE.read_text())) == {flow.initiator for flow in truth if flow.attack}
