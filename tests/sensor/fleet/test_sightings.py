"""Alerts of several sensors that tell of one attack are one; what one sensor told apart is not, nor another site's."""

import time
from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert, Endpoint, Observer
from sensor.fleet.hosts import Host, Sites, is_local
from sensor.fleet.sightings import CLOCKS_NS, Sighting, grouped, hosts_of_several, sighting
from tests.support.alerts import an_alert

SECOND_NS = 10**9
HOSTS = [Host("10.0.0.5", "berlin"), Host("10.0.0.5", "lyon"), Host("192.0.2.1", "")]
FLOWS = ["1:a", "1:b", "1:c"]
SIGHTINGS = st.lists(
    st.builds(
        lambda start, length, sensor, number, technique, party, targets, flow: Sighting(
            start * SECOND_NS, (start + length) * SECOND_NS, sensor, f"{number}", "", technique, party, targets, flow
        ),
        st.integers(0, 600),
        st.integers(0, 100),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 10**9),
        st.sampled_from(["T1046", ""]),
        st.sampled_from([None, *HOSTS]),
        st.frozensets(st.sampled_from(HOSTS), min_size=1),
        st.sampled_from(FLOWS),
    ),
    max_size=25,
    unique_by=lambda each: each.key,
)


def seen(sensor: str, sites: Sites = Sites(), **fields: Any) -> Sighting:  # noqa: B008  # it is frozen
    return sighting(alert(sensor, **fields), sites)


def alert(sensor: str, source: str = "192.0.2.10", destination: str = "198.51.100.7", **fields: Any) -> Alert:
    made = an_alert(observer=Observer(sensor, "0"), id=sensor.upper() * 26, target_ips=(destination,), **fields)
    return replace(made, source=Endpoint(source, 1, 1, 1), destination=Endpoint(destination, 22, 1, 1))


@given(SIGHTINGS, st.randoms())
def test_groups_are_of_different_sensors_of_one_kind_and_each_alert_is_in_one(
    sightings: list[Sighting], random: object
) -> None:
    groups = grouped(sightings)
    assert sorted(each.key for group in groups for each in group) == sorted(each.key for each in sightings)
    for group in groups:
        assert len({each.sensor for each in group}) == len(group)
        assert len({(each.technique, each.party) for each in group}) == 1
        for one in group[1:]:  # each met the group by a flow or a target, and at a time when it went on
            before = group[: group.index(one)]
            assert any({one.community_id, *one.targets} & {other.community_id, *other.targets} for other in before)
            assert one.start_ns <= max(other.end_ns for other in before) + CLOCKS_NS
    shuffled = list(sightings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert grouped(shuffled) == groups


@given(SIGHTINGS)
def test_what_could_be_one_attack_and_stands_alone_has_no_partner(sightings: list[Sighting]) -> None:
    alone = [group[0] for group in grouped(sightings) if len(group) == 1]
    for one, other in combinations(sorted(alone, key=lambda each: each[:5]), 2):
        alike = (one.technique, one.party) == (other.technique, other.party) and one.sensor != other.sensor
        shared = {one.community_id, *one.targets} & {other.community_id, *other.targets}
        assert not (alike and shared and other.start_ns <= one.end_ns + CLOCKS_NS)


def test_one_attack_on_the_path_of_two_sensors_is_one() -> None:
    first, second = seen("a"), seen("b", community_id="1:another")
    assert [len(group) for group in grouped([second, first])] == [2]
    later = seen("b", start_ns=first.end_ns + CLOCKS_NS + 1, end_ns=first.end_ns + 2 * CLOCKS_NS)
    assert [len(group) for group in grouped([first, later])] == [1, 1]


def test_private_addresses_of_two_sites_are_two_hosts_and_those_of_one_site_are_one() -> None:
    private: dict[str, Any] = {"source": "10.0.0.5", "destination": "10.0.0.9"}
    assert len(grouped([seen("a", **private), seen("b", **private)])) == 2
    assert hosts_of_several([seen("a", **private), seen("b", **private)]) == []
    one_site = Sites({"a": "berlin", "b": "berlin"})
    both = [seen("a", one_site, **private), seen("b", one_site, **private)]
    assert len(grouped(both)) == 1
    assert [str(each.host) for each in hosts_of_several(both)] == ["10.0.0.5 at berlin", "10.0.0.9 at berlin"]


def test_a_host_of_the_world_is_one_whoever_sees_it() -> None:
    world = hosts_of_several([seen("a", destination="10.0.0.9"), seen("b", destination="10.0.0.9")])
    assert [(str(each.host), each.sensors, each.did, each.suffered) for each in world] == [
        ("192.0.2.10", ("a", "b"), 2, 0)
    ]


def test_networks_of_their_own_are_local() -> None:
    for address in ("10.9.8.7", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fe80::1", "fd00::1", "::1",
                    "224.0.0.251", "ff02::fb", "fec0::1", "64:ff9b:1::a00:5", "::ffff:10.0.0.5"):  # fmt: skip
        assert is_local(address)
    for address in ("172.32.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1", "192.0.2.1", "11.0.0.1", "64:ff9b::808:808"):
        assert not is_local(address)


def test_many_alerts_of_one_target_are_compared_in_no_time() -> None:
    made = [
        seen("a")._replace(sensor=f"s{number % 100}", id=f"{number}", start_ns=number, end_ns=number)
        for number in range(20_000)
    ]
    assert sum(len(group) for group in grouped(made)) == len(made)
    strangers = [found._replace(sensor=f"s{number}", start_ns=0, end_ns=0) for number, found in enumerate(made)]
    begun_s = time.process_time()
    assert [len(group) for group in grouped(strangers)] == [len(made)]
    assert time.process_time() - begun_s < 5  # compared each with each it takes 16 s
