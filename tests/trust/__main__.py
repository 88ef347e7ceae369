"""Claims tried in one command: `make trust`, or `python -m tests.trust [NAME…] [--long] [--scale S] [--record]`.

Each in a process of its own, as many at once as there are cores but for those that measure time; a line each as they
end, then the failures. Ends with 0 when nothing failed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from importlib import import_module
from itertools import chain
from pathlib import Path

from sensor.process.children import end_with_parent
from sensor.process.kernel_cache import use_kernel_cache
from tests.trust import record
from tests.trust.claim import Claim, NotTriedError, Outcome

NOT_TRIED = 77  # exit code of the process of a claim that cannot be tried here
GRACE = 4  # times as long as a claim says that it takes, and two minutes, before it counts as hanging
ENDING_S = 60.0  # for a try to take away what it has made


def main() -> int:
    """Try what the options ask for; the exit code."""
    options = parsed()
    use_kernel_cache()
    claims = all_claims()
    if options.list:
        for claim in claims:
            print(f"{claim.name:<28} {claim.minutes:5.1f} min {'long ' if claim.long else '     '}{claim.promise}")
        return 0
    if options.inside:
        return inside(next(claim for claim in claims if claim.name == options.inside), options.scale)
    if options.page:
        record.write_page(claims)
        return 0
    unknown = set(options.names) - {claim.name for claim in claims}
    if unknown:
        print(f"no such claim: {', '.join(sorted(unknown))}; --list shows them", file=sys.stderr)
        return 2
    chosen = [c for c in claims if (c.name in options.names if options.names else c.long == options.long)]
    failed = run(chosen, options.scale, keep=options.record)
    if options.record:
        record.write_page(claims)
    return failed


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description="Try what the product promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of claims; without: all but those that take long")
    parser.add_argument("--long", action="store_true", help="those that take longer instead")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many tries (0.1: a tenth)")
    parser.add_argument(
        "--record", action="store_true", help="keep the figures in docs/reliability/ and reliability.md"
    )
    parser.add_argument("--page", action="store_true", help="only write the table of docs/reliability.md anew")
    parser.add_argument("--list", action="store_true", help="show the claims")
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # this process is to try one claim
    return parser.parse_args()


def all_claims() -> list[Claim]:
    """Every claim: those of all modules here that have CLAIMS. Raises ValueError where two have one name."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if not path.stem.startswith("test_"))
    modules = [import_module(f"tests.trust.{name}") for name in names]
    claims: list[Claim] = list(chain.from_iterable(getattr(module, "CLAIMS", ()) for module in modules))
    doubled = [name for name, count in Counter(claim.name for claim in claims).items() if count > 1]
    if doubled:
        raise ValueError(f"two claims have the name {doubled[0]}")
    return claims


def inside(claim: Claim, scale: float) -> int:
    """Try one claim in this process; its outcome is the last line of stdout.

    It ends in order, with its namespaces and processes, when it is told to and when the process that began it is gone.
    """
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    end_with_parent(os.getppid(), signal.SIGTERM)
    try:
        outcome = claim.run(scale)
    except NotTriedError as reason:
        print(json.dumps(str(reason)))
        return NOT_TRIED
    print("\n" + json.dumps(asdict(outcome)))
    return 0


def run(claims: Sequence[Claim], scale: float, *, keep: bool) -> int:
    """Try claims and print a line each; 1 where one failed."""
    width = max((len(claim.name) for claim in claims), default=0)
    failures: list[str] = []
    began = time.monotonic()
    print(f"{'claim':<{width}}  {'tries':>22}  failed  {'time':>7}  figure", flush=True)
    for claim, outcome, seconds in outcomes(claims, scale):
        if isinstance(outcome, str):
            print(f"{claim.name:<{width}}  not tried: {outcome}", flush=True)
            continue
        tries, failed = f"{outcome.tries:,} {claim.unit}", f"{len(outcome.failures):,}"
        print(f"{claim.name:<{width}}  {tries:>22}  {failed:>6}  {seconds:5.0f} s  {outcome.figure}", flush=True)
        failures += [f"{claim.name}: {failure}" for failure in outcome.failures]
        if keep:
            record.keep(claim, outcome, scale, seconds)
    print(f"{len(claims)} claims in {(time.monotonic() - began) / 60:.0f} min", flush=True)
    for failure in failures:
        print(failure)
    return int(bool(failures))


def outcomes(claims: Sequence[Claim], scale: float) -> Iterator[tuple[Claim, Outcome | str, float]]:
    """Claims with what came of them and how many seconds it took: the longest first, those that are alone last."""

    def timed(claim: Claim) -> tuple[Claim, Outcome | str, float]:
        began = time.monotonic()
        return claim, tried(claim, scale), time.monotonic() - began

    together = sorted((claim for claim in claims if not claim.alone), key=lambda claim: -claim.minutes)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in as_completed([pool.submit(timed, claim) for claim in together]):
            yield done.result()
    yield from (timed(claim) for claim in claims if claim.alone)


def tried(claim: Claim, scale: float) -> Outcome | str:
    """The outcome of a claim tried in a process of its own, or why it cannot be tried here."""
    command = [sys.executable, "-m", "tests.trust", "--inside", claim.name, "--scale", str(scale)]
    most_s = 60 * (GRACE * claim.minutes * max(scale, 1) + 2)
    with subprocess.Popen(command, cwd=record.REPOSITORY, stdout=subprocess.PIPE) as process:
        try:
            stdout, _ = process.communicate(timeout=most_s)
        except subprocess.TimeoutExpired:
            _end(process)
            return Outcome(0, [f"has not ended after {most_s:.0f} s"])
        except BaseException:
            _end(process)
            raise
    lines = stdout.decode(errors="replace").strip().splitlines()
    if process.returncode == NOT_TRIED:
        return str(json.loads(lines[-1]))
    if process.returncode or not lines:
        return Outcome(0, [f"ended with {process.returncode} before it had an outcome"])
    return Outcome(**json.loads(lines[-1]))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a try in order: what it has started, mounted and made goes with it."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
