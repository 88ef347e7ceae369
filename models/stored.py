"""What a detector is when it is taken apart to be kept in files, and made again from what was read.

Each detector says itself which arrays and settings it consists of; models.codec does the reading and writing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from models.manifest import Arrays, Form
from models.scaling import Scaling

Forms = Mapping[str, Form]  # by an array's role
SettingTypes = Mapping[str, type]  # by a setting's name: int, float, str or bool


@dataclass(frozen=True, slots=True)
class StoredParts:
    """What a detector is made of, as it was read: of the right forms and types, but not yet known to fit together."""

    name: str  # of the detector
    arrays: Arrays  # by their roles, those of its FORMS
    settings: dict[str, Any]  # those of its SETTINGS
    scaling: Scaling  # of the columns that it looks at
    labels: tuple[str, ...]  # of the model, labels[0] is normal traffic


class Stored(Protocol):
    """A detector that a bundle or its baselines can keep."""

    FORMS: ClassVar[Forms]
    SETTINGS: ClassVar[SettingTypes]

    def arrays(self) -> Arrays:
        """Its own arrays by their roles, without those of its scaling."""

    def settings(self) -> dict[str, Any]:
        """Its numbers and names that are no arrays."""

    @classmethod
    def restored(cls, parts: StoredParts) -> Self:
        """The detector of these parts. Raises ValueError where they do not fit together."""
