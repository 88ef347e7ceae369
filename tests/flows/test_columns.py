"""The column table: what its groups promise."""

from dataclasses import replace

import pytest

from flows import columns
from flows.columns import COLUMNS, INDEX, NAMES, SIBLINGS, feature_contract, reasons, usable_as_reasons
from flows.kdd import columns as kdd
from flows.kdd.columns import KDD_COLUMNS, SYMBOLS, kdd_contract


def test_every_column_that_may_be_a_reason_is_in_exactly_one() -> None:
    held = [NAMES[position] for group in reasons() for position in group]
    assert sorted(held) == sorted(usable_as_reasons())


def test_siblings_make_one_reason_and_any_other_column_its_own() -> None:
    sizes = sorted(len(group) for group in reasons() if len(group) > 1)
    assert sizes == sorted(len(group) for group in SIBLINGS)
    payload = next(group for group in reasons() if INDEX["fwd_bytes"] in group)
    assert {INDEX["bwd_packet_length_mean"], INDEX["packet_length_max"]} < set(payload)
    assert (INDEX["syn_flag_count"],) in reasons()


def test_a_columns_digest_hangs_on_its_name_unit_and_definition_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = feature_contract().columns
    assert tuple(before) == NAMES
    assert len(set(before.values())) == len(NAMES)
    first, second, third, *others = COLUMNS
    changed = (replace(second, unit="ms"), *others, replace(third, definition="another"), replace(first, use="never"))
    monkeypatch.setattr(columns, "COLUMNS", changed)
    after = feature_contract.__wrapped__().columns
    assert {name for name in NAMES if after[name] != before[name]} == {second.name, third.name}


def test_a_connection_columns_digest_hangs_on_its_own_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kdd_contract(content=True).columns
    assert tuple(before) == tuple(column.name for column in KDD_COLUMNS)
    assert kdd_contract(content=False).columns.items() < before.items()
    monkeypatch.setattr(kdd, "SYMBOLS", {**SYMBOLS, "flag": SYMBOLS["flag"][::-1]})
    after = kdd_contract.__wrapped__(content=True).columns
    assert {name for name in before if after[name] != before[name]} == {"flag"}
