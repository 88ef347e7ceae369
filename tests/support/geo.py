"""Databases in the MaxMind DB format, of our own making: whatever the address, it is in one place and one network."""

from pathlib import Path
from typing import Any, Final

from mmdb_writer import MMDBWriter
from netaddr import IPSet

LYON: Final[dict[str, Any]] = {
    "city": {"geoname_id": 1, "names": {"en": "Lyon", "fr": "Lyon"}},
    "country": {"iso_code": "FR", "names": {"en": "France"}},
}
EXAMPLE_NET: Final[dict[str, Any]] = {
    "autonomous_system_number": 64500,
    "autonomous_system_organization": "Example Net",
}
EVERYWHERE: Final = ("0.0.0.0/1", "128.0.0.0/1", "2001:db8::/32")


def a_database(path: Path, type_: str, record: Any, networks: tuple[str, ...] = EVERYWHERE, version: int = 6) -> Path:
    """A database with one record for all of these networks. version: of IP, whose addresses it has; 6 has both."""
    writer = MMDBWriter(version, type_, ["en"], "of our own making", ipv4_compatible=version == 6, int_type="u32")
    writer.insert_network(IPSet(networks), record)
    writer.to_db_file(str(path))
    return path


def cities(path: Path, record: Any = LYON, **options: Any) -> Path:
    """A database of cities: Lyon."""
    return a_database(path, "Example-City", record, **options)


def systems(path: Path, record: Any = EXAMPLE_NET, **options: Any) -> Path:
    """A database of autonomous systems: AS64500."""
    return a_database(path, "Example-ASN", record, **options)
