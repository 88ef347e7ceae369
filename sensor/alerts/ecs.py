"""Fields that all records share, by their names in the Elastic Common Schema 9.4.

Source: Elastic Common Schema 9.4, base, event, observer, source, destination and network fields.
"""

from operator import attrgetter
from typing import Final

from sensor.alerts.declaration import REQUIRED, Constant, Field, Row
from sensor.alerts.kinds import ADDRESS, COUNT, PORT, PROTOCOL, exact, one_of, path_of, sentence, text
from sensor.alerts.services import service_name

LINE_LIMIT_BYTES: Final = 8192
PATH_BYTES: Final = 240  # of a path as it stands in a line
# What the schemas tell of the object `observer`.
OBSERVER: Final = "The sensor that wrote the line."
# Name of an episode or a flow: 16 bytes in base 32.
NAME: Final = text(26, pattern="^[A-Z2-7]{26}$")
VERSION: Final = Constant("ecs.version", "9.4.0", {"type": "string", "pattern": r"^9\.\d+\.\d+$"})

_CATEGORIES: Final = {"type": "array", "items": {"enum": ["network", "intrusion_detection"]}, "minItems": 1}
_TYPES: Final = {"type": "array", "items": {"enum": ["info", "connection"]}, "minItems": 1}
_COMMUNITY_ID: Final = {"type": "string", "pattern": "^1:[A-Za-z0-9+/]{27}=$"}


def event(kind: str, dataset: str, categories: tuple[str, ...] = ("network",), type_: str = "info") -> tuple[Row, ...]:
    """What a record is about; its other fields of `event` follow."""
    return (
        Constant("event.kind", kind),
        Constant("event.category", categories, _CATEGORIES),
        Constant("event.type", (type_,), _TYPES),
        Constant("event.dataset", dataset),
    )


def observer(absent: object = REQUIRED) -> tuple[Row, ...]:
    """`observer`: the record's own. absent: what its texts are read as where a line lacks them."""
    return (
        Field("observer.name", sentence(64, 96), "observer.name", absent=absent),
        Constant("observer.type", "ids"),
        Field("observer.version", text(24), "observer.version", absent=absent),
    )


def run() -> tuple[Row, ...]:
    """`agent.ephemeral_id`: the live run that the record is of."""
    return (
        Field(
            "agent.ephemeral_id",
            text(16),
            "observer.run",
            "Of the live run that wrote the line: another one after each start.",
            optional=True,
        ),
    )


def capture() -> tuple[Row, ...]:
    """`log.file.path`: the record's capture."""
    return (
        Field(
            "log.file.path",
            path_of(PATH_BYTES),
            "capture",
            "Capture that it was found in, of captures read each for itself; of a long path the end.",
            optional=True,
        ),
    )


def side(name: str) -> tuple[Field, ...]:
    """`source` or `destination`: the record's endpoint of that name."""
    return (
        Field(f"{name}.ip", ADDRESS, f"{name}.ip"),
        Field(f"{name}.port", PORT, f"{name}.port", optional=True),
        Field(f"{name}.bytes", COUNT, f"{name}.bytes"),
        Field(f"{name}.packets", COUNT, f"{name}.packets"),
    )


def network() -> tuple[Field, ...]:
    """`network`: the record's ip_version, transport, protocol and community_id."""
    return (
        Field("network.type", one_of("ipv4", "ipv6"), lambda record: f"ipv{record.ip_version}"),
        Field("network.transport", exact(16), attrgetter("transport")),
        Field("network.iana_number", PROTOCOL, "protocol"),
        Field(
            "network.application",
            exact(24),
            lambda record: service_name(record.destination.port, record.protocol),
            "What the destination's port is usually for, by IANA's registry; not what was spoken there.",
            optional=True,
        ),
        Field("network.community_id", exact(32, _COMMUNITY_ID), "community_id"),
    )
