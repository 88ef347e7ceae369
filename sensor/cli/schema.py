"""`flowvigil schema`: JSON Schemas of the records that the sensor writes."""

from enum import StrEnum
from typing import Annotated

import typer


class RecordKind(StrEnum):
    """The native records."""

    ALERT = "alert"
    FLOW = "flow"
    LOGGED_FLOW = "logged-flow"
    STATS = "stats"
    EVENT = "event"
    DRIFT = "drift"


RecordArgument = Annotated[RecordKind, typer.Argument(metavar="RECORD", help="One of the native records.")]


def schema(record: RecordArgument) -> int:
    """Print the JSON Schema (2020-12) of a native record.

    \b
    flowvigil schema alert > alert.schema.json

    alert: a line about an episode. flow: a flow that an alert rests on (episodes.flows_per_alert). logged-flow: a flow
    of a log (flows DIR). stats: the account of every packet. event: what befell the sensor. drift: traffic, scores or a
    rate of alerts that changed. Fields may be added under the same number; none is removed or changes its type.
    """
    import orjson

    from sensor.alerts.formats.schemas import schema_of

    typer.echo(orjson.dumps(schema_of(record.value), option=orjson.OPT_INDENT_2).decode())
    return 0
