"""What a bundle knows of its site: kept as it was, and refused where a stranger wrote nonsense."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.bundle import BundleError, load_bundle, save_bundle
from models.fusion import Hybrid
from models.site import Habit, Learned, SiteProfile
from tests.models.builders import CONTRACT

SITE = SiteProfile(
    alerts_per_day=5.0,
    expected_alerts_per_day=(1.5, 4.0, 9.25),
    flows_between_false_openings=2e5,
    levels={"scan": 1.5, "beacon": 0.5},
    warming=("budget",),
    learned=Learned(10**18, 10**18 + 10**14, 1.157, 150_000, 60, 12, ("10.0.0.0/24", "2001:db8::/64")),
    habits=(
        Habit("beacon", "10.0.0.1", "2001:db8::1", 443, 6, 1.4, 0.92),
        Habit("flood-at", None, "10.0.0.2", 0, 1, 2.0, 1.0),
    ),
    shipped={0.01: (0.005, 0.0), 0.001: (0.0005, 0.0005)},
)


@pytest.fixture
def bundle(hybrid: Hybrid, tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", replace(hybrid, site=SITE), {})
    return tmp_path / "bundle"


def test_a_site_is_kept_as_it_was(bundle: Path) -> None:
    assert load_bundle(bundle, CONTRACT).site == SITE


def test_a_bundle_of_no_ones_network_says_nothing_of_a_site(hybrid: Hybrid, tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle", hybrid, {})
    assert "site" not in json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert load_bundle(tmp_path / "bundle", CONTRACT).site is None


Change = Callable[[dict[str, Any]], object]
HOSTILE: dict[str, Change] = {
    "no section": lambda site: site.clear(),
    "another key": lambda site: site.update(more=1),
    "no alerts": lambda site: site.update(alerts_per_day=0),
    "infinite alerts": lambda site: site.update(alerts_per_day=1e999),
    "alerts as text": lambda site: site.update(alerts_per_day="5"),
    "two expected": lambda site: site.update(expected_alerts_per_day=[1, 2]),
    "expected the wrong way round": lambda site: site.update(expected_alerts_per_day=[3, 2, 1]),
    "expected negative": lambda site: site.update(expected_alerts_per_day=[-1, 2, 3]),
    "threshold below any": lambda site: site.update(flows_between_false_openings=0.5),
    "threshold beyond any": lambda site: site.update(flows_between_false_openings=1e13),
    "levels as a list": lambda site: site.update(levels=[1.0]),
    "level of nothing": lambda site: site["levels"].update(scan=0.0),
    "level beyond any": lambda site: site["levels"].update(scan=1e9),
    "kind without a name": lambda site: site["levels"].update({"": 1.0}),
    "kind that rings": lambda site: site["levels"].update({"\x07": 1.0}),
    "many kinds": lambda site: site["levels"].update({f"k{i}": 1.0 for i in range(100)}),
    "warming in long words": lambda site: site.update(warming=["x" * 1000]),
    "warming in numbers": lambda site: site.update(warming=[1]),
    "learned for less than nothing": lambda site: site["learned"].update(days=-1),
    "learned backwards": lambda site: site["learned"].update(to_ns=1),
    "learned from half a flow": lambda site: site["learned"].update(flows=0.5),
    "learned in no list": lambda site: site["learned"].update(networks="10.0.0.0/24"),
    "learned in a number": lambda site: site["learned"].update(networks=[10]),
    "learned in no network": lambda site: site["learned"].update(networks=["10.0.0.1/24"]),
    "learned in a long network": lambda site: site["learned"].update(networks=["1" * 100_000]),
    "learned in many networks": lambda site: site["learned"].update(networks=["10.0.0.0/24"] * 65),
    "shipped as text": lambda site: site.update(shipped="0.01"),
    "shipped cut of more than all": lambda site: site["shipped"][0].update(known=1.5),
    "shipped cut of no rate": lambda site: site["shipped"][0].update(rate=0.0),
    "shipped cut that is none": lambda site: site["shipped"][0].update(novel=float("nan")),
    "shipped lacks": lambda site: site["shipped"][0].pop("novel"),
    "habits as text": lambda site: site.update(habits="all"),
    "habit of no address": lambda site: site["habits"][0].update(source="10.0.0.300"),
    "habit of a name": lambda site: site["habits"][0].update(destination="evil.example"),
    "habit of a long address": lambda site: site["habits"][0].update(source="1" * 100_000),
    "habit of no port": lambda site: site["habits"][0].update(port=70_000),
    "habit of no protocol": lambda site: site["habits"][0].update(protocol=-1),
    "habit lacks": lambda site: site["habits"][0].pop("level"),
    "habit without a number": lambda site: site["habits"][0].update(level=float("nan")),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_nonsense_of_a_site_is_refused_in_one_line(bundle: Path, change: Change) -> None:
    file = bundle / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest["site"])
    file.write_text(json.dumps(manifest))
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle, CONTRACT)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 1000
