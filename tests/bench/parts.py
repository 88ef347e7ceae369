"""Commands over a table in parts: `python -m tests.bench.parts [--rows 2000000] [--memory 1G] [--command baseline] …`.

Makes a table of CIC-IDS-2017's columns from the public sample, its flows spread over half an hour before and after
where they stand, as Parquet in sixteen parts, and runs each command over it with the bound and, where --beside says so,
without; for baseline a native flow table, an office's quarter of an hour again and again. Prints CPU time and the most
memory that was resident.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.normal import NORMAL
from tests.bench.process import REPOSITORY, Usage, run

SAMPLE = Path("cic-ids-2017", "improved-sample-mon-thu.csv.gz")
PARTS = 16
HALF_AN_HOUR_US = 1_800_000_000
NORMAL_SHARE = 0.6  # and the sample's own mixture besides
RECIPE = {"epochs": "1", "units": "4", "rehomed_copies": "1", "trees": "50", "seeds": "[]"}
COMMANDS = ("explore", "evaluate", "train", "baseline")
OFFICE_MINUTES = 15.0
COMMAND = "from sensor.__main__ import main; main()"


def write_parts(directory: Path, sample: Path, rows: int) -> None:
    """So many flows in parts."""
    table = pl.read_csv(sample)
    start = table["Timestamp"].str.to_datetime(time_unit="us")
    normal = np.flatnonzero((table["Label"] == "BENIGN").to_numpy())
    rng = np.random.default_rng(1)
    directory.mkdir()
    size = rows // PARTS
    for part in range(PARTS):
        drawn = np.where(rng.random(size) < NORMAL_SHARE, rng.choice(normal, size), rng.integers(0, len(table), size))
        moved = start[drawn].dt.timestamp("us") + pl.Series(rng.integers(-HALF_AN_HOUR_US, HALF_AN_HOUR_US, size))
        text = moved.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
        longer = table["Flow Duration"][drawn] + pl.Series(rng.integers(0, 1000, size))
        made = table[drawn].with_columns(text.alias("Timestamp"), longer.alias("Flow Duration"))
        made.write_parquet(directory / f"part-{part:04d}.parquet")


def write_flow_table(directory: Path, rows: int) -> None:
    """So many flows of an office, or some more, in parts."""
    directory.mkdir()
    capture, whole = directory / "office.pcap", directory / "office.parquet"
    capture.write_bytes(pcap_bytes(generate([NORMAL], 3, OFFICE_MINUTES).packets, WHOLE, nanoseconds=True))
    run([sys.executable, "-c", COMMAND, "flows", str(capture), "-q", "-o", str(whole)])
    table = pl.read_parquet(whole)
    for leftover in (capture, whole):
        leftover.unlink()
    copies = -(-rows // len(table))
    for part in range(PARTS):
        some = [
            table.with_columns(pl.col("start", "end") + pl.duration(seconds=round(60 * OFFICE_MINUTES) * copy))
            for copy in range(copies * part // PARTS, copies * (part + 1) // PARTS)
        ]
        if some:
            pl.concat(some).sort("end").write_parquet(directory / f"part-{part:04d}.parquet")


def write_recipe(path: Path, dataset: Path) -> None:
    """The recipe of cic2017 for these parts, with little to fit."""
    digests = "".join(hashlib.sha256(part.read_bytes()).hexdigest() for part in sorted(dataset.iterdir()))
    own = RECIPE | {"file": dataset.name, "sha256": hashlib.sha256(digests.encode()).hexdigest()}
    lines = (REPOSITORY / "configs/training/cic2017.yaml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        key = line.strip().partition(":")[0]
        if key in own:
            lines[number] = f"{line.partition(key)[0]}{key}: {own[key]}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measured(place: Path, dataset: Path, commands: list[str], bounds: list[str]) -> Iterator[tuple[str, str, Usage]]:
    """What each command used by each bound; none where the bound is empty."""
    told = {
        "explore": ["explore", str(dataset), "-o", str(place / "x.html")],
        "evaluate": ["evaluate", "cic2017", str(dataset), "--json"],
        "train": ["train", str(place / "recipe.yaml"), "--data", str(place)],
        "baseline": ["baseline", "default", str(place / "office" / "*.parquet"), "-q"],
    }
    for command in commands:
        for bound in bounds:
            own = ["-o", str(place / f"bundle{bound}")] if command in ("train", "baseline") else []
            given = [*told[command], *own, *(["--memory", bound] if bound else [])]
            yield command, bound, run([sys.executable, "-c", COMMAND, *given])


def main() -> None:
    """Make the table, run the commands, print a line each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--memory", default="1G", help="the bound, as the commands take it")
    options.add_argument("--beside", action="store_true", help="also without a bound")
    options.add_argument("--command", action="append", choices=COMMANDS, help="default: all")
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        dataset = place / "parts"
        write_parts(dataset, given.data / SAMPLE, given.rows)
        write_recipe(place / "recipe.yaml", dataset)
        size = sum(part.stat().st_size for part in dataset.iterdir())
        print(f"{given.rows:,} flows in {PARTS} parts, {size / 1e6:.0f} MB", flush=True)
        commands = given.command or list(COMMANDS)
        if "baseline" in commands:
            write_flow_table(place / "office", given.rows)
        for command, bound, used in measured(place, dataset, commands, [given.memory, *[""] * given.beside]):
            what = f"--memory {bound}" if bound else "no bound"
            print(f"{command:9} {what:14} {used.cpu_s:6.0f} s of CPU, at most {used.peak_mb:6,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
