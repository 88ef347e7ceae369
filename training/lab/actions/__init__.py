"""Actions of users and machines, by name."""

from collections.abc import Mapping
from typing import Final

from training.lab.actions.action import Action
from training.lab.actions.browser import BROWSER
from training.lab.actions.desktops import DESKTOPS
from training.lab.actions.files import FILES
from training.lab.actions.machines import MACHINES
from training.lab.actions.mail import MAIL
from training.lab.actions.neighbours import NEIGHBOURS
from training.lab.actions.private import PRIVATE
from training.lab.actions.shells import SHELLS
from training.lab.actions.stores import STORES
from training.lab.actions.web import WEB

_ALL: Final = (*WEB, *BROWSER, *SHELLS, *DESKTOPS, *MAIL, *FILES, *STORES, *MACHINES, *NEIGHBOURS, *PRIVATE)
ACTIONS: Final[Mapping[str, Action]] = {action.name: action for action in _ALL}
