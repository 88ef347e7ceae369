"""The columns of context in the feature contract: a part of their own, that only a bundle which uses them knows of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from flows.columns import COLUMNS, NAMES, feature_contract, reasons
from flows.context import columns
from flows.context.columns import (
    CONTEXT_COLUMNS,
    CONTEXT_NAMES,
    SIBLINGS,
    context_contract,
    context_reasons,
    without_context,
)
from models.bundle import load_bundle
from models.contract import contract_hash, fitting
from models.manifest import BundleError

PRETRAINED = Path(str(models.__file__)).parent / "pretrained"


def test_rows_with_context_have_the_columns_of_flow_records_first_and_unchanged() -> None:
    contract, flow = context_contract().columns, feature_contract().columns
    assert tuple(contract) == (*NAMES, *CONTEXT_NAMES)
    assert {name: contract[name] for name in NAMES} == flow
    assert len(set(contract.values())) == len(COLUMNS) + len(CONTEXT_COLUMNS)


def test_a_bundle_without_context_takes_flow_records_where_both_are_offered() -> None:
    both = [context_contract(), feature_contract()]
    assert fitting({name: feature_contract().columns[name] for name in NAMES[:9]}, both) == feature_contract()
    hybrid = load_bundle(PRETRAINED / "cic2017", *both)
    assert hybrid.contract == feature_contract()
    assert hybrid.feature_contract == load_bundle(PRETRAINED / "cic2017", feature_contract()).feature_contract
    assert not set(hybrid.used) & set(CONTEXT_NAMES)


def test_a_bundle_with_context_says_so_and_takes_no_other_rows() -> None:
    contract = context_contract().columns
    used = {name: contract[name] for name in (NAMES[1], CONTEXT_NAMES[3])}
    assert fitting(used, [feature_contract(), context_contract()]) == context_contract()
    assert contract_hash(used) != contract_hash({NAMES[1]: contract[NAMES[1]]})
    with pytest.raises(BundleError, match=f"uses column '{CONTEXT_NAMES[3]}', which flow records do not have"):
        fitting(used, [feature_contract()])


def test_a_digest_hangs_on_the_columns_own_name_unit_and_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = context_contract().columns
    first, *others = CONTEXT_COLUMNS
    monkeypatch.setattr(columns, "CONTEXT_COLUMNS", (replace(first, definition="another"), *others))
    after = context_contract.__wrapped__().columns
    assert {name for name in before if after[name] != before[name]} == {first.name}


def test_no_bundle_of_format_1_is_taken_for_one_with_context() -> None:
    assert not context_contract().former


def test_each_column_of_context_is_in_one_reason() -> None:
    groups = context_reasons()
    assert groups[: len(reasons())] == reasons()
    held = sorted(position for group in groups[len(reasons()) :] for position in group)
    assert held == list(range(len(NAMES), len(NAMES) + len(CONTEXT_NAMES)))
    assert {name for group in SIBLINGS for name in group} <= set(CONTEXT_NAMES)


def test_rows_whose_context_nobody_knows_are_masked_and_not_invented() -> None:
    values = np.arange(3.0 * len(NAMES)).reshape(3, -1)
    rows = without_context(values)
    assert rows.shape == (3, len(context_contract().columns))
    assert (rows[:, : len(NAMES)] == values).all()
    assert np.isnan(rows[:, len(NAMES) :]).all()
