"""Versions of what a bundle was made with, for its manifest."""

import platform
from importlib.metadata import PackageNotFoundError, version

from training.label_map import LabelMap


def made_by(recipe: str, labels: LabelMap | None) -> str:
    """The command that makes a bundle. recipe: its name."""
    return f"flowvigil train {recipe}.yaml" + ("" if labels is None else f" --labels {labels.file}")


def versions() -> dict[str, str | None]:
    """Version of Python and of each package that a fit depends on, None for one that is not installed."""
    packages = ("flowvigil", "numpy", "numba", "tensorflow-cpu", "keras", "scikit-learn", "polars")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
