"""Explanations: which columns are furthest from normal, and how that is said."""

import numpy as np
import pytest

from flows.columns import COLUMNS, INDEX, NAMES
from models.normal import NormalProfile
from sensor.alerts.deviation import Deviation, quantity, sentence
from sensor.episodes.reasons import Explainer


def normal(**quantiles: tuple[float, float, float, float]) -> NormalProfile:
    table = np.tile([0.0, 1.0, 10.0, 20.0], (len(COLUMNS), 1))
    for name, row in quantiles.items():
        table[INDEX[name]] = row
    return NormalProfile(NAMES, *table.T.copy())


def flow(**columns: float) -> np.ndarray:
    values = np.ones(len(COLUMNS))
    for name, value in columns.items():
        values[INDEX[name]] = value
    return values


def names(profile: NormalProfile, **columns: float) -> list[str]:
    return [deviation.name for deviation in Explainer(profile).deviations(flow(**columns))]


def test_a_flow_near_the_median_has_no_contrast() -> None:
    assert names(normal(), fwd_packets=1.2, flow_duration=0.9) == []


def test_the_furthest_column_of_an_ordinary_flow_is_named_as_inside() -> None:
    (deviation,) = Explainer(normal()).deviations(flow(fwd_packets=9))
    assert deviation.name == "fwd_packets"
    assert not deviation.outside
    (deviation,) = Explainer(normal()).deviations(flow(fwd_packets=11))
    assert deviation.outside


def test_the_furthest_column_comes_first() -> None:
    assert names(normal(), flow_duration=50, syn_flag_count=5000, fwd_bytes=500) == [
        "syn_flag_count",
        "fwd_bytes",
        "flow_duration",
    ]


def test_distance_is_judged_on_each_columns_own_scale() -> None:
    wide = normal(flow_duration=(0, 1e3, 1e8, 2e8))
    assert names(wide, flow_duration=2e8, syn_flag_count=40) == ["syn_flag_count", "flow_duration"]


def test_a_value_below_normal_counts_too() -> None:
    (deviation,) = Explainer(normal(fwd_header_length=(20, 200, 900, 2000))).deviations(flow(fwd_header_length=0))
    assert deviation.name == "fwd_header_length"
    assert (
        sentence(deviation)
        == "headers of all sent packets together: fwd_header_length 0 bytes (99 % of normal traffic: at least 20 bytes)"
    )


def test_columns_that_say_the_same_are_named_once() -> None:
    far = {"fwd_packet_length_max": 1e6, "packet_length_max": 9e5, "bwd_packet_length_mean": 8e5, "syn_flag_count": 90}
    assert names(normal(), **far) == ["fwd_packet_length_max", "syn_flag_count"]


def test_columns_that_models_never_see_and_protocol_numbers_explain_nothing() -> None:
    assert names(normal(), subflow_fwd_bytes=1e9, packet_length_variance=1e9, protocol=255) == []


def test_at_most_as_many_as_asked_and_always_the_same() -> None:
    values = flow(**dict.fromkeys(NAMES, 1e6))
    first = Explainer(normal()).deviations(values, top=3)
    assert len(first) == 3
    assert first == Explainer(normal()).deviations(values, top=3)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (412, "packets", "412"),
        (1234567, "packets", "1,234,567"),
        (0.1234567, "ratio", "0.123"),
        (1500, "µs", "1.5 ms"),
        (120_000_000, "µs", "120 s"),
        (0, "µs", "0 µs"),
        (-1, "bytes", "-1 bytes"),
        (2_500_000, "bytes", "2.5 MB"),
        (98_200, "packets/s", "98.2 k packets/s"),
        (float("inf"), "bytes", "inf"),
    ],
)
def test_a_quantity_is_said_for_people(value: float, unit: str, words: str) -> None:
    assert quantity(value, unit) == words


def test_a_contrast_names_the_quantile_that_was_passed() -> None:
    known = Deviation("syn_flag_count", "packets", 412, 1, 0, 9, 11, 3.0)
    assert (
        sentence(known)
        == "packets that begin a connection (SYN), both ways: syn_flag_count 412 (99.9 % of normal traffic: at most 11)"
    )
    between = Deviation("syn_flag_count", "packets", 10, 1, 0, 9, 11, 3.0)
    assert (
        sentence(between)
        == "packets that begin a connection (SYN), both ways: syn_flag_count 10 (99 % of normal traffic: at most 9)"
    )


def test_columns_that_moved_the_score_come_first_then_the_furthest() -> None:
    moved = [INDEX["fwd_bytes"], INDEX["bwd_packets"]]
    found = Explainer(normal()).deviations(flow(syn_flag_count=5000, fwd_bytes=500, bwd_packets=1.1), moved)
    assert [deviation.name for deviation in found] == ["fwd_bytes", "bwd_packets", "syn_flag_count"]
