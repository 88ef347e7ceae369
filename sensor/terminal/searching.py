"""The search of the interactive view: the language of sensor.alerts.query over the alerts at hand."""

from collections.abc import Callable

from sensor.alerts.alert import Alert
from sensor.alerts.query import parse


def matcher(words: str) -> Callable[[Alert], bool]:
    """Whether an alert is what was typed. Raises QueryError (sensor.alerts.query) with what is wrong with it."""
    return parse(words).matches
