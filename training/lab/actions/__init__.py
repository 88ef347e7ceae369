"""Actions of users and machines, by name."""

from collections.abc import Mapping
from typing import Final

from training.lab.actions.action import Action
from training.lab.actions.shells import SHELLS
from training.lab.actions.web import WEB

_ALL: Final = (*WEB, *SHELLS)
ACTIONS: Final[Mapping[str, Action]] = {action.name: action for action in _ALL}
