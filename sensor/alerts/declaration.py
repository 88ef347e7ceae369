"""A record declared once: a table of its fields, from which come the document, its reader and its JSON Schema.

A row says where a field stands, of which kind it is, where its value comes from and what a reader is told about it.
Dotted names of the document make its objects: `event.id` stands as `id` in the object `event`. One of which every field
is optional is left out where it has none of them. The table is in the order of the document.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from sensor.alerts.kinds import COUNT, MOST, Kind, Schema, misfit

REQUIRED: Final = object()
_COUNT: Final = COUNT.read


@dataclass(frozen=True, slots=True)
class Constant:
    """A row of a declaration: what always stands there. A reader does not look at it."""

    path: str  # where it stands in the document
    value: str | tuple[str, ...]  # what stands there; a sequence is a tuple, as all documents share it
    schema: Schema | None = None  # what JSON Schema says of it, None: that it is this one value


@dataclass(frozen=True, slots=True)
class Field:
    """A row of a declaration: a value of the record."""

    path: str  # where it stands in the document
    kind: Kind  # what it may hold
    # The record's attribute, dotted where it is a part's, into which it is read back too; or, for what is only
    # written, a function of the record.
    source: str | Callable[[Any], Any]
    description: str = ""  # what the schema tells of it
    optional: bool = False  # not in the document where the record has None, and not required by the schema
    # What it is read as where a line does not have it: one of a release before the field. By default that is refused.
    absent: Any = REQUIRED


Row = Field | Constant


def claimed_schema(document: object) -> str | None:
    """The schema that a document says it is of, such as `alert/1`; None where it says none."""
    own = document.get("flowvigil") if isinstance(document, dict) else None
    schema = own.get("schema") if isinstance(own, dict) else None
    return schema if isinstance(schema, str) else None


class Declaration:
    """A record as its table declares it."""

    def __init__(self, rows: Iterable[Row], objects: Mapping[str, str] | None = None, *, within: str = "") -> None:
        """objects: what the schema tells of objects, by their dotted name. within: name of what holds the document."""
        self._top = _Object("", within, objects or {})
        for row in rows:
            self._top.add(row)
        groups = (attribute.rpartition(".")[0] for attribute in self._top.attributes())
        self._groups: tuple[str, ...] = tuple(dict.fromkeys(("", *groups)))

    def document(self, record: object) -> dict[str, Any]:
        """The record as the nested mapping that is written."""
        return self._top.write(record)

    def values(self, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The values that a document tells: by the part of the record that they belong to ("" is the record itself),
        then by attribute. Raises ValueError, which begins with the dotted name of the field that does not fit.
        """
        values: dict[str, dict[str, Any]] = {group: {} for group in self._groups}
        self._top.read(document, values)
        return values

    def schema(self) -> Schema:
        """What a reader may rely on: fields may be added, so that no object is closed."""
        return self._top.schema()


class _Object:
    """A mapping within a document, with what its fields are written and read by."""

    def __init__(self, path: str, within: str, descriptions: Mapping[str, str]) -> None:
        self._path, self._within, self._descriptions = path, within, descriptions
        self._members: dict[str, Row | _Object] = {}
        # Every name in the order of the document, constants with their value.
        self._template: dict[str, Any] = {}
        # Name, how to get at the value, and how it is written, None where it stands as it is.
        self._writers: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None]] = []
        self._left_out: list[str] = []
        # Name, dotted name for people, part of the record, attribute of that, reader, what stands for an absent one.
        self._readers: list[tuple[str, str, str, str, Callable[[Any, str], Any], Any]] = []
        self._objects: list[tuple[str, _Object]] = []
        self.optional = True  # whether all of its fields are

    def add(self, row: Row) -> None:
        self.optional &= isinstance(row, Field) and row.optional
        name, _, below = row.path.removeprefix(f"{self._path}." if self._path else "").partition(".")
        if below:
            self._inner(name).add(row)
            return
        self._members[name] = row
        self._template[name] = row.value if isinstance(row, Constant) else None
        if isinstance(row, Field):
            self._add_writer(name, row)
            if isinstance(row.source, str):
                self._add_reader(name, row, row.source)

    def _add_writer(self, name: str, field: Field) -> None:
        get = attrgetter(field.source) if isinstance(field.source, str) else field.source
        self._writers.append((name, get, _or_none(field.kind.write) if field.optional else field.kind.write))
        if field.optional:
            self._left_out.append(name)

    def _add_reader(self, name: str, field: Field, source: str) -> None:
        group, _, attribute = source.rpartition(".")
        told = f"{self._within}.{field.path}" if self._within else field.path
        absent = None if field.optional and field.absent is REQUIRED else field.absent
        self._readers.append((name, told, group, attribute, field.kind.read, absent))

    def _inner(self, name: str) -> "_Object":
        """The object of that name, made where it is not there yet."""
        inner = self._members.get(name)
        if not isinstance(inner, _Object):
            path = f"{self._path}.{name}" if self._path else name
            inner = self._members[name] = _Object(path, self._within, self._descriptions)
            self._template[name] = None
            self._writers.append((name, inner.write, None))
            self._objects.append((name, inner))
        return inner

    def attributes(self) -> list[str]:
        own = [f"{group}.{attribute}" if group else attribute for _, _, group, attribute, _, _ in self._readers]
        return own + [attribute for _, inner in self._objects for attribute in inner.attributes()]

    def write(self, record: Any) -> dict[str, Any]:
        document = self._template.copy()
        for name, get, write in self._writers:
            value = get(record)
            document[name] = value if write is None else write(value)
        for name in self._left_out:
            if document[name] is None:
                del document[name]
        for name, inner in self._objects:
            if inner.optional and not document[name]:
                del document[name]
        return document

    def read(self, document: Mapping[str, Any], values: dict[str, dict[str, Any]]) -> None:
        get = document.get
        for name, path, group, attribute, read, absent in self._readers:
            found = get(name)
            if (
                read is _COUNT and type(found) is int and 0 <= found <= MOST
            ):  # most fields of an account: without a call
                values[group][attribute] = found
            elif found is None and absent is not REQUIRED:
                values[group][attribute] = absent
            else:
                values[group][attribute] = read(found, path)
        for name, inner in self._objects:
            part = get(name)
            inner.read(part if isinstance(part, dict) else {}, values)

    def schema(self) -> Schema:
        required = {name: _schema(member) for name, member in self._members.items() if not _optional(member)}
        others = {name: _schema(member) for name, member in self._members.items() if _optional(member)}
        described = self._descriptions.get(self._path)
        return {
            "type": "object",
            **({"description": described} if described else {}),
            "required": list(required),
            "properties": {**required, **others},
        }


def _or_none(write: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """The same, None staying None."""
    return None if write is None else lambda value: None if value is None else write(value)


def _optional(member: Row | _Object) -> bool:
    return not isinstance(member, Constant) and member.optional


def _schema(member: Row | _Object) -> Schema:
    if isinstance(member, _Object):
        return member.schema()
    if isinstance(member, Constant):
        return {"const": member.value} if member.schema is None else member.schema
    schema = member.kind.schema
    return {**schema, "description": member.description} if member.description else schema


def part(declaration: Declaration, build: Callable[..., Any] = dict) -> Kind:
    """A kind of field that holds a record of its own. build: makes it of its attributes' values."""

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise misfit(path, value, "a record")
        return build(**declaration.values(value)[""])

    return Kind(declaration.schema(), declaration.document, read)
