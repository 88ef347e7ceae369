"""The shape of a technique: the table at its edges, what labels support, and the words of a spread."""

from dataclasses import replace

import pytest

from sensor.alerts.spread import Spread, span_in_words, spread_in_words
from sensor.alerts.techniques import TECHNIQUES
from sensor.episodes import shapes
from sensor.episodes.shapes import KINDS, SHAPES, SUPPORTING, label_kind
from tests.support.edges import EDGES
from tests.support.episodes import Flow, S, alerts_of

ONE = Spread(1, 1, 1, 1, False, 1, False, 0, 6, 80)


def told(flows: list[Flow]) -> set[tuple[str, str]]:
    """Technique and verdict of each alert at its end."""
    alerts = alerts_of(sorted(flows, key=lambda flow: flow.at))
    return {(a.technique.id if a.technique else "", a.verdict) for a in alerts if a.action == "closed"}


@pytest.mark.ux
@pytest.mark.parametrize("case", EDGES)
def test_a_technique_is_named_where_its_shape_is_reached_and_not_before(case: str) -> None:
    flows, expected = EDGES[case]
    assert told(flows) == expected


def test_each_kind_of_claim_has_a_shape_whose_technique_and_side_there_are() -> None:
    assert len(SHAPES) == KINDS
    ids = {technique.id for technique in TECHNIQUES}
    for shape in SHAPES:
        assert shape.technique in ids
        assert shape.sided in ("source", "target", "pair")
        assert shape.certain is None or shape.certain >= 1
        assert shape.reason
    assert all(0 <= kind < KINDS for kind in SUPPORTING)


@pytest.mark.parametrize(
    ("technique", "kind"),
    [
        ("T1046", shapes.SCAN_LABEL),
        ("T1595.001", shapes.SCAN_LABEL),
        ("T1498.001", shapes.DOS_LABEL),
        ("T1499.002", shapes.DOS_LABEL),
        ("T1110", shapes.GUESS_LABEL),
        ("T1110.001", shapes.GUESS_LABEL),
        ("T1071", shapes.CHANNEL_LABEL),
        ("T1572", shapes.CHANNEL_LABEL),
        ("T1048", shapes.UPLOAD_LABEL),
        ("T1190", shapes.OTHER_LABEL),
        (None, shapes.OTHER_LABEL),
    ],
)
def test_a_label_supports_the_shapes_of_its_technique(technique: str | None, kind: int) -> None:
    assert label_kind(technique) == kind


def test_the_words_state_targets_ports_flows_packets_and_failures() -> None:
    scan = Spread(412, 830, 410, 1, False, 412, False, 9 * S, 6, 80)
    assert (
        spread_in_words(scan)
        == "412 ports on one host: 412 flows in 9.0 s, 46 a second, 830 packets, no data exchanged in 410 of the flows"
    )
    wide = Spread(9000, 9000, 9000, 4096, True, 4096, True, 7200 * S, 6, 80)
    words = "4,096+ ports on 4,096+ hosts: 9,000 flows in 2.0 h, 75 a minute, 9,000 packets, no data exchanged"
    assert spread_in_words(wide) == words
    assert spread_in_words(replace(ONE, failed=0)) == "port 80 on one host: one flow of one packet"
    assert spread_in_words(replace(ONE, protocol=47, ports=0)).startswith("IP protocol 47 to one host")


def test_the_words_state_how_many_sources_there_are_where_there_are_several() -> None:
    flood = replace(ONE, flows=300, origins=270, span_ns=S)
    assert spread_in_words(flood).startswith("port 80 on one host: 300 flows from 270 hosts in 1.0 s, 300 a second, ")
    assert "from 4,096+ hosts" in spread_in_words(replace(flood, origins=4096, origins_more=True))


@pytest.mark.parametrize(
    ("span_ns", "words"),
    [(41_000_000, "41 ms"), (999_900_000, "1.0 s"), (S, "1.0 s"), (119 * S, "119.0 s"), (600 * S, "10 min")],
)
def test_a_span_is_said_in_a_fitting_unit(span_ns: int, words: str) -> None:
    assert span_in_words(span_ns) == words
