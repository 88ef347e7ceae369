"""Arrays that are used again once nothing refers to them: memory from the system is dear, and cold."""

import sys
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from numpy.typing import NDArray

Array = TypeVar("Array", bound=NDArray[Any])

_ALONE: Final = [object()]
UNUSED: Final = sys.getrefcount(_ALONE[0])  # references to what only stands in a list, with that of the call


class ReusedArrays(Generic[Array]):
    """Arrays of one kind, as many as are in use at once: a view of one, as a packet block's are, keeps it in use."""

    def __init__(self, create: Callable[[], Array]) -> None:
        self._create = create
        self._arrays: list[Array] = []

    def take(self) -> Array:
        """An array that nothing refers to, with what was written to it last."""
        for i in range(len(self._arrays)):
            if sys.getrefcount(self._arrays[i]) == UNUSED:
                return self._arrays[i]
        self._arrays.append(self._create())
        return self._arrays[-1]
