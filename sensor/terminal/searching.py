"""The search of the interactive view: the language of sensor.query over the alerts at hand."""

from collections.abc import Callable

from sensor.alerts import Alert
from sensor.query import parse


def matcher(words: str) -> Callable[[Alert], bool]:
    """Whether an alert is what was typed. Raises ValueError (sensor.query.QueryError) with what is wrong with it."""
    return parse(words).matches
