"""Rules that are valid and odd: expired, covered by another, overlapping; each told with both lines."""

import pytest

from sensor.site.file import notes_of_text
from sensor.site.overlaps import oddities

pytestmark = pytest.mark.ux

NOW_NS = 1_800_000_000_000_000_000  # January 2027


def told(*rules: str) -> list[str]:
    text = "rules:\n" + "".join(f"  - {{{rule}, why: a}}\n" for rule in rules)
    return list(oddities(notes_of_text(text, "site.yaml"), NOW_NS))


def test_rules_of_different_things_are_not_odd() -> None:
    assert not told(
        "source: 10.0.0.1, service: tcp/443",
        "source: 10.0.0.1, service: tcp/80",
        "source: 10.0.0.2, service: tcp/443",
        "source: 10.0.0.3, technique: scan",
        "source: 10.0.0.3, technique: T1110",
        "source: 10.0.0.3, technique: unusual",
        "source: 2001:db8::/32",
    )


def test_an_expired_rule_is_told_and_covers_nothing() -> None:
    assert told("source: 10.0.0.1, until: 2026-01-31", "source: 10.0.0.1") == [
        "line 2: rule 10.0.0.1 -> any has expired, at 2026-01-31 23:59:59 UTC"
    ]


@pytest.mark.parametrize(
    ("broad", "narrow"),
    [
        ("source: 10.0.0.0/8", "source: 10.0.0.1, destination: 10.0.0.2"),
        ("source: 10.0.0.1, technique: T1110", "source: 10.0.0.1, technique: T1110.001"),
        ("source: 10.0.0.1, service: tcp/1-1024", "source: 10.0.0.1, service: tcp/443, until: 2030-01-01"),
        ("source: [10.0.0.1, 10.0.0.2]", "source: 10.0.0.2, service: dns"),
        ("destination: 10.0.0.1, service: 443", "destination: 10.0.0.1, service: tcp/443"),
        ("source: 10.0.0.1, until: 2030-01-02", "source: 10.0.0.1, until: 2030-01-01"),
    ],
)
def test_a_rule_that_another_covers_is_told_in_either_order(broad: str, narrow: str) -> None:
    (line,) = told(broad, narrow)
    assert line.startswith("line 3: ")
    assert " never applies: line 2 (" in line
    (line,) = told(narrow, broad)
    assert line.startswith("line 3: ")
    assert " covers line 2 (" in line


def test_what_outlives_another_is_not_covered_but_overlaps() -> None:
    (line,) = told("source: 10.0.0.0/8, until: 2030-01-01", "source: 10.0.0.1")
    assert line == ("line 3: rule 10.0.0.1 -> any overlaps line 2 (10.0.0.0/8 -> any), which is told where both hold")


def test_rules_that_share_some_alerts_overlap() -> None:
    (line,) = told("source: 10.0.0.0/24, technique: scan", "source: 10.0.0.0/16, service: tcp/22, technique: T1046")
    assert " overlaps line 2 (10.0.0.0/24 -> any, scan)" in line
    (line,) = told("source: 10.0.0.1", "destination: 10.0.0.2")
    assert " overlaps line 2 (10.0.0.1 -> any)" in line
