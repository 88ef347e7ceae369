"""What `site.yaml` may say, declared: every value is the text that stands there, read by the kind of its field.

Errors say what was expected; their place is the file reader's business (sensor.site.file).
"""

import re
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Address, IPv6Network, ip_network
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from sensor.alerts.query_terms import IPV4_MAPPED
from sensor.printable import printable
from sensor.site.claims import Claim, Service, claim_of, service_of
from sensor.site.networks import Network

LONGEST_NAME, LONGEST_WHY, LONGEST_LIST = 64, 200, 64
MOST_ENTRIES: Final = 2000  # of each list
_NAME: Final = re.compile(r"[^\W_][\w .@+-]*\Z")
_ALERT_ID: Final = re.compile(r"[A-Z2-7]{26}\Z")
_LOOKS_LIKE_ADDRESS: Final = re.compile(r"[0-9.]+(/.*)?\Z|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%.*)?(/.*)?\Z")
# Of ISO 8601 what people write: a week or a date without dashes would be read as the beginning of its day.
_MOMENT: Final = re.compile(r"(?P<year>[0-9]{4})-[0-9]{2}-[0-9]{2}(?P<time>[T ].+)?\Z")
LAST_YEAR: Final = 2261
_YEARS: Final = f"expected a date from 1970 to {LAST_YEAR}"


def _wrong(expected: str) -> PydanticCustomError:
    """What was expected, as an error of pydantic's; braces would be a template."""
    return PydanticCustomError("site", "{expected}", {"expected": expected})


def _line(value: Any, longest: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong("expected some text")
    text = " ".join(value.split())
    if len(text) > longest:
        raise _wrong(f"expected at most {longest} characters, found {len(text)}")
    if printable(text, longest) != text:
        raise _wrong("expected printable text")
    return text


def _name(value: Any) -> str:
    text = _line(value, LONGEST_NAME)
    if len(text.encode()) > LONGEST_NAME:
        raise _wrong(f"expected at most {LONGEST_NAME} bytes, found {len(text.encode())}")
    if not _NAME.match(text) or _LOOKS_LIKE_ADDRESS.match(text):
        raise _wrong("expected a name of letters, digits, spaces and . @ + - that is no address")
    return text


def network_of(text: str) -> Network:
    """An address or network. Raises ValueError, which says what is expected."""
    address, slash, _ = text.partition("/")
    if "%" in text:
        raise ValueError("expected an address without a zone")
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected an address or a network such as 10.0.0.0/8") from None
    if isinstance(meant, IPv6Network) and meant.subnet_of(IPV4_MAPPED):
        version_4 = IPv4Address(int(meant.network_address) & 0xFFFFFFFF)
        written = f"{version_4}/{meant.prefixlen - 96}" if slash else version_4
        raise ValueError(f"expected {written}, as alerts have it")
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"expected {meant} for the network, or {address} for the host") from None


def _network(value: Any) -> Network:
    try:
        return network_of(_line(value, LONGEST_NAME))
    except ValueError as error:
        raise _wrong(str(error)) from None


def _party(value: Any) -> Network | str:
    """An address or network, or the name of an asset."""
    text = _line(value, LONGEST_NAME)
    return _network(text) if _LOOKS_LIKE_ADDRESS.match(text) else _name(text)


def _service(value: Any) -> Service:
    try:
        return service_of(_line(value, 32))
    except ValueError as error:
        raise _wrong(str(error)) from None


def _claim(value: Any) -> Claim:
    try:
        return claim_of(_line(value, 32))
    except ValueError as error:
        raise _wrong(str(error)) from None


def moment_of(text: str) -> int:
    """Nanoseconds since 1970 of the end of a date, or of a time; without a zone in UTC. Raises ValueError."""
    found = _MOMENT.match(text)
    try:
        if found is None:
            raise ValueError(text)
        if int(found["year"]) > LAST_YEAR:
            raise OverflowError(text)
        if found["time"] is None:
            midnight = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            moment = midnight + timedelta(days=1) - timedelta(microseconds=1)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("expected a date or time such as 2026-12-31 or 2026-12-31T18:00Z") from None
    except OverflowError:
        raise ValueError(_YEARS) from None
    nanoseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    if not 0 <= nanoseconds < 2**63:
        raise ValueError(_YEARS)
    return nanoseconds


def _moment(value: Any) -> int:
    try:
        return moment_of(_line(value, 40))
    except ValueError as error:
        raise _wrong(str(error)) from None


def _alert_id(value: Any) -> str:
    text = _line(value, LONGEST_NAME)
    if not _ALERT_ID.match(text):
        raise _wrong("expected an alert's event.id: 26 letters and digits of base 32")
    return text


def _true_or_false(value: Any) -> bool:
    text = _line(value, 8).lower()
    if text not in ("true", "false"):
        raise _wrong("expected true or false")
    return text == "true"


def _listed(value: Any) -> Any:
    """One value for a list of one; nothing for an empty one."""
    return [] if value is None else value if isinstance(value, list) else [value]


def _some(values: list[Any]) -> list[Any]:
    if not 0 < len(values) <= LONGEST_LIST:
        raise _wrong(f"expected 1 to {LONGEST_LIST} of them")
    return values


def _or_none(value: Any) -> Any:
    return [] if value is None else value


Name = Annotated[str, BeforeValidator(_name)]
Why = Annotated[str, BeforeValidator(lambda value: _line(value, LONGEST_WHY))]
# Read by their validators, from text: pydantic itself has nothing to check.
OneNetwork = Annotated[Any, BeforeValidator(_network)]
SomeNetworks = Annotated[list[OneNetwork], BeforeValidator(_listed), AfterValidator(_some)]
Parties = Annotated[list[Annotated[Any, BeforeValidator(_party)]], BeforeValidator(_listed), AfterValidator(_some)]
Moment = Annotated[int, BeforeValidator(_moment)]
AlertId = Annotated[str, BeforeValidator(_alert_id)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AssetEntry(_Entry):
    """A host or network with a name."""

    name: Name
    address: SomeNetworks
    role: Literal["scanner", "monitor", "backup", "resolver", "mail"] | None = None
    why: Why | None = None


class RuleEntry(_Entry):
    """What is meant to be."""

    name: Name | None = None
    source: Parties | None = None
    destination: Parties | None = None
    service: Annotated[Any, BeforeValidator(_service)] = None
    technique: Annotated[Any, BeforeValidator(_claim)] = None
    until: Moment | None = None
    why: Why
    alert: AlertId | None = None  # that it came from: for people

    @model_validator(mode="after")
    def _names_a_side(self) -> "RuleEntry":
        if self.source is None and self.destination is None:
            raise _wrong("expected a source, a destination or both")
        return self


class MarkEntry(_Entry):
    """What was found about one alert."""

    alert: AlertId
    finding: Annotated[bool, BeforeValidator(_true_or_false)]  # true: it was what it said
    why: Why
    when: Moment | None = None  # for people


class SiteEntries(_Entry):
    """The whole file."""

    home: SomeNetworks | None = None
    assets: Annotated[list[AssetEntry], BeforeValidator(_or_none), Field(max_length=MOST_ENTRIES)] = []
    rules: Annotated[list[RuleEntry], BeforeValidator(_or_none), Field(max_length=MOST_ENTRIES)] = []
    marks: Annotated[list[MarkEntry], BeforeValidator(_or_none), Field(max_length=MOST_ENTRIES)] = []
