"""docs/alerts.md shows what the sensor says of the demo capture, and an alert of each kind."""

import pytest

from docs.alert_book import PAGE, names, with_alerts
from sensor.alerts.techniques import technique_of
from sensor.episodes.shapes import SHAPES
from sensor.synth.generate import DEMO_MINUTES, DEMO_SEED, SCENARIOS, generate
from tests.support.command import flowvigil

pytestmark = [pytest.mark.ux, pytest.mark.takes(12)]


def test_the_page_shows_the_alerts_as_they_are() -> None:
    page = PAGE.read_text()
    assert with_alerts(page, lambda *arguments: flowvigil(*arguments).stdout.decode()) == page, (
        "python -m docs.alert_book writes it anew"
    )


def test_the_page_shows_each_attack_of_the_demo_capture() -> None:
    truth = generate(SCENARIOS, DEMO_SEED, DEMO_MINUTES).truth
    assert set(names(PAGE.read_text())) >= {flow.initiator for flow in truth if flow.attack}


# The generator makes none by itself: the page tells of them in words.
WITHOUT_A_SCENARIO = ("connections to one host that carry nothing, on whatever port",)


@pytest.mark.parametrize("reason", [shape.reason for shape in SHAPES if shape.reason not in WITHOUT_A_SCENARIO])
def test_the_page_shows_an_alert_of_each_kind(reason: str) -> None:
    assert f"; {reason}" in PAGE.read_text()


@pytest.mark.parametrize("identifier", sorted({shape.technique for shape in SHAPES}))
def test_the_page_names_each_technique(identifier: str) -> None:
    technique = technique_of(identifier)
    assert technique is not None
    assert f"Technique   {identifier} {technique.name}" in PAGE.read_text()
