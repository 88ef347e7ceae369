"""Writes the tables of docs/default.md: `python -m docs.bundle_page FOLDS.json ASIDE.json`.

FOLDS.json is what `flowvigil evaluate --recipe configs/training/default.yaml --protocol networks --json` prints,
ASIDE.json what `flowvigil evaluate default INDEX --protocol networks --json` prints of networks that nothing was fitted
on. What the bundle saw is in its manifest. The page is written by hand but for what stands between `<!-- NAME -->` and
`<!-- end -->`.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "default.md"
MANIFEST: Final = ROOT / "models" / "pretrained" / "default" / "manifest.json"
_BLOCK: Final = re.compile(r"(?<=<!-- )(?!end )([a-z-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
RATES: Final = ("0.001", "0.01", "0.05")
LEAST: Final = 20  # flows of a family, of which a share is told
Figures = Mapping[str, Any]


def saw(about: Figures) -> str:
    """What the bundle was fitted on, a line each source."""
    rows = [
        (
            source["name"],
            f"{source['captures']:,}" if source["captures"] else "a table",
            str(len(source["networks"])),
            f"{source['normal']:,}",
            f"{source['attack']:,}",
            f"{source['without_label']:,}",
            f"`{source['sha256'][:12]}`",
        )
        for source in about["sources"]
    ]
    head = ("source", "captures", "networks", "normal flows", "of attacks", "without a label", "sha256")
    return _table(head, rows)


def learnt(about: Figures) -> str:
    """Flows of each family and source."""
    sources = about["sources"]
    families = sorted({family for source in sources for family in source["families"]})
    rows = [(family, *(f"{source['families'].get(family, 0):,}" for source in sources)) for family in families]
    return _table(("family", *(source["name"] for source in sources)), rows)


def normal(networks: Figures) -> str:
    """False alerts, of all and by group."""
    own = networks["normal"]
    total = f"**{own['per_1000_flows']['pooled']:.3f}**"
    groups = [(name, group) for name, group in networks["by_group"].items() if not name.startswith("attack/")]
    rows = [
        (name, f"{group['flows']:,}", str(group["alerts"]), str(group["severe"]), f"{group['per_1000_flows'] or 0:.3f}")
        for name, group in groups
    ]
    rows.append(("**all**", f"{own['flows']:,}", str(own["alerts"]), str(own["severe"]), total))
    return _table(("normal traffic", "flows", "false alerts", "severe", "a 1,000 flows"), rows)


def attacks(networks: Figures) -> str:
    """Episodes by group: found, rightly named, after how long."""
    rows = []
    for name, group in networks["by_group"].items():
        if name.startswith("attack/"):
            median = group["seconds"]["median"] if group["found"] else None
            rows.append(
                (
                    name.removeprefix("attack/"),
                    str(group["episodes"]),
                    str(group["found"]),
                    str(group["named"]),
                    str(group["severe_wrong"]),
                    "" if median is None else f"{median:,.1f} s",
                )
            )
    own = networks["attacks"]
    found, named, wrong = own["found"]["k"], own["named"]["k"], own["severe_wrong"]
    rows.append(
        ("**all**", f"{own['episodes']}", f"{found}", f"{named}", f"{wrong}", f"{own['seconds']['median']:,.1f} s")
    )
    return _table(("attack", "episodes", "found", "rightly named", "severe, wrongly named", "median time"), rows)


def flows(networks: Figures) -> str:
    """Normal flows flagged, and recall by family, of the hybrid and its members at each rate; mean of networks."""
    rows = []
    for member, by_rate in networks["flow_by_flow"].items():
        for rate in RATES:
            told = by_rate[rate]
            families = (f"{name} {own['mean']:.2f}" for name, own in told["families"].items() if own["n"] >= LEAST)
            rate_of = f"{float(rate):.1%}"
            rows.append(
                (member, rate_of, _share(told["normal"]["pooled"]), _share(told["normal"]["mean"]), ", ".join(families))
            )
    return _table(
        ("model", "nominal", "normal flagged", "mean of networks", "attack flows flagged, mean of networks"), rows
    )


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written(page: str, about: Figures, folds: Figures, aside: Figures) -> str:
    """The page with its tables."""
    blocks: dict[str, Callable[[], str]] = {
        "saw": lambda: saw(about),
        "learnt": lambda: learnt(about),
        "folds-normal": lambda: normal(folds["networks"]),
        "folds-attacks": lambda: attacks(folds["networks"]),
        "folds-flows": lambda: flows(folds["networks"]),
        "aside-normal": lambda: normal(aside["networks"]),
        "aside-attacks": lambda: attacks(aside["networks"]),
        "aside-flows": lambda: flows(aside["networks"]),
    }
    return _BLOCK.sub(lambda block: block[1] + block[2] + blocks[block[1]](), page)


def main() -> None:
    """Write the page."""
    folds, aside = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
    about = json.loads(MANIFEST.read_text(encoding="utf-8"))["about"]
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), about, folds, aside), encoding="utf-8")


if __name__ == "__main__":
    main()
