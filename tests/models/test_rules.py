import numpy as np
import pytest

from models.rules import ColumnThreshold, PortTable
from tests.models.builders import USED, make_column_threshold, make_scaling


def ports(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_a_port_scores_its_share_and_any_other_the_prior():
    table = PortTable(ports(22, 80, 443), np.array([0.9, 0.5, 0.01]), prior=0.25)
    asked = np.array([443, 22, 23, 80, 0, 65535, -1])
    assert table.score_ports(asked).tolist() == [0.01, 0.9, 0.25, 0.5, 0.25, 0.25, 0.25]
    assert table.score_ports(asked[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("numbers", "shares", "prior", "reason"),
    [
        (ports(), np.array([]), 0.5, "port table has ports"),
        (ports(1, 2), np.array([0.5]), 0.5, "port table has ports"),
        (ports(2, 1), np.array([0.5, 0.5]), 0.5, "ascend"),
        (ports(1, 1), np.array([0.5, 0.5]), 0.5, "ascend"),
        (ports(-1, 1), np.array([0.5, 0.5]), 0.5, "ascend"),
        (ports(1, 65536), np.array([0.5, 0.5]), 0.5, "ascend"),
        (ports(-(1 << 31), (1 << 31) - 1), np.array([0.5, 0.5]), 0.5, "ascend"),
        (ports(1), np.array([1.5]), 0.5, "share"),
        (ports(1), np.array([np.nan]), 0.5, "share"),
        (ports(1), np.array([0.5]), -0.1, "share"),
        (ports(1), np.array([0.5]), np.nan, "share"),
    ],
)
def test_a_table_that_is_none_is_refused(numbers: np.ndarray, shares: np.ndarray, prior: float, reason: str):
    with pytest.raises(ValueError, match=reason):
        PortTable(numbers, shares, prior)


@pytest.mark.parametrize("rises", [True, False])
def test_the_cut_scores_one_half_and_the_attacks_side_more(rises: bool):
    detector = ColumnThreshold(make_scaling(), "column_3", rises, cut=1.5)
    x = np.zeros((3, len(USED)), np.float32)
    x[:, list(USED).index("column_3")] = (0.5, 1.5, 2.5)
    scores = detector.score_rows(x)
    assert scores[1] == 0.5
    assert (np.diff(scores) > 0).all() == rises


def test_no_other_column_moves_the_score():
    x = np.random.default_rng(0).normal(size=(50, len(USED))).astype(np.float32)
    x[:, list(USED).index("column_5")] = 0.5
    assert len(np.unique(make_column_threshold().score_rows(x))) == 1


def test_a_threshold_that_is_none_is_refused():
    with pytest.raises(ValueError, match="does not have"):
        ColumnThreshold(make_scaling(), "column_1", True, 0.0)
    for cut in (np.nan, np.inf, 8.1):
        with pytest.raises(ValueError, match="cut"):
            ColumnThreshold(make_scaling(), "column_5", True, cut)
