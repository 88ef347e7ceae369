"""The page of the default bundle: what it says that was seen is what the manifest says, figures are of evaluations."""

import json
from typing import Any

from docs.bundle_page import MANIFEST, PAGE, attacks, flows, learnt, normal, saw, written

ABOUT: dict[str, Any] = json.loads(MANIFEST.read_text(encoding="utf-8"))["about"]


def networks(found: int) -> dict[str, Any]:
    """Figures of an evaluation by networks, as far as the page shows them."""
    share = {
        "normal": {"pooled": 0.5, "mean": 0.25},
        "families": {"DoS": {"n": 20, "mean": 0.75}, "Few": {"n": 19, "mean": 1}},
    }
    # fmt: off
    return {
        "normal": {"per_1000_flows": {"pooled": 0.5}, "flows": 2000, "alerts": 1, "severe": 0},
        "attacks": {
            "episodes": 4, "found": {"k": found}, "named": {"k": 2}, "severe_wrong": 0, "seconds": {"median": 9.5},
        },
        "by_group": {
            "attack/scan": {
                "episodes": 4, "found": found, "named": 2, "severe_wrong": 0, "seconds": {"median": 9.5},
            },
            "benign/web": {"flows": 2000, "alerts": 1, "severe": 0, "per_1000_flows": 0.5},
        },
        "flow_by_flow": {"hybrid": {"0.001": share, "0.01": share, "0.05": share}},
    }
    # fmt: on


def block(page: str, name: str) -> str:
    return page.partition(f"<!-- {name} -->\n")[2].partition("<!-- end -->")[0]


def test_the_page_tells_what_the_manifest_says_that_the_bundle_saw() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert block(page, "saw") == saw(ABOUT)
    assert block(page, "learnt") == learnt(ABOUT)


def test_figures_stand_where_the_page_wants_them_and_nowhere_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    again = written(page, ABOUT, {"networks": networks(3)}, {"networks": networks(4)})
    assert (
        block(again, "folds-attacks") == attacks(networks(3)) != attacks(networks(4)) == block(again, "aside-attacks")
    )
    assert "| scan | 4 | 3 | 2 | 0 | 9.5 s |" in block(again, "folds-attacks")
    assert block(again, "folds-normal") == normal(networks(3))
    assert "| benign/web | 2,000 | 1 | 0 | 0.500 |" in block(again, "folds-normal")
    assert block(again, "aside-flows") == flows(networks(4))
    assert "| hybrid | 0.1% | 50.00 % | 25.00 % | DoS 0.75 |" in block(again, "folds-flows")
    assert written(again, ABOUT, {"networks": networks(3)}, {"networks": networks(4)}) == again
    prose = [line for line in page.splitlines() if not line.startswith("|")]
    assert [line for line in again.splitlines() if not line.startswith("|")] == prose
