"""LSTM: one step per flow, with the state of each host carried from flow to flow.

It does not know addresses, only that equal host words mean the same sequence, and it has no clock: the flows' times are
all the time there is. Equal to Keras within 1e-5.
"""

import copy
import math
import secrets
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kernels.hosts import EVICTED, host_table
from kernels.jit import aligned, as_taken
from models.detector import FlowSteps, Labels, Probabilities, Vector, attack_of
from models.lstm_steps import PLAN_WIDTH, ROWS, Float32s, run_steps
from models.manifest import Arrays
from models.scaling import Scaling
from models.stored import Forms, SettingTypes, StoredParts

HOSTS = 65_536  # unless whoever loads it asks for another number
MAX_UNITS = 512  # a host's state has twice as many numbers: 256 MB of that many hosts
MAX_WEIGHT = 1e6  # below it no sum can overflow float32, so scores stay finite


class Lstm:
    """Stateful LSTM classifier of flows; labels[0] is normal traffic.

    The state of a host is (h, c) and the latest start of its flows. The host that advanced longest ago is forgotten
    when there are too many.
    """

    FORMS: ClassVar[Forms] = {
        "kernel": (np.float32, 2),
        "recurrent": (np.float32, 2),
        "bias": (np.float32, 1),
        "head_kernel": (np.float32, 2),
        "head_bias": (np.float32, 1),
    }
    SETTINGS: ClassVar[SettingTypes] = {"units": int, "reset_ns": int, "dt_center": float, "dt_scale": float}

    def __init__(
        self,
        scaling: Scaling,
        *,
        kernel: Float32s,
        recurrent: Float32s,
        bias: Float32s,
        head_kernel: Float32s,
        head_bias: Float32s,
        labels: tuple[str, ...],
        reset_ns: int,
        dt_center: float,
        dt_scale: float,
        name: str = "lstm",
        hosts: int = HOSTS,
        seed: int | None = None,
    ) -> None:
        """Weights in Keras's layout and gate order i, f, c, o; any float dtype, kept as float32.

        kernel: (d + 1, 4u), scaled columns and, last, the scaled gap. recurrent: (u, 4u). bias: (4u,). head_kernel:
        (u, k). head_bias: (k,). reset_ns: a silence longer than this starts a host anew. dt_center, dt_scale: the gap
        enters as (log1p(seconds) - dt_center) / dt_scale, clipped to ±8. hosts: how many are remembered. seed: 128 bits
        for the host table's hash, random when None; no result depends on it.
        Raises ValueError for shapes that do not fit, weights that are not finite or beyond 1e6, more than 512 units,
        and k below 2.
        """
        units, classes = recurrent.shape[0], len(labels)
        for what, array, shape in (
            ("kernel", kernel, (len(scaling.columns) + 1, 4 * units)),
            ("recurrent", recurrent, (units, 4 * units)),
            ("bias", bias, (4 * units,)),
            ("head_kernel", head_kernel, (units, classes)),
            ("head_bias", head_bias, (classes,)),
        ):
            if array.shape != shape:
                raise ValueError(f"lstm {what} has shape {array.shape}, expected {shape}")
            if not (np.abs(array) <= MAX_WEIGHT).all():  # false for NaN
                raise ValueError(f"lstm {what} is not finite or beyond {MAX_WEIGHT:g}")
        if not 1 <= units <= MAX_UNITS or classes < 2:
            raise ValueError(
                f"lstm has {units} units and {classes} labels, expected 1 to {MAX_UNITS} units and at least 2 labels"
            )
        if not (0 < reset_ns < 1 << 62):
            raise ValueError(f"lstm reset_ns is {reset_ns}, expected a positive number of nanoseconds")
        if not (math.isfinite(dt_center) and math.isfinite(dt_scale) and dt_scale > 0):
            raise ValueError(f"lstm dt_center {dt_center} and dt_scale {dt_scale} must be finite, dt_scale positive")
        self.name = name
        self.scaling = scaling
        self.labels = labels
        self.kernel = _own(kernel)
        self.recurrent = _own(recurrent)
        self.bias = _own(bias)
        self.head_kernel = _own(head_kernel)
        self.head_bias = _own(head_bias)
        self.reset_ns = reset_ns
        self.dt_center = float(dt_center)
        self.dt_scale = float(dt_scale)
        self._seed = secrets.randbits(128) if seed is None else seed
        self.remember(hosts)
        self._make_scratch()

    def score(self, steps: FlowSteps) -> Vector:
        """1 - p(normal) of each step, (n,) float64 in [0, 1]; hosts advance."""
        return self.score_labels(steps)[0]

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        """As score, and the likeliest attack class of each step: (n,) int64, index into labels, never 0."""
        return attack_of(self.probabilities(steps))

    def probabilities(self, steps: FlowSteps) -> Probabilities:
        """Softmax over the labels at each step, (n, k) float64; hosts advance.

        The gap of a step is its start minus the latest start of its host's earlier steps, at least 0; a host's first
        step, and the first after a silence longer than reset_ns, start from a zero state with a scaled gap of 0.
        """
        out = np.empty((len(steps), len(self.labels)))
        table = self._hosts
        with np.errstate(over="ignore"):  # the hash wraps around; matters where kernels run as plain Python
            run_steps(
                steps.scaled(self.scaling),
                as_taken(steps.host, np.int64),
                as_taken(steps.time_ns, np.int64),
                as_taken(steps.advances, np.bool_),
                self.kernel,
                self.recurrent,
                self.bias,
                self.head_kernel,
                self.head_bias,
                self.reset_ns,
                self.dt_center,
                self.dt_scale,
                table.slots,
                table.keys,
                table.links,
                table.ends,
                table.seed,
                self._last_ns,
                self._state,
                self._gates,
                self._carried,
                self._plan,
                self._gaps,
                self._logits,
                out,
            )
        return out

    def remember(self, hosts: int) -> None:
        """Forget every host, and have room for so many from now on. Raises ValueError outside of 1 to 2^24."""
        self._hosts = host_table(hosts, self._seed)
        self._last_ns = np.zeros(hosts, dtype=np.int64)
        # h, then c; pages are taken as hosts come
        self._state = np.zeros((hosts, 2 * len(self.recurrent)), dtype=np.float32)

    def twin(self) -> "Lstm":
        """The same weights without a host, of which there is room for one; may score while this one does."""
        twin = copy.copy(self)
        twin.remember(1)
        twin._make_scratch()  # its own
        return twin

    @property
    def evicted(self) -> int:
        """Hosts that gave way to others since it remembers anything."""
        return int(self._hosts.ends[EVICTED])

    def forget(self) -> None:
        """Drop the state of every host, as if no step had been scored."""
        self._hosts.clear()

    def arrays(self) -> Arrays:
        """The weights by their names, those of FORMS."""
        return {name: getattr(self, name) for name in self.FORMS}

    def settings(self) -> dict[str, Any]:
        """The number of units, the silence that starts a host anew, and the scale of the gaps."""
        return {
            "units": len(self.recurrent),
            "reset_ns": int(self.reset_ns),
            "dt_center": self.dt_center,
            "dt_scale": self.dt_scale,
        }

    @classmethod
    def restored(cls, parts: StoredParts) -> "Lstm":
        """The network of these parts, with no host remembered. Raises ValueError where they do not fit together."""
        rows = len(parts.arrays["recurrent"])
        if parts.settings["units"] != rows:
            raise ValueError(f"units are not the {rows} rows of its recurrent array")
        own: dict[str, Any] = {**parts.arrays, **parts.settings}
        del own["units"]
        return cls(parts.scaling, **own, labels=parts.labels, name=parts.name)

    def _make_scratch(self) -> None:
        units, classes = self.head_kernel.shape
        self._gates = aligned((ROWS, 4 * units))
        self._carried = aligned((ROWS, 2 * units))
        self._plan = np.empty((PLAN_WIDTH, ROWS), dtype=np.int64)
        self._gaps = np.empty(ROWS, dtype=np.float32)
        self._logits = np.empty((classes, ROWS))


def _own(array: NDArray[np.floating]) -> Float32s:
    own = aligned(array.shape)
    own[...] = array
    return own
