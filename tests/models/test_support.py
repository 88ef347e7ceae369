"""Only flows of kinds that normal traffic held are judged; of others nothing is said, whatever their scores are."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.columns import NAMES, feature_contract
from models.attribution import top_columns
from models.bundle import BundleError, load_bundle, save_bundle
from models.detector import FlowSteps
from models.fusion import BENIGN, Hybrid
from models.support import COLUMNS, LEAST, NO_GROUP, Group, Support, counted_groups, has_groups
from tests.models.builders import CONTRACT, contract_of, make_hybrid, make_steps, part
from tests.support.examples import examples

PRETRAINED = Path(__file__).resolve().parents[2] / "models" / "pretrained"
ROWS = ("other", *COLUMNS)
TALK = Group(6, answered=True, several=True)
# The small models of these tests do not look at these columns, which are renamed.
FREE = dict(zip(("column_1", "column_4", "column_6"), COLUMNS, strict=True))

protocols = st.one_of(
    st.integers(-3, 260).map(float), st.sampled_from([0.5, -0.1, 255.9, 256.0, 1e300, math.nan, math.inf, -math.inf])
)
packets = st.sampled_from([0.0, 1.0, 2.0, 7.0, -1.0, 1.5, math.nan, math.inf])


def rows_of(*flows: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rows of flows as (protocol, packets there, packets back)."""
    return np.array([(0.0, *flow) for flow in flows]).reshape(-1, 4)


def plain_group(protocol: float, there: float, back: float) -> Group | None:
    """What the kernel does, said once more."""
    return Group(math.floor(protocol), back > 0, there > 1) if 0 <= protocol < 256 else None


def judging(hybrid: Hybrid, normal: dict[Group, int] | None) -> Hybrid:
    """The same model on rows that fall into groups."""
    names = [FREE.get(name, name) for name in hybrid.normal.columns]
    profile = replace(hybrid.normal, columns=tuple(names)).only(np.flatnonzero(~np.isin(names, COLUMNS)))
    support = None if normal is None else Support(profile.columns, normal)
    return replace(hybrid, normal=profile, contract=contract_of(names), support=support)


def mixed(rows: int = 300) -> FlowSteps:
    """Steps of talks over TCP, and of echoes among them: every third."""
    steps = make_steps(rows, 20)
    values = steps.values.copy()
    values[:, [1, 4, 6]] = 6.0, 3.0, 3.0
    values[::3, 1] = 1.0
    return replace(steps, values=values)


@given(st.lists(st.tuples(protocols, packets, packets), max_size=40))
@examples(200)
def test_a_flow_is_judged_where_normal_traffic_held_enough_of_its_group(
    flows: list[tuple[float, float, float]],
) -> None:
    groups = [plain_group(*flow) for flow in flows]
    normal = {group: LEAST - i % 2 for i, group in enumerate(dict.fromkeys(groups)) if group is not None}
    judged = Support(ROWS, normal).judges(rows_of(*flows))
    assert judged.tolist() == [group is not None and normal[group] >= LEAST for group in groups]


@given(st.lists(st.tuples(protocols, packets, packets), max_size=40), st.randoms())
@examples(200)
def test_groups_are_counted_whatever_the_order(flows: list[tuple[float, float, float]], random: Any) -> None:
    counts = counted_groups(rows_of(*flows), ROWS)
    groups = [plain_group(*flow) for flow in flows]
    assert counts == {group: groups.count(group) for group in groups if group is not None}
    assert list(counts) == sorted(counts)
    random.shuffle(flows)
    assert counted_groups(rows_of(*flows), ROWS) == counts


def test_every_group_has_a_number_of_its_own() -> None:
    groups = [Group(protocol, bool(a), bool(s)) for protocol in range(256) for a in (0, 1) for s in (0, 1)]
    assert [group.id for group in groups] == list(range(NO_GROUP))
    assert counted_groups(rows_of(*((g.protocol, 1.0 + g.several, g.answered) for g in groups)), ROWS) == dict.fromkeys(
        groups, 1
    )


def test_without_counts_tcp_and_udp_are_judged_and_no_other_protocol() -> None:
    flows = [(protocol, there, back) for protocol in range(256) for there in (1, 2) for back in (0, 1)]
    judged = Support(ROWS, None).judges(rows_of(*flows))
    assert judged.tolist() == [protocol in (6, 17) for protocol, _, _ in flows]


def test_rows_without_the_columns_have_no_groups() -> None:
    assert has_groups(NAMES)
    assert not has_groups(("protocol", "fwd_packets", "protocol_type"))
    with pytest.raises(ValueError, match="have not all of the columns protocol, fwd_packets, bwd_packets"):
        Support(("protocol",), None)


