"""Arrays that every part of training hands on, by what is in them. Shapes stand where they are used."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Float32s = NDArray[np.float32]
Int64s = NDArray[np.int64]
Mask = NDArray[np.bool_]
Strings = NDArray[np.str_]
