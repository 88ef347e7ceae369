"""Every column that an alert may give as a reason is said in plain words."""

import pytest

from flows.columns import usable_as_reasons
from flows.context.columns import CONTEXT_NAMES
from flows.kdd.columns import kdd_columns
from sensor.alerts.deviation import Deviation, quantity, sentence
from sensor.alerts.glosses import GLOSSES, gloss
from sensor.episodes.reasons import CONNECTIONS, IN_CONTEXT

pytestmark = pytest.mark.ux

_NAMED = {
    name
    for words in (IN_CONTEXT, *CONNECTIONS)
    for group in words.reasons
    for name in map(words.columns.__getitem__, group)
}


def test_each_reason_has_a_gloss_and_each_gloss_a_column() -> None:
    reasons = {*usable_as_reasons(), *_NAMED}
    assert set(CONTEXT_NAMES) <= reasons
    assert reasons <= set(GLOSSES)
    assert set(GLOSSES) <= reasons | {column.name for column in kdd_columns(content=True)}


def test_a_gloss_is_plain_and_short() -> None:
    for name, words in GLOSSES.items():
        assert 4 <= len(words) <= 70, name
        assert "  " not in words
        assert "_" not in words


def test_a_column_of_another_version_goes_without_one() -> None:
    unknown = Deviation("some_column", "", 7.0, 1.0, 0.0, 2.0, 3.0, 4.0)
    assert gloss("some_column") == ""
    assert sentence(unknown) == "some_column 7 (99.9 % of normal traffic: at most 3)"


def test_a_sentence_says_first_what_the_column_is() -> None:
    deviation = Deviation("syn_flag_count", "packets", 412.0, 1.0, 0.0, 9.0, 11.0, 4.0)
    assert sentence(deviation) == (
        "packets that begin a connection (SYN), both ways: syn_flag_count 412 (99.9 % of normal traffic: at most 11)"
    )


@pytest.mark.parametrize(
    ("column", "unit", "value", "words"),
    [
        ("src_flows_10s", "flows", 840.4, "flows from the source over 10 s: src_flows_10s 840 "),
        ("pair_gap_mean", "s", 59.7, "typical pause between the source's flows to this service: pair_gap_mean 59.7 s "),
        ("pair_open_day", "s", 5400.0, "lasted, over a day: pair_open_day 1.5 h "),
        ("pair_sent_day", "bytes", 3.1e9, "data that the source sent this service over a day: pair_sent_day 3.1 GB "),
    ],
)
def test_what_hosts_did_before_is_said_in_units_for_people(column: str, unit: str, value: float, words: str) -> None:
    said = sentence(Deviation(column, unit, value, 1.0, 0.0, 12.0, 14.0, 4.0))
    assert words in said


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (8.97684e-79, "hosts", "0"),
        (0.0049, "flows", "0"),
        (0.012, "flows", "0.012"),
        (3.1e-9, "share", "0"),
        (0.0049, "ratio", "0.0049"),
        (90.0, "s", "1.5 min"),
        (0.25, "s", "0.25 s"),
        (172_800.0, "s", "2 d"),
    ],
)
def test_what_is_left_of_a_count_that_faded_away_is_none(value: float, unit: str, words: str) -> None:
    assert quantity(value, unit) == words


def test_glosses_of_context_differ() -> None:
    assert len({GLOSSES[name] for name in CONTEXT_NAMES}) == len(CONTEXT_NAMES)
