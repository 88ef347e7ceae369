"""The last outcome of every claim: a file each in docs/reliability/, shown as the table of docs/reliability.md."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.trust.claim import Claim, Outcome

REPOSITORY: Final = Path(__file__).resolve().parents[2]
RECORDS: Final = REPOSITORY / "docs" / "reliability"  # of a claim NAME: NAME.json
PAGE: Final = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- table of claims: make trust -->\n", "<!-- end of the table -->\n"
SHOWN = 5  # failures of a claim that are kept in words

Record = dict[str, dict[str, Any]]


def machine() -> str:
    """What the figures were taken on, in a few words."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def keep(claim: Claim, outcome: Outcome, scale: float, seconds: float) -> None:
    """Put an outcome in the place of the claim's last one."""
    kept = {
        "tries": outcome.tries,
        "failures": len(outcome.failures),
        "figure": outcome.figure,
        **({"failed": list(outcome.failures[:SHOWN])} if outcome.failures else {}),
        "scale": scale,
        "seconds": round(seconds),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
    }
    RECORDS.mkdir(exist_ok=True)
    (RECORDS / f"{claim.name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def read() -> Record:
    """The last outcomes by name of the claim."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))}


def write_page(claims: Sequence[Claim]) -> None:
    """Put the table into the page and drop outcomes of claims that are no more."""
    for name in set(read()) - {claim.name for claim in claims}:
        (RECORDS / f"{name}.json").unlink()
    PAGE.write_text(with_table(PAGE.read_text(), claims, read()))


def with_table(page: str, claims: Sequence[Claim], record: Record) -> str:
    """The page with its table made anew."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + table(claims, record) + END + rest.split(END)[1]


def table(claims: Sequence[Claim], record: Record) -> str:
    """A row for each claim."""
    rows = ["| claim | what holds | tries | failed | figure | last tried |", "|---|---|--:|--:|---|---|"]
    rows += [_row(claim, record.get(claim.name)) for claim in claims]
    machines = sorted({kept["machine"] for kept in record.values()})
    return "\n".join(rows) + "\n\n" + "".join(f"Machine: {name}.\n" for name in machines)


def _row(claim: Claim, kept: dict[str, Any] | None) -> str:
    name = f"`{claim.name}`" + (" (long)" if claim.long else "")
    needs = f" ({claim.needs})" if claim.needs else ""
    if kept is None:
        return f"| {name} | {claim.promise}{needs} | | | | not yet |"
    tries = f"{kept['tries']:,} {claim.unit}"
    scale = "" if kept["scale"] == 1 else f", at scale {kept['scale']:g}"
    figures = kept["figure"].replace("|", "/")
    return f"| {name} | {claim.promise}{needs} | {tries} | {kept['failures']:,} | {figures} | {kept['date']}{scale} |"
