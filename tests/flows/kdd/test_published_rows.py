"""What flows.kdd.windows says of the published data holds in its rows; the data is public, not in the repository."""

import csv
import gzip

import numpy as np
import pytest

from flows.kdd.columns import KDD_COLUMNS

SYMBOLS = ("protocol_type", "service", "flag")
NAMES = [column.name for column in KDD_COLUMNS]


@pytest.fixture(scope="module")
def rows(shared_data):
    """Columns of NSL-KDD's training file by name. A few rows (16) whose windows are empty are left out."""
    path = shared_data / "nsl-kdd" / "KDDTrain+.txt.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with gzip.open(path, "rt") as lines:
        table = list(zip(*csv.reader(lines), strict=True))
    columns = {
        name: np.array(values) if name in SYMBOLS else np.array(values, dtype=float)
        for name, values in zip([*NAMES, "label"], table, strict=False)
        if name != "label"
    }
    columns["label"] = np.array(table[len(NAMES)])
    whole = (columns["count"] > 0) & (columns["dst_host_count"] > 0)
    assert len(whole) - whole.sum() <= 16
    return {name: values[whole] for name, values in columns.items()}


def printed(part, whole):
    """A share as C prints a float of 32 bits with two decimals."""
    return np.rint(100 * (part / whole).astype(np.float32).astype(float)) / 100


def test_no_window_is_longer_than_511_and_255(rows):
    for total, count, other, same in (
        (511, "count", "srv_count", "same_srv_rate"),
        (255, "dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate"),
    ):
        assert rows[count].max() == rows[other].max() == total
        # those of one host and those of one service stand in one window; the share is known to half a hundredth
        together = rows[count] + rows[other] - rows[same] * rows[count]
        assert together.max() <= total + 0.005 * total + 0.5


def test_a_lone_connection_tells_which_states_are_errors(rows):
    flags = {
        "serror_rate": {"S0", "S1", "S2", "S3", "SH"},
        "rerror_rate": {"REJ", "RSTO", "RSTOS0", "RSTR"},
    }
    for count, prefix in (("count", ""), ("dst_host_count", "dst_host_")):
        lone = rows[count] == 1
        for rate, errors in flags.items():
            assert np.array_equal(rows[prefix + rate][lone], np.isin(rows["flag"][lone], list(errors)).astype(float))
        assert set(rows[f"{prefix}same_srv_rate"][lone]) == {1.0}
    assert set(rows["dst_host_same_src_port_rate"][rows["dst_host_count"] == 1]) == {1.0}


SHARES = {
    "serror_rate": "count",
    "rerror_rate": "count",
    "same_srv_rate": "count",
    "diff_srv_rate": "count",
    "srv_serror_rate": "srv_count",
    "srv_rerror_rate": "srv_count",
    "srv_diff_host_rate": "srv_count",
    "dst_host_serror_rate": "dst_host_count",
    "dst_host_rerror_rate": "dst_host_count",
    "dst_host_same_srv_rate": "dst_host_count",
    "dst_host_diff_srv_rate": "dst_host_count",
    "dst_host_same_src_port_rate": "dst_host_count",
    "dst_host_srv_serror_rate": "dst_host_srv_count",
    "dst_host_srv_rerror_rate": "dst_host_srv_count",
    "dst_host_srv_diff_host_rate": "dst_host_srv_count",
}


@pytest.mark.parametrize(("share", "whole"), SHARES.items())
def test_shares_are_of_that_count_and_printed_with_two_decimals(rows, share, whole):
    few = rows[whole] < 60
    parts = np.rint(rows[share] * rows[whole])
    exact = np.abs(printed(parts, rows[whole]) - rows[share]) < 1e-9
    assert exact[few].mean() > 0.999


def test_rates_of_difference_count_distinct_values_and_not_connections(rows):
    two = (rows["count"] == 2) & (rows["same_srv_rate"] == 0.5)
    assert set(rows["diff_srv_rate"][two]) == {1.0}  # two services of two, not one other of two
    three = (rows["count"] == 3) & (rows["same_srv_rate"] == 0.33)
    assert set(rows["diff_srv_rate"][three]) == {0.67, 1.0}  # the others are of one service, or of two
    alone = rows["srv_count"] == np.rint(rows["same_srv_rate"] * rows["count"])
    assert set(rows["srv_diff_host_rate"][alone & (rows["count"] < 100)]) == {0.0}
    pair = (rows["srv_count"] == 2) & (rows["srv_diff_host_rate"] > 0)
    assert set(rows["srv_diff_host_rate"][pair]) == {1.0}


def test_services_are_ports_because_more_differ_than_have_names(rows):
    assert np.rint(rows["diff_srv_rate"] * rows["count"]).max() == 511
    assert np.rint(rows["dst_host_diff_srv_rate"] * rows["dst_host_count"]).max() == 255


def test_a_host_with_255_connections_has_none_of_its_neighbours_in_the_window(rows):
    full = rows["dst_host_count"] == 255
    assert set(rows["dst_host_srv_diff_host_rate"][full]) == {0.0}
    own = rows["dst_host_same_srv_rate"][full] * 255
    assert np.abs(rows["dst_host_srv_count"][full] - own).max() < 1.5


def test_unnamed_low_ports_are_private_and_high_ones_other(rows):
    # the flood of ports below 1024 and the sweep that goes on above it
    services, labels = rows["service"], rows["label"]
    unnamed = np.isin(services, ["private", "other"])
    assert (services[unnamed & (labels == "neptune")] == "private").mean() > 0.99
    assert 0.1 < (services[unnamed & (labels == "portsweep")] == "other").mean() < 0.5


def test_other_protocols_than_tcp_end_well_and_icmp_has_no_answer(rows):
    assert set(rows["flag"][rows["protocol_type"] != "tcp"]) == {"SF"}
    assert rows["dst_bytes"][rows["protocol_type"] == "icmp"].max() == 0