def test_a_step_of_a_group_that_was_never_normal_is_never_flagged_and_changes_no_other() -> None:
    plain, careful = judging(make_hybrid(), None), judging(make_hybrid(), {TALK: LEAST})
    steps = mixed()
    whole, judgement = plain.judge(steps, 0.05), careful.judge(steps, 0.05)
    echo = steps.values[:, 1] == 1.0
    assert whole.judged.all()
    assert (whole.verdict[echo] != BENIGN).any()
    assert judgement.judged.tolist() == (~echo).tolist()
    assert (judgement.verdict[echo] == BENIGN).all()
    assert (judgement.p_known[echo] == 1.0).all()
    assert (judgement.p_novel[echo] == 1.0).all()
    for name in ("verdict", "p_known", "p_novel", "label"):
        assert np.array_equal(getattr(judgement, name)[~echo], getattr(whole, name)[~echo])
    for name, scores in whole.scores.items():  # hosts' states advance all the same
        assert np.array_equal(judgement.scores[name], scores)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_any_batching_judges_the_same_steps(batch: int) -> None:
    hybrid, steps = judging(make_hybrid(), {TALK: LEAST}), mixed()
    whole = hybrid.judge(steps)
    hybrid.forget()
    pieces = [hybrid.judge(part(steps, slice(i, i + batch))) for i in range(0, len(steps), batch)]
    for name in ("verdict", "p_known", "p_novel", "judged"):
        assert np.array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(whole, name))


def test_a_column_is_not_named_because_its_normal_value_would_not_be_judged() -> None:
    plain, careful = judging(make_hybrid(), None), judging(make_hybrid(), {TALK: LEAST})
    values, lanes = mixed(30).values[1::3], np.ones((10, 2), dtype=np.bool_)
    groups = [[column] for column in range(values.shape[1])]
    assert np.array_equal(top_columns(plain, values, lanes, groups), top_columns(careful, values, lanes, groups))


def test_a_support_of_other_rows_is_refused() -> None:
    hybrid = make_hybrid()
    with pytest.raises(ValueError, match="the support's columns are not those of rows"):
        replace(hybrid, support=Support(ROWS, None))


# ---------------------------------------------------------------- in bundles


def saved(directory: Path, normal: dict[Group, int] | None) -> Hybrid:
    hybrid = judging(make_hybrid(), normal)
    save_bundle(directory, hybrid, {})
    return load_bundle(directory, hybrid.contract)


def change(directory: Path, support: object) -> None:
    file = directory / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"support": support}))


def test_a_bundle_keeps_what_normal_traffic_held(tmp_path: Path) -> None:
    normal = {Group(17, answered=False, several=False): 3, TALK: 4000}
    loaded = saved(tmp_path, normal)
    assert loaded.support is not None
    assert loaded.support.normal_flows == normal
    save_bundle(tmp_path / "again", loaded, {})
    for name in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_bundle_without_counts_judges_tcp_and_udp_and_is_saved_without(tmp_path: Path) -> None:
    loaded = saved(tmp_path, None)
    steps = mixed()
    assert loaded.judge(steps).judged.tolist() == (steps.values[:, 1] == 6).tolist()
    save_bundle(tmp_path / "again", loaded, {})
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (tmp_path / "manifest.json").read_bytes()


def test_rows_without_groups_are_all_judged(tmp_path: Path) -> None:
    save_bundle(tmp_path, make_hybrid(), {})
    assert load_bundle(tmp_path, CONTRACT).support is None
    change(tmp_path, [{"protocol": 6, "answered": True, "several": True, "flows": 20}])
    with pytest.raises(BundleError, match="rows have not all of the columns protocol"):
        load_bundle(tmp_path, CONTRACT)


def test_what_is_no_support_is_refused_in_a_line(tmp_path: Path) -> None:
    loaded = saved(tmp_path, {TALK: 30})
    good = {"protocol": 6, "answered": True, "several": True, "flows": 30}
    wrong: tuple[tuple[object, str], ...] = (
        (None, "support is null"),
        ({}, "support is an object"),
        ([], "support is empty"),
        ([7], "support holds a number, expected objects"),
        ([good | {"surplus": 1}], "support has unknown 'surplus'"),
        ([{"protocol": 6, "answered": True, "several": True}], "support lacks flows"),
        ([good, good], "support names a group of protocol 6 twice"),
        ([good | {"protocol": 256}], "protocol 256, expected 0 to 255"),
        ([good | {"protocol": -1}], "protocol -1, expected 0 to 255"),
        ([good | {"protocol": 10**400}], "expected 0 to 255"),
        ([good | {"protocol": 6.0}], "protocol is a number (6.0), expected an integer"),
        ([good | {"protocol": True}], "protocol is a truth value (True), expected an integer"),
        ([good | {"answered": 1}], "answered is a number (1), expected true or false"),
        ([good | {"several": "\x1b[2J"}], "several is text"),
        ([good | {"flows": -1}], "-1 normal flows of a group, expected 0 or more"),
        ([good | {"flows": 1 << 53}], "9007199254740992 normal flows of a group, expected 0 or more"),
        ([good | {"flows": None}], "flows is null"),
    )
    for support, reason in wrong:
        change(tmp_path, support)
        with pytest.raises(BundleError, match=re.escape(reason)) as caught:
            load_bundle(tmp_path, loaded.contract)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000


def test_the_bundle_of_one_network_met_no_echo_and_no_lone_packet() -> None:
    support = load_bundle(PRETRAINED / "cic2017", feature_contract()).support
    assert support is not None
    values = np.zeros((5, len(NAMES)))
    values[:, [NAMES.index(name) for name in COLUMNS]] = [[6, 9, 9], [17, 1, 1], [6, 1, 0], [1, 9, 9], [132, 9, 9]]
    assert support.judges(values).tolist() == [True, True, False, False, False]
