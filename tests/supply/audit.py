"""Asks the public advisories about every version of the locks, through pip-audit: `make audit`.

Ends with 0 where each was answered for and none has a known vulnerability, with 1 where one has, and with 3 where the
advisories were not reached or did not answer for all: pip-audit itself skips those and ends with 0.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.supply.environments import LOCKS

PIP_AUDIT: Final = Path(sys.executable).with_name("pip-audit")
VULNERABLE: Final = 1
NOT_REACHED: Final = 3


def main() -> int:
    """Ask, and say in a few lines what came back; the exit code."""
    files = [part for path in sorted(LOCKS.glob("*.txt")) for part in ("--requirement", str(path))]
    asked = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    done = subprocess.run((PIP_AUDIT, *asked, *files), capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"not reachable: pip-audit ended with {done.returncode}: {reason}", file=sys.stderr)
        return NOT_REACHED
    return told(answer["dependencies"])


def told(answers: list[dict[str, Any]]) -> int:
    """Print what pip-audit answered for each package; the exit code."""
    skipped = sorted({answer["name"] for answer in answers if "skip_reason" in answer})
    found = {(answer["name"], answer["version"], flaw["id"]) for answer in answers for flaw in answer.get("vulns", ())}
    for name, version, flaw in sorted(found):
        print(f"{name} {version}: {flaw}")
    if found:
        return VULNERABLE
    if skipped or not answers:
        print(f"not reachable: no answer for {len(skipped)} of {len(answers)} packages ({', '.join(skipped[:5])} …)")
        return NOT_REACHED
    print(f"{len(answers)} packages, no known vulnerability")
    return 0


if __name__ == "__main__":
    sys.exit(main())
