"""A declared record: what is written, read back and described comes from the same rows."""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from sensor.alerts.declaration import Constant, Declaration, Field, claimed_schema, part
from sensor.alerts.kinds import ADDRESS, COUNT, FLAG, count, first, one_of, text

pytestmark = pytest.mark.ux


@dataclass(frozen=True)
class Port:
    number: int
    open: bool


@dataclass(frozen=True)
class Host:
    ip: str
    role: str
    ports: tuple[Port, ...] = ()
    owner: str | None = None
    seen: int = 1


PORT = Declaration(
    (Field("number", count(1, 65535), "number"), Field("open", FLAG, "open", absent=True)), within="host.ports"
)
HOST = Declaration(
    (
        Constant("ecs.version", "9"),
        Field("host.ip", ADDRESS, "ip", "Its address."),
        Field("host.role", one_of("client", "server"), "role"),
        Field("host.owner", text(8), "owner", optional=True),
        Field("host.ports", first(2, part(PORT, Port)), "ports"),
        Field("host.more", FLAG, lambda host: len(host.ports) > 2),
        Field("seen", COUNT, "seen", absent=1),
    ),
    objects={"host": "A host."},
)
DOCUMENT = {
    "ecs": {"version": "9"},
    "host": {
        "ip": "192.0.2.1",
        "role": "server",
        "owner": "ann",
        "ports": [{"number": 22, "open": True}],
        "more": False,
    },
    "seen": 3,
}
SERVER = Host("192.0.2.1", "server", (Port(22, True),), "ann", 3)


def read(document: dict[str, Any]) -> Host:
    return Host(**HOST.values(document)[""])


def changed(path: str, value: Any) -> dict[str, Any]:
    section, _, name = path.rpartition(".")
    host = {**DOCUMENT["host"], name: value} if section else DOCUMENT["host"]  # type: ignore[dict-item]
    return {**DOCUMENT, "host": host} if section else {**DOCUMENT, name: value}


def test_a_document_has_its_fields_in_the_order_of_the_rows_and_is_read_back() -> None:
    written = HOST.document(SERVER)
    assert written == DOCUMENT
    assert [*written, *written["host"]] == ["ecs", "host", "seen", "ip", "role", "owner", "ports", "more"]
    assert read(written) == SERVER


def test_what_is_optional_is_left_out_and_read_as_none() -> None:
    nobodys = Host("192.0.2.1", "client")
    assert "owner" not in HOST.document(nobodys)["host"]
    assert read(HOST.document(nobodys)) == nobodys


def test_what_came_later_reads_as_what_it_is_without() -> None:
    old = {"host": {"ip": "192.0.2.1", "role": "client", "ports": [{"number": 1}]}}
    assert read(old) == Host("192.0.2.1", "client", (Port(1, True),))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("host.ip", "host", "host.ip: found str 'host', expected an IP address"),
        ("host.ip", "fe80::1%$(reboot)", "host.ip: found str 'fe80::1%$(reboot)', expected an IP address"),
        ("host.role", None, "host.role: found nothing, expected one of client, server"),
        ("host.role", ["client"], "host.role: found list ['client'], expected one of client, server"),
        ("host.owner", 7, "host.owner: found int 7, expected text"),
        ("host.ports", {}, "host.ports: found dict {}, expected a list"),
        ("host.ports", [7], "host.ports: found int 7, expected a record"),
        ("host.ports", [{"number": 0}], "host.ports.number: found int 0, expected a whole number from 1"),
        ("host.ports", [{"number": 65536}], "host.ports.number: found 65536, expected at most 65535"),
        ("host.ports", [{"number": 1, "open": 1}], "host.ports.open: found int 1, expected true or false"),
        ("seen", True, "seen: found bool True, expected a whole number from 0"),
        ("seen", "\x1b[2J", "seen: found str '\\x1b[2J', expected a whole number from 0"),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_what_was_found_and_expected(path: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        read(changed(path, value))


@pytest.mark.parametrize("host", [None, 7, [], "text"])
def test_a_part_of_the_way_that_is_no_object_holds_nothing(host: Any) -> None:
    with pytest.raises(ValueError, match=r"^host\.ip: found nothing"):
        read({**DOCUMENT, "host": host})


def test_texts_and_lists_are_bounded_both_ways() -> None:
    long = Host("192.0.2.1", "client", (Port(1, True), Port(2, True), Port(3, True)), "annabella \x1b")
    written = HOST.document(long)
    assert (written["host"]["owner"], len(written["host"]["ports"]), written["host"]["more"]) == ("annabel…", 2, True)
    assert read(changed("host.owner", "x" * 99)).owner == "xxxxxxx…"
    assert len(read(changed("host.ports", [{"number": 1}] * 99)).ports) == 2


def test_the_schema_requires_what_is_always_written_and_tells_what_each_is() -> None:
    schema = HOST.schema()
    host = schema["properties"]["host"]
    assert schema["required"] == ["ecs", "host", "seen"]
    assert schema["properties"]["ecs"]["properties"] == {"version": {"const": "9"}}
    assert host["description"] == "A host."
    assert host["required"] == ["ip", "role", "ports", "more"]
    assert host["properties"]["ip"] == {"type": "string", "maxLength": 45, "description": "Its address."}
    assert host["properties"]["ports"]["items"]["required"] == ["number", "open"]


@pytest.mark.parametrize("document", [None, [], {}, {"flowvigil": 7}, {"flowvigil": {"schema": ["alert/1"]}}])
def test_a_document_that_names_no_schema_is_of_none(document: Any) -> None:
    assert claimed_schema(document) is None
    assert claimed_schema({"flowvigil": {"schema": "alert/1"}}) == "alert/1"


def test_what_is_nested_without_end_is_refused_in_a_line() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(
        ValueError, match=r"^host\.role: found list \[\[\[\[\[\.\.\.\]\]\]\]\], expected one of client, server$"
    ):
        HOST.values({**DOCUMENT, "host": {**DOCUMENT["host"], "role": deep}})  # type: ignore[dict-item]
