"""Queries on the command line: what cannot be read is shown with a mark under the place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sensor.errors import USAGE, SensorError

_SHOWN: Final = 200  # characters of a query


class QueryUsageError(SensorError):
    """A query that cannot be read."""

    exit_code = USAGE


@contextmanager
def read_query(query: str) -> Iterator[None]:
    """Raise QueryUsageError where what is done inside cannot read the query."""
    from sensor.alerts.query_terms import QueryError

    try:
        yield
    except QueryError as error:
        refused = QueryUsageError(f"query, {error}")
        if error.column <= _SHOWN:
            refused.detail = (f"  {query[:_SHOWN]}", f"  {' ' * (error.column - 1)}^")
        raise refused from error
