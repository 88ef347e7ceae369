"""What to do next: for each technique that a shape or a label can name, and where it is not sure."""

from operator import attrgetter

import pytest

from sensor.alerts.alert_record import STEPS_SHOWN, alert_document
from sensor.alerts.playbook import playbook_of
from sensor.alerts.techniques import TECHNIQUES, Technique, technique_of
from sensor.episodes.shapes import SHAPES
from tests.support.alerts import an_alert

pytestmark = pytest.mark.ux

_OF_SHAPES = [technique for shape in SHAPES if (technique := technique_of(shape.technique))]
NAMED: set[Technique] = {*TECHNIQUES, *_OF_SHAPES}


@pytest.mark.parametrize("technique", sorted(NAMED, key=attrgetter("id")))
def test_every_technique_says_what_it_means_and_what_to_do(technique: Technique) -> None:
    found = playbook_of(an_alert(technique=technique))
    assert found != playbook_of(an_alert(technique=None))
    told = alert_document(an_alert(technique=technique, verdict="uncertain"))["flowvigil"]["next"]
    assert tuple(told[1:]) == found.steps
    assert len(told) <= STEPS_SHOWN
    assert all(len(step) <= 200 for step in told)


def test_what_is_uncertain_is_asked_about_before_anything_is_done() -> None:
    documents = [alert_document(an_alert(verdict=verdict)) for verdict in ("attack", "uncertain")]
    sure, unsure = (document["flowvigil"]["next"] for document in documents)
    assert unsure[0].startswith("Uncertain: ")
    assert unsure[1:] == sure


def test_unusual_traffic_has_no_technique_to_doubt() -> None:
    sure, unsure = (playbook_of(an_alert(technique=None, verdict=verdict)) for verdict in ("attack", "uncertain"))
    assert unsure == sure


@pytest.mark.parametrize(
    ("technique", "word"),
    [("T1498.002", "never asked for"), ("T1071.001", "beat"), ("T1571", "port"), ("T1071.004", "resolver"),
     ("T1095", "echoes"), ("T1572", "orders")],
)  # fmt: skip
def test_command_and_control_and_reflection_have_their_own(technique: str, word: str) -> None:
    assert word in playbook_of(an_alert(technique=technique_of(technique))).meaning
