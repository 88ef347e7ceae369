"""The list of a fleet: read, or refused with the place of what is wrong."""

from pathlib import Path

import pytest

from sensor.errors import ConfigError, InputError
from sensor.fleet.file import FleetSensor, read_fleet
from sensor.fleet.wanted import Wanted, WantedBundle, read_wanted, wanted_path, write_wanted

HASH = "a" * 64
BUNDLE = WantedBundle("site", HASH, "fleet.bundles/x", {"manifest.json": HASH}, HASH)


def test_a_list_names_sensors_with_their_sites_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("version: 1\nsensors:\n  - {name: gw1, site: berlin, group: canary}\n  - gw2\n  - {name: gw3}\n")
    fleet = read_fleet(path)
    assert fleet.sensors == (
        FleetSensor("gw1", "berlin", "canary"),
        FleetSensor("gw2", "gw2"),
        FleetSensor("gw3", "gw3"),
    )
    assert (fleet.groups, fleet.sites.of("gw1"), fleet.sites.of("stranger")) == (("canary",), "berlin", "stranger")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found no sensors, expected a list of them"),
        ("sensors:\n", "1:9: sensors is a plain value, expected a list, each entry behind a dash"),
        ("sensors: [gw1, gw1]\n", '1:16: a second sensor "gw1", the first is in line 1'),
        ("sensors:\n  - {site: berlin}\n", "2:5: name is missing"),
        ("sensors:\n  - {name: gw1, place: x}\n", '2:17: unknown name "place", expected one of name, site, group'),
        ("sensor: [gw1]\n", '1:1: unknown name "sensor", expected sensors'),
        (f"sensors: [{'x' * 65}]\n", "1:11: name: expected 1 to 64 printable letters"),
        ('sensors: ["\\e[2J"]\n', "1:11: name: expected 1 to 64 printable letters"),
        ("version: 2\nsensors: [gw1]\n", "1:10: version: found fleet/2, which a newer flowvigil wrote"),
        ("sensors: [[gw1]]\n", "1:11: a sensor is a list, expected name, site and group as `name: value`"),
    ],
)
def test_what_is_wrong_has_its_place(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_fleet(path)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_wanted_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = wanted_path(tmp_path / "fleet.yaml")
    assert read_wanted(path) == Wanted()
    wanted = Wanted({"gw1": HASH}, {HASH: BUNDLE})
    write_wanted(path, wanted)
    assert read_wanted(path) == wanted
    assert path.name == "fleet.wanted.json"


@pytest.mark.parametrize("text", ['{"schema":%s}', '{"schema":"fleet-wanted/1","sensors":{"gw1":%s},"bundles":{}}'])
def test_what_is_nested_without_end_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "wanted.json").write_text(text % ("[" * 1020 + "]" * 1020))
    with pytest.raises(InputError, match=r"wanted\.json: found \[\["):
        read_wanted(tmp_path / "wanted.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"fleet-wanted/1"', b'"fleet-wanted/2"'),
        (HASH.encode(), b"A" * 64),
        (b'"fleet.bundles/x"', b'"../../etc"'),
        (b'"fleet.bundles/x"', b'"/etc"'),
        (b'"files": {', b'"files": 7, "x": {'),
        (b"{", b"["),
    ],
)
def test_what_is_wanted_is_refused_in_one_line_where_it_is_wrong(old: bytes, new: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fleet.wanted.json"
    write_wanted(
        path,
        Wanted({"gw1": HASH}, {HASH: BUNDLE}),
    )
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        read_wanted(path)
    assert "\n" not in str(raised.value)
