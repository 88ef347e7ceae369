"""The shape of an episode: the rule table at its edges, and the words."""

from dataclasses import replace

import pytest

from sensor.alerts.spread import Spread, span_in_words, spread_in_words
from sensor.episodes.shapes import technique_of_spread

S = 1_000_000_000
ONE = Spread(1, 1, 1, 1, False, 1, False, 0, 6, 80)


def named(**changes: int) -> str | None:
    technique = technique_of_spread(replace(ONE, **changes))
    return technique.id if technique else None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({}, None),
        ({"flows": 40, "failed": 40, "ports": 19}, None),
        ({"flows": 40, "failed": 40, "ports": 20}, "T1046"),
        ({"flows": 2, "failed": 2, "ports": 2}, None),
        ({"flows": 3, "failed": 3, "ports": 2}, None),
        ({"flows": 3, "failed": 3, "ports": 3}, "T1046"),
        ({"flows": 20, "failed": 20, "targets": 20}, "T1046"),
        ({"flows": 20, "failed": 20, "targets": 20, "protocol": 1, "ports": 0}, "T1018"),
        ({"flows": 20, "failed": 20, "targets": 20, "protocol": 58, "ports": 0}, "T1018"),
        ({"flows": 99, "failed": 99, "span_ns": S}, None),
        ({"flows": 100, "failed": 100, "span_ns": 10 * S}, "T1499.001"),
        ({"flows": 100, "failed": 100, "span_ns": 11 * S}, None),
        ({"flows": 100, "failed": 100, "span_ns": S, "targets": 5}, None),
        ({"flows": 5000, "failed": 5000, "span_ns": 5 * S, "ports": 4096}, "T1499.001"),
        ({"flows": 5000, "failed": 5000, "span_ns": 6 * S, "ports": 4096}, "T1046"),
    ],
)
def test_the_shape_names_the_technique_of_the_table(shape: dict[str, int], expected: str | None) -> None:
    assert named(**shape) == expected


def test_the_words_state_targets_ports_flows_packets_and_failures() -> None:
    scan = Spread(412, 830, 410, 1, False, 412, False, 9 * S, 6, 80)
    assert spread_in_words(scan) == "412 ports on one host in 9.0 s: 412 flows, 830 packets, 410 flows without any data"
    wide = Spread(9000, 9000, 9000, 4096, True, 4096, True, 7200 * S, 6, 80)
    words = "4,096+ ports on 4,096+ hosts in 2.0 h: 9,000 flows, 9,000 packets, no data exchanged"
    assert spread_in_words(wide) == words
    assert spread_in_words(replace(ONE, failed=0)) == "port 80 on one host in 0 ms: one flow, one packet"
    assert spread_in_words(replace(ONE, protocol=47, ports=0)).startswith("IP protocol 47 to one host")


@pytest.mark.parametrize(
    ("span_ns", "words"),
    [(41_000_000, "41 ms"), (999_900_000, "1.0 s"), (S, "1.0 s"), (119 * S, "119.0 s"), (600 * S, "10 min")],
)
def test_a_span_is_said_in_a_fitting_unit(span_ns: int, words: str) -> None:
    assert span_in_words(span_ns) == words
