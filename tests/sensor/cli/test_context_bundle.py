"""A bundle that uses columns of context: judged on rows that have them, by whatever command."""

import html
import json
from pathlib import Path

import numpy as np
import pytest

from flows.batch import FlowBatch
from flows.context.columns import CONTEXT_NAMES, context_contract
from flows.context.context import Context
from models.bundle import save_bundle
from models.fusion import Hybrid
from sensor.alerts.alert import Alert
from sensor.alerts.deviation import sentence
from sensor.alerts.glosses import GLOSSES
from sensor.cli.build import build_judge, build_meter, load_model
from sensor.cli.warm_up import _compile_serving
from sensor.run.warmup import warm_up as warm_up_judging
from sensor.settings.config import Config
from tests.support.command import DEMO, flowvigil
from tests.support.context_bundles import LOOKED_AT, TELLING, context_hybrid, with_a_scan


@pytest.fixture(scope="module")
def records() -> FlowBatch:
    """Of an office's morning with a scan in it."""
    return with_a_scan()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose rows may be masked."""
    path = tmp_path_factory.mktemp("bundles") / "with-context"
    save_bundle(path, context_hybrid(), {})
    return path


def loaded(bundle: Path) -> tuple[Config, Hybrid]:
    config = Config()
    config = config.model_copy(update={"detection": config.detection.model_copy(update={"bundle": bundle})})
    return config, load_model(config)


def test_it_names_the_columns_of_context_that_it_uses_and_is_for_rows_that_have_them(bundle: Path) -> None:
    _, hybrid = loaded(bundle)
    assert hybrid.contract == context_contract()
    assert set(hybrid.used) == {*TELLING, *LOOKED_AT, "protocol"}


@pytest.mark.parametrize("size", [64, 100_000])
def test_a_judge_sees_the_context_of_records_however_they_come(bundle: Path, records: FlowBatch, size: int) -> None:
    config, hybrid = loaded(bundle)
    judge = build_judge(config, hybrid)
    seen: list[np.ndarray] = []
    make = judge.row_maker
    assert make is not None

    class Watched:
        def columns(self, batch: FlowBatch) -> np.ndarray:
            seen.append(make.columns(batch))
            return seen[-1]

    judge.row_maker = Watched()
    for first in range(0, len(records), size):
        judge.judge(FlowBatch(records.identity[first : first + size], records.values[first : first + size]))
    judge.finish()
    assert np.concatenate(seen).tobytes() == Context(4096, 1).columns(records).tobytes()


def test_each_run_has_a_context_of_its_own(bundle: Path, records: FlowBatch) -> None:
    config, hybrid = loaded(bundle)
    first, second = build_judge(config, hybrid).row_maker, build_judge(config, hybrid).row_maker
    assert first is not None
    assert second is not None
    assert first.columns(records).tobytes() == second.columns(records).tobytes()


def test_rows_of_context_that_gave_way_are_counted(bundle: Path, records: FlowBatch) -> None:
    config, hybrid = loaded(bundle)
    roomy = build_judge(config, hybrid)
    roomy.judge(records)
    assert roomy.context_evicted == 0
    small = config.model_copy(update={"episodes": config.episodes.model_copy(update={"capacity_hosts": 16})})
    judge = build_judge(small, hybrid)
    judge.judge(records)
    alone = Context(16, 1)
    alone.observe(records)
    assert judge.context_evicted == alone.evicted > 0
    assert roomy.stores_evicted == {}
    assert judge.stores_evicted == {name: n for name, n in judge.episodes.evicted.items() if n}
    assert judge.stores_evicted["hosts"] > 0


def test_a_bundle_without_context_makes_no_rows() -> None:
    judge = build_judge(*loaded(Path("cic2017")))
    assert judge.row_maker is None
    assert judge.context_evicted is None
    assert judge.hybrid.contract != context_contract()


def test_reasons_of_an_alert_name_columns_of_context_in_words(bundle: Path, records: FlowBatch) -> None:
    config, hybrid = loaded(bundle)
    judge = build_judge(config, hybrid)
    items = [*judge.judge(records), *judge.finish()]
    alerts = [item for item in items if isinstance(item, Alert) and item.title == "Network Service Discovery"]
    assert alerts
    said = [sentence(deviation) for alert in alerts for deviation in alert.deviations]
    assert [words for words in said if words.startswith("different ports that the source asked")], said


def test_its_kernels_are_compiled_for_judging_and_for_serving(bundle: Path) -> None:
    config, hybrid = loaded(bundle)
    warm_up_judging(build_meter(config), build_judge(config, hybrid))
    _compile_serving(config, hybrid)


def test_every_command_tells_reasons_of_context(bundle: Path, tmp_path: Path) -> None:
    alerts, page = tmp_path / "alerts.jsonl", tmp_path / "page.html"
    read = flowvigil("read", DEMO, "-q", "-m", bundle, "-o", alerts)
    assert read.code == 0, read.stderr
    documents = [json.loads(line) for line in alerts.read_bytes().splitlines()]
    name, told = next(
        (own["name"], document)
        for document in reversed(documents)
        for own in document["flowvigil"]["features"]
        if own["name"] in CONTEXT_NAMES
    )
    shown = flowvigil("alerts", "show", told["event"]["id"], alerts)
    assert name.encode() in shown.stdout
    assert GLOSSES[name].encode() in shown.stdout
    assert flowvigil("report", alerts, "-q", "-o", page).code == 0
    assert GLOSSES[name] in html.unescape(page.read_text(encoding="utf-8"))


def test_its_last_account_tells_what_gave_way(bundle: Path) -> None:
    told = flowvigil(
        "--log-format", "json", "read", DEMO, "-m", bundle, "--set", "episodes.capacity_hosts=16", "--json"
    )
    assert told.code == 0, told.stderr
    assert json.loads(told.stderr[-1])["flowvigil"]["context_evicted"] > 0
