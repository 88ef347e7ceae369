"""Faults of YAML files (configs.yaml_nodes) as errors of the settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from configs.yaml_nodes import YamlFaultError
from sensor.errors import ConfigError


@contextmanager
def config_errors() -> Iterator[None]:
    """Raise ConfigError, with the same line, for a fault of a YAML file; also as a decorator."""
    try:
        yield
    except YamlFaultError as fault:
        raise ConfigError(str(fault)) from fault.__cause__
