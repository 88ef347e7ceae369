"""The environments that setup.cfg names, and what each asks for: one place that the lock, the bill of materials and the
page of dependencies read them from.
"""

import configparser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ROOT / "configs" / "locks"

SENSOR: Final = "sensor"  # what an operator installs without any extra
# An environment is the sensor with these extras of setup.cfg; those without it build the wheel or the pages, or audit.
WITH_SENSOR: Final[dict[str, tuple[str, ...]]] = {
    SENSOR: (),
    "cluster": ("cluster",),
    "home": ("home",),
    "geo": ("geo",),
    "kafka": ("kafka",),
    "object-stores": ("object-stores",),
    "signed": ("signed",),
    "tables": ("tables",),
    "serve": ("serve",),
    "train": ("train",),
    "develop": (
        "cluster",
        "geo",
        "home",
        "kafka",
        "object-stores",
        "serve",
        "signed",
        "tables",
        "train",
        "test",
        "check",
    ),
}
WITHOUT_SENSOR: Final[dict[str, tuple[str, ...]]] = {"build": ("build",), "docs": ("docs",), "audit": ("audit",)}
# Those that operators choose from.
SHIPPED: Final = (SENSOR, "cluster", "geo", "home", "kafka", "object-stores", "serve", "signed", "tables", "train")


def extras() -> dict[str, list[str]]:
    """Requirements by extra, as setup.cfg writes them; those of the sensor itself under `sensor`."""
    file = configparser.ConfigParser()
    file.read(ROOT / "setup.cfg")
    asked = {name: lines.split("\n") for name, lines in file["options.extras_require"].items()}
    asked[SENSOR] = file["options"]["install_requires"].split("\n")
    return {name: [line for line in lines if line] for name, lines in asked.items()}


def environments() -> dict[str, list[str]]:
    """Requirements by environment, each once, in the order of setup.cfg."""
    asked = extras()
    chosen = {name: (SENSOR, *more) for name, more in WITH_SENSOR.items()} | WITHOUT_SENSOR
    return {
        name: list(dict.fromkeys(line for extra in parts for line in asked[extra])) for name, parts in chosen.items()
    }
