from io import StringIO

import pytest

from flows.truth import FlowTruth, read_truth, write_truth

SCAN = FlowTruth(5, 9, 6, "10.0.0.1", 40000, "10.0.0.2", 22, 3, "portscan", "T1046")
READING = FlowTruth(1, 2, 17, "10.0.0.1", 40001, "10.0.0.53", 53, 2, "normal", "benign")


def test_what_was_written_reads_back_in_order() -> None:
    out = StringIO()
    write_truth([SCAN, READING], out)
    assert read_truth(out.getvalue().splitlines()) == [SCAN, READING]
    assert (SCAN.attack, READING.attack) == (True, False)


def test_a_file_with_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        read_truth(["start,end", "1,2"])
