"""Arrays that are used again: never while anything refers to them."""

import numpy as np
from numpy.typing import NDArray

from flows.reuse import ReusedArrays


def test_an_array_is_used_again_once_no_view_of_it_is_left() -> None:
    arrays: ReusedArrays[NDArray[np.int64]] = ReusedArrays(lambda: np.empty(8, dtype=np.int64))
    first = arrays.take()
    place = first.ctypes.data
    view = first[2:4][1:]
    del first
    assert arrays.take().ctypes.data != place
    del view
    assert arrays.take().ctypes.data == place
