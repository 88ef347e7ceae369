import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.scaling import Scaling, fit_scaling, signed_logs
from tests.models.builders import USED, make_hybrid, make_scaling, make_steps, raw_values


def test_scaling_is_the_standardised_signed_logarithm():
    values = raw_values(400, 1)
    picked = values[:, list(USED.values())]
    logs = np.sign(picked) * np.log1p(np.abs(picked))
    expected = np.clip((logs - logs.mean(axis=0)) / logs.std(axis=0), -8, 8)
    scaled = fit_scaling(values, USED).transform(values)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


def test_absurd_values_are_clipped_on_both_sides():
    values = np.full((2, 12), 1e300)
    values[1] = -1e300
    scaled = make_scaling().transform(values)
    assert (scaled[0] == 8).all()
    assert (scaled[1] == -8).all()


def test_a_column_that_never_varies_is_only_centred():
    values = raw_values(50, 2)
    values[:, 3] = 6.0
    scaling = fit_scaling(values, USED)
    np.testing.assert_allclose(scaling.transform(values)[:, 2], 0.0, atol=1e-12)
    values[0, 3] = np.e * 7.0 - 1.0
    assert scaling.transform(values)[0, 2] == pytest.approx(1.0)


def test_columns_are_picked_by_their_position_in_the_contract():
    scaling = Scaling(("b", "a"), np.array([4, 1]), np.zeros(2), np.ones(2))
    values = np.zeros((1, 5))
    values[0, 4], values[0, 1] = np.expm1(2.0), np.expm1(3.0)
    np.testing.assert_allclose(scaling.transform(values), [[2.0, 3.0]], rtol=1e-6)


def test_noughts_negative_and_tiny_numbers_scale_by_the_same_formula():
    values = np.array([[0.0, -0.0, 5e-324, -5e-324, 1.0, -1.0, 2.5e9, -2.5e9]])
    scaling = Scaling(tuple("abcdefgh"), np.arange(8), np.full(8, 0.25), np.full(8, 3.0))
    logs = [math.copysign(math.log(1.0 + abs(value)), value) for value in values[0].tolist()]
    expected = [np.float32(min(max((log - 0.25) / 3.0, -8.0), 8.0)) for log in logs]
    assert scaling.transform(values)[0].tolist() == expected


def test_steps_scale_the_same_whatever_was_asked_of_them_before():
    steps = make_steps(50, 3)
    one = make_scaling()
    other = replace(one, center=one.center + 1.0, scale=2.0 * one.scale)  # of the same columns
    turned = Scaling(one.columns[::-1], one.index[::-1].copy(), one.center, one.scale)
    some = [Scaling(one.columns[k::2], one.index[k::2].copy(), one.center[k::2], one.scale[k::2]) for k in (0, 1)]
    beyond = Scaling(("further",), np.array([steps.values.shape[1] - 1]), np.zeros(1), np.ones(1))
    for scaling in (one, other, turned, one, *some, beyond, *some):
        assert np.array_equal(steps.scaled(scaling), scaling.transform(steps.values))


def test_logarithms_are_taken_once_for_detectors_of_the_same_columns(monkeypatch: pytest.MonkeyPatch):
    hybrid, steps = make_hybrid(), make_steps(50, 3)
    taken: list[int] = []

    def counted(values: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
        taken.append(len(values))
        return signed_logs(values, index)

    monkeypatch.setattr("models.detector.signed_logs", counted)
    hybrid.judge(steps)
    hybrid.judge(steps)
    assert taken == [50, 50]  # and are not kept beyond a judgement
    one = make_scaling()
    steps.scaled(one)
    steps.scaled(Scaling(one.columns[1:3], one.index[1:3], one.center[1:3], one.scale[1:3]))
    assert taken == [50, 50, 50]


def test_views_and_read_only_values_scale_the_same():
    values = raw_values(64, 3)
    expected = make_scaling().transform(values)
    wide = np.zeros((128, 12))
    wide[::2] = values
    assert np.array_equal(make_scaling().transform(wide[::2]), expected)
    values.flags.writeable = False
    assert np.array_equal(make_scaling().transform(values), expected)


def test_values_that_are_too_narrow_are_refused():
    with pytest.raises(ValueError, match=r"expected \(n, 12 or more\)"):
        make_scaling().transform(np.zeros((3, 11)))


def test_fitting_refuses_nan_and_no_rows():
    for values in (np.full((3, 12), np.nan), np.zeros((0, 12))):
        with pytest.raises(ValueError, match="finite rows"):
            fit_scaling(values, USED)
