import numpy as np
import pytest

from models.logistic import LogisticRegression, sigmoid
from tests.models.builders import make_logistic, make_scaling, make_steps


def test_scores_equal_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    scaling = make_scaling()
    x = scaling.transform(make_steps(800, 10).values)
    attack = x[:, 0] + x[:, 3] * 0.5 > np.random.default_rng(0).normal(size=len(x))
    model = linear_model.LogisticRegression().fit(x.astype(np.float64), attack)
    ours = LogisticRegression(scaling, model.coef_[0], float(model.intercept_[0]))
    fresh = scaling.transform(make_steps(500, 10, seed=7).values)
    theirs = model.predict_proba(fresh.astype(np.float64))[:, 1]
    np.testing.assert_allclose(ours.score_rows(fresh), theirs, rtol=0, atol=1e-9)


def test_the_sigmoid_is_that_of_scipy_and_ends_at_zero_and_one():
    special = pytest.importorskip("scipy.special")
    log_odds = np.concatenate(([-1e9, -800.0, -40.0, 0.0, 40.0, 800.0, 1e9], np.linspace(-30, 30, 200)))
    np.testing.assert_allclose(sigmoid(log_odds), special.expit(log_odds), rtol=1e-14, atol=0)


def test_a_score_of_one_half_is_the_plane_that_the_weights_span():
    detector = make_logistic()
    on_it = np.zeros((1, 7), np.float32)
    on_it[0, 0] = -detector.bias / detector.weights[0]
    assert detector.score_rows(on_it)[0] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "bias", "reason"),
    [
        (np.ones(6), 0.0, "expected float64 \\(7,\\)"),
        (np.ones((7, 1)), 0.0, "expected float64 \\(7,\\)"),
        (np.ones(7, np.float32), 0.0, "float32"),
        (np.full(7, np.nan), 0.0, "not finite"),
        (np.full(7, 1e300), 0.0, "beyond"),
        (np.ones(7), np.nan, "not finite"),
        (np.ones(7), np.inf, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: np.ndarray, bias: float, reason: str):
    with pytest.raises(ValueError, match=reason):
        LogisticRegression(make_scaling(), weights, bias)
