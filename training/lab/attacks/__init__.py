"""Attacks of the lab, by name of the tool."""

from collections.abc import Mapping
from typing import Final

from training.lab.attacks.control import CONTROL
from training.lab.attacks.exhaustion import EXHAUSTIONS
from training.lab.attacks.floods import FLOODS
from training.lab.attacks.guessing import GUESSERS
from training.lab.attacks.scans import SCANS
from training.lab.attacks.theft import THEFT
from training.lab.attacks.tool import Tool
from training.lab.attacks.tunnels import TUNNELLERS

_ALL: Final = (*SCANS, *FLOODS, *EXHAUSTIONS, *GUESSERS, *CONTROL, *TUNNELLERS, *THEFT)
ATTACKS: Final[Mapping[str, Tool]] = {tool.name: tool for tool in _ALL}
