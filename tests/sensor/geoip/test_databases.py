"""Databases of where addresses belong: what they say, files that are none, and damaged ones."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MmdbU64

from sensor.alerts.alert import Endpoint
from sensor.alerts.alert_record import alert_document, alert_line, alert_of
from sensor.errors import CONFIG, ConfigError
from sensor.geoip.databases import DAMAGED, LOCATION, MOST_BYTES, SYSTEMS, GeoDatabases, open_database, opened
from tests.support.alerts import an_alert
from tests.support.examples import examples
from tests.support.geo import EXAMPLE_NET, LYON, cities, systems

pytestmark = pytest.mark.ux

ALERT = an_alert()
LYON_WORDS = ("FR", "Lyon", 64500, "Example Net")


def whereabouts(end: Endpoint) -> tuple[Any, ...]:
    return end.country, end.city, end.as_number, end.as_organization


def source_by(geo: GeoDatabases, ip: str) -> tuple[Any, ...]:
    """Where a source of this address belongs."""
    return whereabouts(geo.of(an_alert(source=Endpoint(ip, None, 0, 0))).source)


def test_both_addresses_of_an_alert_get_what_the_databases_say(tmp_path: Path) -> None:
    with opened(cities(tmp_path / "c"), systems(tmp_path / "s")) as geo:
        placed = geo.of(ALERT)
        assert whereabouts(placed.source) == whereabouts(placed.destination) == LYON_WORDS
        assert source_by(geo, "2001:db8::1") == LYON_WORDS
        assert source_by(geo, "2001:db9::1") == (None,) * 4
    assert (geo.damaged, geo.problem, geo.news()) == (0, "", [])


def test_one_database_is_enough(tmp_path: Path) -> None:
    with opened(None, systems(tmp_path / "s")) as geo:
        assert source_by(geo, "192.0.2.1") == (None, None, 64500, "Example Net")


def test_a_line_carries_it_and_is_read_back(tmp_path: Path) -> None:
    with opened(cities(tmp_path / "c"), systems(tmp_path / "s")) as geo:
        placed = geo.of(ALERT)
    document = alert_document(placed)
    assert document["source"]["geo"] == {"country_iso_code": "FR", "city_name": "Lyon"}
    assert document["destination"]["as"] == {"number": 64500, "organization": {"name": "Example Net"}}
    assert alert_of(document).source == placed.source
    assert not {"geo", "as"} & alert_document(ALERT)["source"].keys()


def test_a_database_of_ipv4_knows_no_address_of_ipv6(tmp_path: Path) -> None:
    with opened(cities(tmp_path / "c", networks=("198.51.100.0/24",), version=4), None) as geo:
        assert source_by(geo, "198.51.100.1")[1] == "Lyon"
        assert source_by(geo, "2001:db8::1") == (None,) * 4
    assert not geo.damaged


def test_text_of_strangers_is_printable_and_cut(tmp_path: Path) -> None:
    record = EXAMPLE_NET | {"autonomous_system_organization": "\x1b[2J\u202e" + "x" * 999}
    with opened(None, systems(tmp_path / "s", record)) as geo:
        organization = source_by(geo, "192.0.2.1")[3]
    assert organization.startswith("\\x1b[2J\\u202exxx")
    assert len(organization) == 64


@pytest.mark.parametrize(
    "record",
    [
        "Lyon",
        LYON | {"country": "FR"},
        LYON | {"country": {"iso_code": "fr"}},
        LYON | {"country": {"iso_code": 33}},
        LYON | {"city": {"names": {"en": ["Lyon"]}}},
        LYON | {"autonomous_system_number": MmdbU64(1 << 32)},
        LYON | {"autonomous_system_number": "AS1"},
    ],
)
def test_a_record_that_no_such_database_has_is_counted_and_shown_as_nothing(record: Any, tmp_path: Path) -> None:
    with opened(path := cities(tmp_path / "c", record), None) as geo:
        assert source_by(geo, "192.0.2.1") == source_by(geo, "192.0.2.2") == source_by(geo, "192.0.2.2") == (None,) * 4
    words = f"{path}: damaged, it does not tell of every address"
    assert (geo.damaged, geo.problem) == (3, f"{words} (addresses without: 3)")  # the destination is one of them
    assert geo.news() == [(DAMAGED, words)]
    assert geo.news() == []


def test_a_file_that_is_cut_short_while_it_is_open_ends_nothing(tmp_path: Path) -> None:
    with opened(path := cities(tmp_path / "c"), None) as geo:
        os.truncate(path, 5)
        assert source_by(geo, "192.0.2.1") == (None,) * 4
    assert geo.damaged


@examples(60)
@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_no_byte_that_is_wrong_ends_a_run(where: float, byte: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    content = bytearray(cities(path, LYON | EXAMPLE_NET, networks=("192.0.2.0/24",)).read_bytes())
    content[int(where * len(content))] ^= byte
    path.write_bytes(content)
    try:
        geo = opened(path, None)
    except ConfigError:
        return
    with geo:
        alert_line(geo.of(ALERT))


def refused(path: Path, kind: Any = LOCATION) -> str:
    with pytest.raises(ConfigError) as caught:
        open_database(path, kind)
    assert caught.value.exit_code == CONFIG
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path, expected = tmp_path / "c", "expected a MaxMind DB of cities or countries"
    assert refused(path) == f"no such file or directory, {expected}"
    assert refused(tmp_path) == f"is a directory, {expected}"
    no_database = f"no MaxMind DB, or a damaged one, {expected}"
    for content in (b"x", b"address,city\n" * 9999, b"\xab\xcd\xefMaxMind.com", os.urandom(4096)):
        path.write_bytes(content)
        assert refused(path) == no_database
    path.write_bytes(b"")
    assert refused(path) == f"is empty, {expected}"
    whole = cities(path).read_bytes()
    for kept in (len(whole) // 3, len(whole) - 9):
        path.write_bytes(whole[:kept])
        assert refused(path) == no_database
    assert refused(systems(path)) == f"found a database of type 'Example-ASN', {expected}"
    assert refused(cities(path), SYSTEMS) == (
        "found a database of type 'Example-City', expected a MaxMind DB of autonomous systems"
    )
    os.truncate(path, MOST_BYTES + 1)
    assert refused(path) == f"has 4,294,967,297 bytes, {expected} of at most 4,294,967,296"


@pytest.mark.skipif(sys.platform != "linux", reason="pipes and devices of Linux")
def test_a_pipe_and_a_device_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert refused(path) == "is a pipe or a device, expected a MaxMind DB of cities or countries"
