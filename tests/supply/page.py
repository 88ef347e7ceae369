"""Writes the tables of docs/dependencies.md: `python -m tests.supply.page`. A test holds them to setup.cfg and locks.

Licence and size are of what is installed where it runs; elsewhere they stay as they stand on the page.
"""

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply import pins
from tests.supply.environments import ROOT, environments, extras
from tests.supply.reasons import REASONS

PAGE: Final = ROOT / "docs" / "dependencies.md"
_BLOCK: Final = re.compile(r"(?<=<!-- packages of )(\S+)( -->\n\n).*?(?=\n?<!-- end -->)", re.DOTALL)
# What classifiers call it, by SPDX.
_LICENCES: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
    "Zope Public License": "ZPL-2.1",
}
_WIDEST: Final = 60  # characters of a licence, more of which is what a wheel carries inside


def with_tables(page: str) -> str:
    """The page with its tables made anew."""
    shown = dict(re.findall(r"^\| `([^`]+)` .*\| ([^|]+ \| [^|]+) \|$", page, re.MULTILINE))
    return _BLOCK.sub(lambda block: block[1] + block[2] + _table(block[1], shown), page)


def named(page: str) -> list[tuple[str, str]]:
    """Extra and package of each row."""
    blocks = [(block[1], block[0]) for block in _BLOCK.finditer(page)]
    return [(extra, name) for extra, block in blocks for name in re.findall(r"^\| `([^`]+)`", block, re.MULTILINE)]


def _table(extra: str, shown: dict[str, str]) -> str:
    """The rows of an extra. shown: licence and size of packages, as the page has them."""
    rows = ["| package | locked | what it does | why | bound | licence | MiB |", "|---|---|---|---|---|---|--:|"]
    for line in sorted(extras()[extra], key=str.lower):
        requirement = Requirement(line)
        does, why, bound = REASONS[requirement.name]
        measured = _measured(requirement.name) or shown.get(requirement.name, " | ")
        asked = str(requirement.specifier) or "any"
        rows.append(
            f"| `{requirement.name}` | {_locked(requirement.name)} | {does} | {why} | `{asked}`: {bound} | {measured} |"
        )
    return "\n".join(rows) + "\n"


def _locked(name: str) -> str:
    """Versions in the locks; which, where there are several, is a matter of the Python."""
    of_locks = (pin for environment in environments() for pin in pins.read(environment))
    return ", ".join(sorted({str(pin.version) for pin in of_locks if pin.name == canonicalize_name(name)})) or "–"


def _measured(name: str) -> str | None:
    """Licence and size of an installed package in its locked version, None where it is not there."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    size = sum(file.size or 0 for file in found.files or ())
    return f"{_licence(found.metadata)} | {max(size / 2**20, 0.1):.1f}"


def _licence(metadata: PackageMetadata) -> str:
    """As SPDX where its author says so, else by its classifiers."""
    classified = [line.rpartition(":: ")[2] for line in metadata.get_all("Classifier") or () if "License ::" in line]
    expression, stated = (str((metadata.get_all(name) or [""])[0]) for name in ("License-Expression", "License"))
    if len(expression) > _WIDEST:
        return expression[:_WIDEST].rpartition(" AND ")[0] + " AND …"
    if expression or not classified:
        return expression or stated or "?"
    return " OR ".join(_LICENCES.get(one, one) for one in classified)


def weights() -> dict[str, tuple[int, float]]:
    """Packages of each shipped environment on this Python, with all they need, and their MiB where installed."""
    told = {}
    for environment in environments():
        here = [pin.name for pin in pins.read(environment) if pin.holds({})]
        told[environment] = len(here), sum(float((_measured(name) or "|0").rpartition("|")[2]) for name in here)
    return told


def main() -> None:
    """Write the page."""
    Path(PAGE).write_text(with_tables(PAGE.read_text()))


if __name__ == "__main__":
    main()
