"""Queries on the command line: what cannot be read is shown with a mark under the place."""

from collections.abc import Iterator
from contextlib import contextmanager

from sensor.errors import USAGE, SensorError


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
        refused.detail = (f"  {query[:200]}", f"  {' ' * (error.column - 1)}^")
        raise refused from error
