"""The facts of an alert in words: how many of what, from how many, in how long, how often."""

from typing import Any

import pytest

from sensor.alerts.spread import Spread, counted, spread_in_words

pytestmark = pytest.mark.ux

MINUTE_NS = 60_000_000_000


def spread(**fields: Any) -> Spread:
    known: dict[str, Any] = {
        "flows": 588, "packets": 9210, "failed": 0, "targets": 1, "targets_more": False, "ports": 1,
        "ports_more": False, "span_ns": 39 * MINUTE_NS, "protocol": 6, "port": 22,
    }  # fmt: skip
    return Spread(**(known | fields))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "port 22 on one host: 588 flows in 39 min, 15 a minute, 9,210 packets"),
        ({"origins": 60}, "port 22 on one host: 588 flows from 60 hosts in 39 min, 15 a minute, 9,210 packets"),
        (
            {"origins": 4096, "origins_more": True, "flows": 9000, "failed": 9000, "span_ns": 9_000_000_000},
            "port 22 on one host: 9,000 flows from 4,096+ hosts in 9.0 s, 1,000 a second, 9,210 packets, "
            "no data exchanged",
        ),
        (
            {"ports": 412, "port": 9, "flows": 418, "packets": 424, "failed": 410, "span_ns": 9_000_000_000},
            "412 ports on one host: 418 flows in 9.0 s, 46 a second, 424 packets, "
            "no data exchanged in 410 of the flows",
        ),
        (
            {"flows": 2, "packets": 2, "failed": 1, "span_ns": 700_000},
            "port 22 on one host: 2 flows of 2 packets in 0.7 ms, no data exchanged in 1 of the flows",
        ),
        (
            {"flows": 1, "packets": 6000, "failed": 1, "span_ns": 6_000_000_000, "protocol": 17, "port": 27015},
            "port 27015 on one host: one flow of 6,000 packets in 6.0 s, 1,000 packets a second, no data exchanged",
        ),
        (
            {"flows": 1, "packets": 1, "failed": 1, "span_ns": 0},
            "port 22 on one host: one flow of one packet, no data exchanged",
        ),
        (
            {"flows": 236, "packets": 236, "failed": 236, "targets": 236, "ports": 0, "protocol": 1,
             "span_ns": 5_200_000_000},
            "ICMP to 236 hosts: 236 flows in 5.2 s, 45 a second, 236 packets, no answer",
        ),
        (
            {"flows": 214, "packets": 428, "ports": 214, "span_ns": 1424 * MINUTE_NS},
            "214 ports on one host: 214 flows in 23.7 h, 9 an hour, 428 packets",
        ),
        (
            {"flows": 5, "packets": 4814, "protocol": 17, "port": 53, "span_ns": 10 * MINUTE_NS},
            "port 53 on one host: 5 flows of 4,814 packets in 10 min, 8 packets a second",
        ),
        (
            {"flows": 97, "packets": 1940, "span_ns": 86_900_000_000},
            "port 22 on one host: 97 flows in 86.9 s, 67 a minute, 1,940 packets",
        ),
        (
            {"flows": 20, "packets": 40, "protocol": 47, "port": 0, "ports": 0, "span_ns": 2880 * MINUTE_NS},
            "IP protocol 47 to one host: 20 flows in 2.0 days, 10 a day, 40 packets",
        ),
    ],
)  # fmt: skip
def test_the_facts_come_as_counts_sources_time_and_rate(fields: dict[str, Any], words: str) -> None:
    assert spread_in_words(spread(**fields)) == words


def test_a_number_has_its_noun() -> None:
    told = [counted(0, "flow"), counted(1, "flow"), counted(1, "flow", more=True), counted(4096, "host", more=True)]
    assert told == ["no flows", "1 flow", "1+ flows", "4,096+ hosts"]
    assert counted(2, "query", "queries") == "2 queries"
