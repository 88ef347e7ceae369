"""The settings that bear on what a sensor finds, as text: for a page that says how it was made, and for a fleet whose
sensors should agree.
"""

from typing import Final

from sensor.settings.config import Config

_SECTIONS: Final = ("meter", "detection", "episodes")
_NOT_BEARING: Final = ("detection.bundle_keys",)
_SAID_OTHERWISE: Final = ("detection.bundle",)  # a path says little: the bundle's hash stands for it


def bearing_settings(config: Config) -> tuple[tuple[str, str, bool], ...]:
    """Settings that bear on what is found in packets: name, value, whether it is not the default."""
    default = Config()
    return tuple(
        (f"{section}.{name}", text_of(value), value != getattr(getattr(default, section), name))
        for section in _SECTIONS
        for name, value in getattr(config, section)
        if f"{section}.{name}" not in _NOT_BEARING
    )


def changed_settings(config: Config) -> dict[str, str]:
    """Those that are not the default, by name, with the capture filter and without the bundle's path."""
    changed = {
        name: value for name, value, changed in bearing_settings(config) if changed and name not in _SAID_OTHERWISE
    }
    if config.capture.filter is not None:
        changed["capture.filter"] = config.capture.filter
    return changed


def text_of(value: object) -> str:
    """As YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
