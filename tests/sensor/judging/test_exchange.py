"""A judge that goes on with another model: what is open stays open, and what is said of it bears the other's name."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from flows.batch import FlowBatch
from flows.columns import NAMES, feature_contract
from flows.context.columns import context_contract
from models.bundle import load_bundle, save_bundle
from models.fusion import Hybrid
from sensor.alerts.alert import Alert
from sensor.alerts.alert_flow import AlertItem
from sensor.alerts.alert_record import alert_line
from sensor.cli.build import build_judge, bundle_path
from sensor.episodes.rows import RowTranslation
from sensor.judging.judge import Judge
from sensor.settings.config import Config
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.context_bundles import context_hybrid, records_of

CONFIG = Config.model_validate({"episodes": {"flows_per_alert": 50}})


@pytest.fixture(scope="module")
def records() -> FlowBatch:
    """An office's morning with two attacks in it."""
    return records_of(NORMAL, PORTSCAN, SSH_GUESSING, seed=3, minutes=7.0)


@pytest.fixture(scope="module")
def in_context(tmp_path_factory: pytest.TempPathFactory) -> Hybrid:
    """A bundle with context, whose detectors keep no state of hosts."""
    path = tmp_path_factory.mktemp("bundles") / "with-context"
    save_bundle(path, context_hybrid(), {})
    return load_bundle(path, context_contract())


def shipped(name: str) -> Hybrid:
    return load_bundle(bundle_path(Path(name)), feature_contract(), context_contract())


def judge_of(hybrid: Hybrid) -> Judge:
    rate = CONFIG.detection.false_positive_rate
    chosen = CONFIG if rate in hybrid.thresholds else CONFIG.model_copy(
        update={"detection": CONFIG.detection.model_copy(update={"false_positive_rate": hybrid.default_rate})}
    )  # fmt: skip
    return build_judge(chosen, hybrid)


def part(records: FlowBatch, first: int, end: int | None) -> FlowBatch:
    return FlowBatch(records.identity[first:end], records.values[first:end])


def told(records: FlowBatch, first: Hybrid, *others: Hybrid) -> tuple[Judge, list[AlertItem]]:
    """What is said of records with an exchange after each of equal parts of them."""
    first.forget()
    judge, size = judge_of(first), len(records) // (1 + len(others))
    items = judge.judge(part(records, 0, size))
    for at, other in enumerate(others, start=1):
        judge.exchange(judge_of(other))
        items += judge.judge(part(records, at * size, (at + 1) * size if at < len(others) else None))
    return judge, items + judge.finish()


def lines(items: list[AlertItem]) -> list[bytes]:
    return [alert_line(item) for item in items if isinstance(item, Alert)]


def test_an_exchange_for_the_same_model_changes_no_alert(records: FlowBatch, in_context: Hybrid) -> None:
    """Nor the context of hosts, nor their evidence, nor which flows are handed on."""
    _, without = told(records, in_context)
    judge, with_exchanges = told(records, *[in_context] * 5)
    assert len(lines(without)) >= 2
    assert lines(with_exchanges) == lines(without)
    flows = [[item.identity for item in items if not isinstance(item, Alert)] for items in (without, with_exchanges)]
    assert flows[0] == flows[1] != []
    assert judge.judged == len(records)


@pytest.mark.parametrize("names", [("default", "cic2017"), ("cic2017", "default"), ("default", "nsl-kdd-flow")])
def test_open_alerts_go_on_under_the_others_name_and_lines_are_counted_on(
    records: FlowBatch, names: tuple[str, str]
) -> None:
    """Whatever rows either takes, and whatever labels it has."""
    from sensor.cli.build import load_model

    first, second = (
        load_model(CONFIG.model_copy(update={"detection": CONFIG.detection.model_copy(update={"bundle": Path(name)})}))
        for name in names
    )
    judge, items = told(records, first, second)
    alerts = [item for item in items if isinstance(item, Alert)]
    assert [alert.sequence for alert in alerts] == list(range(1, len(alerts) + 1))
    assert all(sum(a.id == alert.id and a.action == "closed" for a in alerts) == 1 for alert in alerts)
    by = [alert.model.sha256 for alert in alerts]
    assert set(by) == {first.sha256, second.sha256}
    assert all(not (a == second.sha256 and b == first.sha256) for a, b in pairwise(by))
    both = {a.id for a in alerts if a.model.sha256 == first.sha256} & {
        a.id for a in alerts if a.model.sha256 == second.sha256
    }
    assert both, "none was open at the exchange"
    assert judge.bundle == f"{second.model_id} {second.manifest_sha256[:8]}"
    for line in lines(items):
        assert line.endswith(b"}\n")


def test_labels_keep_their_meaning_where_another_model_numbers_them_otherwise(records: FlowBatch) -> None:
    default, other = shipped("default"), shipped("cic2017")
    assert default.labels != other.labels
    _, without = told(records, default)
    _, across = told(records, default, other, default)
    before = {a.id: a.label for a in without if isinstance(a, Alert) and a.action == "opened"}
    after = {a.id: a.label for a in across if isinstance(a, Alert) and a.action == "closed"}
    shared = before.keys() & after.keys()
    assert shared
    assert {after[name] for name in shared} <= {*default.labels, *other.labels, None}
    assert any(before[name] == after[name] is not None for name in shared)


def test_what_gave_way_before_an_exchange_stays_counted(records: FlowBatch) -> None:
    first, second = shipped("default"), shipped("cic2017")
    first.remember(1)
    judge = judge_of(first)
    judge.judge(records)
    before = judge.stores_evicted["model"]
    judge.exchange(judge_of(second))
    assert judge.stores_evicted["model"] == before > 0


def test_another_threshold_is_taken_over_at_once(in_context: Hybrid) -> None:
    """A bundle that never flags opens nothing any more."""
    silent = replace(in_context, thresholds=dict.fromkeys(in_context.thresholds, (0.0, 0.0)))
    records = records_of(NORMAL, PORTSCAN, seed=3, minutes=7.0)
    judge = judge_of(in_context)
    judge.exchange(judge_of(silent))
    alerts = [item for item in [*judge.judge(records), *judge.finish()] if isinstance(item, Alert)]
    assert all(alert.lane == "shape" for alert in alerts)


def test_a_row_of_other_columns_has_those_of_its_flow_and_no_value_for_others() -> None:
    flow, context = feature_contract(), context_contract()
    values = np.arange(len(NAMES), dtype=np.float64)
    wider = RowTranslation(flow, context)(values, values)
    assert wider[: len(NAMES)].tolist() == values.tolist()
    assert np.isnan(wider[len(NAMES) :]).all()
    row = np.arange(len(context.columns), dtype=np.float64)
    assert RowTranslation(context, flow)(values, row).tolist() == values.tolist()
    assert RowTranslation(context, context)(values, row).tolist() == row.tolist()
