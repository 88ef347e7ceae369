"""Rules of one look: a table of ports and a cut through one column, what every learner has to beat.

They do not know how they were fitted. After Holte, "Very Simple Classification Rules Perform Well on Most Commonly
Used Datasets", 1993.
"""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.detector import FlowSteps, Vector
from models.logistic import sigmoid
from models.manifest import Arrays
from models.scaling import CLIP, Matrix, Scaling
from models.stored import Forms, SettingTypes, StoredParts

NO_PORT = -1


class PortTable:
    """Share of attacks among the training flows to each destination port."""

    FORMS: ClassVar[Forms] = {"ports": (np.int32, 1), "shares": (np.float64, 1)}
    SETTINGS: ClassVar[SettingTypes] = {"prior": float}

    def __init__(self, ports: NDArray[np.int32], shares: NDArray[np.float64], prior: float) -> None:
        """ports: (k,) int32, ascending within 0..65535. shares: (k,) float64 in [0, 1]. prior: share for other ports.

        Raises ValueError for others.
        """
        if ports.ndim != 1 or ports.shape != shares.shape or not len(ports):
            raise ValueError(f"port table has ports {ports.shape} and shares {shares.shape}")
        if (np.diff(ports.astype(np.int64)) <= 0).any() or ports[0] < 0 or ports[-1] > 65535:
            raise ValueError("port table's ports do not ascend within 0..65535")
        if not (((shares >= 0) & (shares <= 1)).all() and 0 <= prior <= 1):
            raise ValueError("port table has a share outside 0..1")
        self.ports = ports
        self.shares = shares
        self.prior = float(prior)

    def score_ports(self, dst_port: NDArray[np.int64]) -> Vector:
        """Share of attacks to each port, (n,) float64 in [0, 1]. dst_port: (n,) int64, -1 where it is not known."""
        place = np.minimum(np.searchsorted(self.ports, dst_port), len(self.ports) - 1)
        share: Vector = np.where(self.ports[place] == dst_port, self.shares[place], self.prior)
        return share

    def arrays(self) -> Arrays:
        """The ports and the share of each."""
        return {"ports": self.ports, "shares": self.shares}

    def settings(self) -> dict[str, Any]:
        """The share of other ports."""
        return {"prior": self.prior}

    @classmethod
    def restored(cls, parts: StoredParts) -> "PortTable":
        """The table of these parts; it looks at no column. Raises ValueError where they do not fit together."""
        return cls(parts.arrays["ports"], parts.arrays["shares"], parts.settings["prior"])


class ColumnThreshold:
    """One column against one value: 0.5 at the cut, more on the side of the attacks."""

    FORMS: ClassVar[Forms] = {}
    SETTINGS: ClassVar[SettingTypes] = {"column": str, "rises": bool, "cut": float}

    def __init__(self, scaling: Scaling, column: str, rises: bool, cut: float, name: str = "one_column") -> None:
        """column: one of the scaling's. rises: attacks lie above the cut. cut: in the scaled column, within ±8.

        Raises ValueError for others.
        """
        if column not in scaling.columns:
            raise ValueError(f"column threshold uses column {column!r:.80}, which the scaling does not have")
        if not (math.isfinite(cut) and abs(cut) <= CLIP):
            raise ValueError(f"column threshold has its cut at {cut}, expected within {CLIP} standard deviations")
        self.name = name
        self.scaling = scaling
        self.column = column
        self.rises = rises
        self.cut = float(cut)

    def score(self, steps: FlowSteps) -> Vector:
        """How far a step lies on the attacks' side, (n,) float64 in (0, 1)."""
        return self.score_rows(steps.scaled(self.scaling))

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32."""
        beyond = x[:, self.scaling.columns.index(self.column)].astype(np.float64) - self.cut
        return sigmoid(beyond if self.rises else -beyond)

    def forget(self) -> None:
        """Nothing to forget: a row's score depends on that row."""

    def arrays(self) -> Arrays:
        """It has none."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The column, the attacks' side of the cut, and the cut."""
        return {"column": self.column, "rises": self.rises, "cut": self.cut}

    @classmethod
    def restored(cls, parts: StoredParts) -> "ColumnThreshold":
        """The rule of these parts. Raises ValueError where they do not fit together."""
        return cls(parts.scaling, name=parts.name, **parts.settings)
