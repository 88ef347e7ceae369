"""The table and the page of an evaluation by networks: what is told where there is nothing to tell of."""

from typing import Any

import pytest

from tests.training.networks.test_network_figures import JUDGED, attack, normal
from training.evaluation.networks.figures import network_figures
from training.evaluation.networks.judged import JudgedCapture
from training.evaluation.networks.table import networks_table


@pytest.fixture(scope="module", autouse=True)
def needs_the_train_extra() -> None:
    for package in ("matplotlib", "jinja2"):
        pytest.importorskip(package)


def content(judged: list[JudgedCapture], **others: Any) -> dict[str, Any]:
    bundle = {"model_id": "made", "sha256": "0" * 64, "default_rate": 0.01, "warnings": ["<b>one office</b>"]}
    dataset = {"file": "index.csv", "sha256": "1" * 64, "captures": len(judged), "networks": ["a", "b"], "repairs": {}}
    head = {"protocol": "networks", "n": 7, "seed": 1, "notes": ["a note"], "families": {}, "beside": None}
    return {**head, "bundle": bundle, "dataset": dataset, "networks": network_figures(judged, 1), **others}


def page_of(told: dict[str, Any]) -> str:
    from training.evaluation.report.networks import networks_document
    from training.page.render import html_of

    return html_of(networks_document(told, "flowvigil evaluate made captures --protocol networks"))


def test_costs_and_findings_stand_at_the_top() -> None:
    page = page_of(content(JUDGED))
    assert "On 20,200 normal flows it raises 4 false alerts (4 called an attack, 1 severe), in 3 of 4 captures" in page
    assert (
        "Of 4 episodes of attacks it finds 3, 75 % [19.4 %, 99.4 %], and names 2 rightly, 50 % [6.76 %, 93.2 %]" in page
    )
    assert "An episode is found after 5 s in the median (quartiles 4 to 7 s)." in page
    assert "A note." in page


def test_missed_episodes_stand_before_those_found() -> None:
    page = page_of(content(JUDGED))
    places = [page.rindex(text) for text in ("Episodes, one by one", ">missed<", ">found, not named<", ">named<")]
    assert sorted(places) == places
    assert "g: sweep" in page


def test_a_table_has_a_line_for_each_group_and_network() -> None:
    lines = networks_table(content(JUDGED)).splitlines()
    starts = [line.split("  ")[0] for line in lines]
    for name in (
        "attack/PortScan",
        "attack/scan",
        "benign/desk",
        "labelled/office",
        "fourth",
        "large",
        "small",
        "third",
    ):
        assert starts.count(name) == 1
    (scan,) = [line.split() for line in lines if line.startswith("attack/scan ")]
    assert scan[1:] == ["21", "3", "2", "1", "3", "1", "4"]


def test_without_attacks_nothing_is_said_of_them() -> None:
    told = content([normal("a", "large", 10_000, 0)])
    for text in (networks_table(told), page_of(told)):
        assert "episodes of attacks" not in text
        assert "rightly" not in text
    assert "0 [" not in networks_table(told), "one network has no interval"


def test_without_normal_traffic_nothing_is_said_of_false_alerts() -> None:
    told = content([attack("d", "small", right=())])
    assert "false alert" not in networks_table(told)
    assert "it finds 0, 0 % [0 %, 97.5 %]" in page_of(told)
    assert "not found, so there is no time to detect" in networks_table(told)


def test_what_others_wrote_is_text_on_the_page() -> None:
    page = page_of(content([normal("<script>", "<i>", 10, 1)]))
    assert "<script>" not in page
    assert "&lt;b&gt;one office&lt;/b&gt;" in page


def test_families_and_another_bundle_have_their_sections() -> None:
    figures = network_figures(JUDGED, 1)
    beside = {"bundle": {"model_id": "other"}, "networks": figures}
    told = content(JUDGED, families={"PortScan": figures["attacks"], "Tunnel": None}, beside=beside)
    page, text = page_of(told), networks_table(told)
    assert "Families left out" in page
    assert "other: On 20,200 normal flows" in page
    assert "PortScan: found 75 %" in text
    assert "Tunnel" not in text
    assert "beside it other" in text
