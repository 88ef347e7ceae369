"""Which settings need a package that a plain installation does not have, and the extra that installs it.

A run asks about all of them before anything else, in the same words as `flowvigil check`.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from sensor.errors import ConfigError

if TYPE_CHECKING:
    from sensor.settings.config import Config

KAFKA: Final = "an output of type kafka"
# By setting: the extra, and the module that it brings.
NEEDED: Final = {
    "detection.bundle_keys": ("signed", "cryptography"),
    "geoip.location": ("geo", "maxminddb"),
    "geoip.asn": ("geo", "maxminddb"),
    "flow_log.directory": ("tables", "pyarrow"),
    KAFKA: ("kafka", "confluent_kafka"),
}


def is_installed(module: str) -> bool:
    """Whether there is a package of this name, and not just a directory."""
    found = find_spec(module)
    return found is not None and found.origin is not None


def require_for(setting: str) -> None:
    """Raise ConfigError unless the package that a setting needs is installed."""
    extra, module = NEEDED[setting]
    if not is_installed(module):
        raise ConfigError(f"{setting}: expected the extra: pip install 'flowvigil[{extra}]'")


def missing_for(setting: str) -> str:
    """What is missing for a setting, in one line; nothing where it is there."""
    try:
        require_for(setting)
    except ConfigError as error:
        return str(error)
    return ""


def require_extras(config: "Config") -> None:
    """Raise ConfigError for the first setting in effect whose package is not installed."""
    for setting in settings_in_need(config):
        require_for(setting)


def settings_in_need(config: "Config") -> list[str]:
    """Those of the settings in effect that need an extra."""
    values = config.model_dump()
    sections = (name.partition(".") for name in NEEDED if name != KAFKA)
    needing = [f"{section}.{name}" for section, _, name in sections if values[section][name] is not None]
    return needing + [KAFKA] * any(entry.type == "kafka" for entry in config.outputs)
