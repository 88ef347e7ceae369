"""A table as large as all of CIC-IDS-2017, read: `python -m tests.bench.datasets [--rows 2800000] [--data DIRECTORY]`.

Repeats the rows of the public sample, so that no two neighbours are in the order of time. Prints how long it takes, and
the most memory that was resident; of a memory mapping, what is in memory counts.
"""

import argparse
import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path("cic-ids-2017", "improved-sample-mon-thu.csv.gz")


def write_table(path: Path, sample: Path, rows: int) -> int:
    """Write at least so many rows as CSV; returns how many bytes they are."""
    header, _, body = gzip.decompress(sample.read_bytes()).partition(b"\n")
    with path.open("wb") as stream:
        stream.write(header + b"\n")
        for _ in range(-(-rows // body.count(b"\n"))):
            stream.write(body)
        return stream.tell()


def read_table(path: Path) -> str:
    """Read it in this process; the figures as a line."""
    from training.datasets.collection import read_dataset
    from training.explore.flows import table_of
    from training.explore.repeats import repeats

    began = time.monotonic()
    table = read_dataset(path, lambda _: None)
    read_s, peak = time.monotonic() - began, _peak_mib()
    began = time.monotonic()
    found = repeats(table_of(table))
    repeats_s = time.monotonic() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (
        f"{len(table):,} flows read in {read_s:.0f} s, at most {peak} MiB resident; {found.duplicates:,} repeated ones "
        f"found in {repeats_s:.0f} s more, at most {_peak_mib()} MiB; {usage.ru_utime + usage.ru_stime:.0f} s of CPU"
    )


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Write the table, and read it in a process of its own."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=2_800_000)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--read", type=Path, help="read this table instead of writing one")
    given = arguments.parse_args()
    if given.read:
        print(read_table(given.read))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "table.csv")
        size = write_table(path, given.data / SAMPLE, given.rows)
        print(f"{size / 1e9:.2f} GB of CSV", flush=True)
        subprocess.run([sys.executable, "-m", "tests.bench.datasets", "--read", path], check=True)


if __name__ == "__main__":
    main()
