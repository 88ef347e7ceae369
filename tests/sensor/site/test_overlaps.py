"""Rules that are valid and odd: expired, covered by another, overlapping; each told with both lines."""

from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


NETWORKS = st.tuples(st.integers(0, 15), st.integers(26, 32)).map(
    lambda at: ip_network((0x0A000000 + 16 * at[0], at[1]), strict=False)
)
PARTIES = st.lists(NETWORKS, min_size=1, max_size=5)


@given(PARTIES, PARTIES)
def test_rules_of_several_networks_overlap_and_cover_as_their_addresses_do(
    one: list[IPv4Network], other: list[IPv4Network]
) -> None:
    addresses = [{address for network in networks for address in network} for networks in (one, other)]
    found = told(*(f"source: [{', '.join(map(str, networks))}]" for networks in (one, other)))
    if not addresses[0] & addresses[1]:
        assert not found
    elif addresses[1] <= addresses[0]:
        assert " never applies: " in found[0]
    elif addresses[0] <= addresses[1]:
        assert " which is not needed" in found[0]
    else:
        assert " overlaps " in found[0]


def test_rules_of_more_networks_than_can_be_compared_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.site.overlaps.MOST_STEPS", 20)
    found = told(*(f"source: 10.0.{number}.0/24" for number in range(9)))
    assert found == [
        "line 5: rule 10.0.3.0/24 -> any and those after it are not compared with others: they name too many networks"
    ]
