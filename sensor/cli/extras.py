"""Packages of the optional extras, which some commands need."""

from importlib.util import find_spec
from typing import Final

import typer

_CALLED: Final = {"sklearn": "scikit-learn"}  # what installs a module, where it has another name


def require_packages(packages: tuple[str, ...], purpose: str, extra: str) -> None:
    """Raise typer.BadParameter unless all these packages are installed, with the extra that installs them."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise missing_packages(missing, purpose, extra)


def require_tables(purpose: str) -> None:
    """Raise typer.BadParameter unless there is what reads and writes flow tables. purpose: such as "a flow table"."""
    require_packages(("pyarrow",), purpose, "tables")


def missing_packages(packages: list[str], purpose: str, extra: str) -> typer.BadParameter:
    """The usage error for packages that are not installed. purpose: such as "training"."""
    named = ", ".join(_CALLED.get(package, package) for package in packages)
    return typer.BadParameter(f"{purpose} needs {named}: pip install 'flowvigil[{extra}]'")
