"""Schemas of the API's responses and of its score request, for the OpenAPI document.

Names and docstrings of the models are part of that document.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from models.fusion import Hybrid
from sensor.alerts.alert_record import ALERT
from sensor.alerts.flow_record import FLOW
from sensor.api.body import MAX_ROWS
from sensor.api.capture import FLOWS_SHOWN
from sensor.api.found import ALERTS_LISTED
from sensor.api.problems import PROBLEM_TYPE
from sensor.api.reasons import REASONS

# Of a capture; the last one, registered for nothing in particular, is what clients name that know no other.
CAPTURE_TYPES: Final = ("application/vnd.tcpdump.pcap", "application/x-pcapng", "application/octet-stream")
INTRODUCTION: Final = (
    "Scores rows of flows with a saved model, and finds in captures what `flowvigil read` does. A row's answer depends "
    "on that row, and on earlier rows of the same source in the same request, alone; a capture's on its packets: no "
    "state is kept between requests. Every error is problem details (RFC 9457)."
)


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class P(_Response):
    """p-values of the two lanes: how often normal traffic looks as odd."""

    known: float = Field(gt=0, le=1)
    novel: float = Field(gt=0, le=1)


class Reason(_Response):
    """A column against normal traffic."""

    name: str
    unit: str
    value: float | None
    normal_median: float | None
    normal_p99: float | None
    text: str


class Row(_Response):
    """What the model says of one row. label and technique: the known lane's, null where it is silent.

    judged is false, and else not there, where the model has no normal traffic of the row's kind (protocol, answered or
    not, one packet or several): then the verdict says nothing, and both p are 1.
    """

    verdict: str = Field(pattern="^(benign|uncertain|attack)$")
    label: str | None
    technique: str | None
    p: P
    scores: dict[str, float]
    judged: bool | None = None
    reasons: list[Reason] | None = None


class ModelName(_Response):
    """Which bundle: its name and the sha256 of its weights."""

    id: str
    sha256: str


class Scores(_Response):
    """Rows in the order they came in.

    assumed: columns that the model looks at and these rows do not have. They are taken to be as in normal traffic, or
    (resets of each side) as the total in the rows suggests, or, where the model has them as optional, to say nothing.
    """

    model: ModelName
    rate: float
    assumed: list[str]
    rows: list[Row]


class Threshold(_Response):
    """p-values below which the lanes speak at a nominal false-positive rate."""

    rate: float
    known: float
    novel: float


class LabelName(_Response):
    """What the known lane may say."""

    name: str
    technique: str | None


class DetectorName(_Response):
    """A member of a lane."""

    name: str
    lane: str
    weight: float


class Model(_Response):
    """The bundle that scores. optional: of the columns, those that rows may be without."""

    id: str
    sha256: str
    feature_contract: str
    rows: str
    fusion: str
    rate: float
    thresholds: list[Threshold]
    labels: list[LabelName]
    detectors: list[DetectorName]
    columns: list[str]
    optional: list[str]


class CaptureAlert(_Response):
    """An alert of a capture, and the flows it rests on.

    alert: its last line, the record alert/1 as `flowvigil read` writes it. lines: how many there were. flows: the first
    of its flows, records flow/1.
    """

    alert: dict[str, Any]
    lines: int = Field(ge=1)
    flows: list[dict[str, Any]] = Field(max_length=FLOWS_SHOWN)


class PacketCounts(_Response):
    """The account of every packet: received is the sum of metered, filtered and all undecoded."""

    received: int
    metered: int
    filtered: int
    undecoded: dict[str, int]


class CaptureResult(_Response):
    """What a capture has, the worst alert first.

    rate: nominal false-positive rate of the thresholds. flows: all that were judged. start, end: of the traffic. more:
    alerts beyond those listed. muted: alerts that notes of the site mute, which are not listed. problems: what was left
    out, or could not be read, a line each.
    """

    model: ModelName
    rate: float
    packets: PacketCounts
    flows: int
    start: str | None
    end: str | None
    alerts: list[CaptureAlert] = Field(max_length=ALERTS_LISTED)
    more: int = Field(ge=0)
    muted: int = Field(ge=0)
    problems: list[str]


class ServerStatus(_Response):
    """Whether the server lives, or takes requests."""

    model_config = ConfigDict(title="Status")

    status: str


class ProblemError(_Response):
    """One thing that is wrong. row: from 0."""

    detail: str
    row: int | None = None
    column: str | None = None


class ProblemDetails(_Response):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError] | None = None


def problem_responses(*statuses: int) -> dict[str | int, type[BaseModel] | dict[Any, Any] | None]:
    """Problem details as the responses of these statuses, as flask-openapi3 takes them."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {str(status): {"content": content} for status in statuses}


def score_request_body(row: dict[str, Any], example: dict[str, Any], hybrid: Hybrid) -> dict[str, Any]:
    """The OpenAPI request body of /v1/score. row: JSON Schema of one row. example: a row."""
    schema = {
        "type": "object",
        "required": ["rows"],
        "additionalProperties": False,
        "properties": {
            "rows": {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": row},
            "rate": {
                "type": "number",
                "enum": sorted(hybrid.thresholds),
                "description": "Nominal false-positive rate, half of it for each lane.",
            },
            "reasons": {
                "type": "string",
                "enum": list(REASONS),
                "default": REASONS[0],
                "description": "Of flagged rows. full: the columns that moved the score, as in alerts; it takes about "
                "a hundred evaluations of the model a row. quick: the columns furthest from normal traffic. none.",
            },
        },
    }
    return {"required": True, "content": {"application/json": {"schema": schema, "example": {"rows": [example]}}}}


def add_records(components: dict[str, Any]) -> None:
    """Put the schemas of the sensor's own records where answers have them. components: of the OpenAPI document."""
    properties = components["schemas"]["CaptureAlert"]["properties"]
    properties["alert"] = ALERT.schema()
    properties["flows"]["items"] = FLOW.schema()


def capture_request_body() -> dict[str, Any]:
    """The OpenAPI request body of /v1/captures."""
    return {"required": True, "content": {name: {"schema": {}} for name in CAPTURE_TYPES}}
