"""The attacks of a rehearsal: all techniques, and in the time that a site's traffic has."""

import pytest

from sensor.episodes.shapes import SHAPES
from sensor.rehearsal.episode import made
from sensor.rehearsal.repertoire import SHARE, repertoire

HOUR_S = 3600.0


@pytest.mark.parametrize("site_s", [600.0, 24 * HOUR_S])
def test_every_technique_of_a_shape_is_in_it_and_fits_into_the_traffic(site_s: float) -> None:
    episodes = [made(scenario) for scenario in repertoire(site_s) if not scenario.name.endswith("-guessing")]
    techniques = {episode.technique for episode in episodes}
    assert {shape.technique for shape in SHAPES} - techniques <= {"T1110.001"}  # guessing names the parent
    longest_s = max((episode.end_ns - episode.start_ns) / 1e9 for episode in episodes)
    assert longest_s <= SHARE * site_s


def test_what_repeats_is_as_slow_as_the_traffic_allows() -> None:
    def beacon_s(site_s: float) -> float:
        beacon = next(made(scenario) for scenario in repertoire(site_s) if scenario.name == "tls-beacon")
        return (beacon.end_ns - beacon.start_ns) / 1e9

    assert 250 < beacon_s(600) < 420
    assert 0.3 * HOUR_S < beacon_s(HOUR_S) < 0.7 * HOUR_S
    assert beacon_s(48 * HOUR_S) == pytest.approx(31 * 300, rel=0.1)
