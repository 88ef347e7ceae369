"""python -m training.lab.clients.beacon: ask a web server for orders again and again, and now and then do some work."""

import argparse
import ssl
import time
import urllib.request
from contextlib import suppress
from random import Random


def beacon(url: str, period_s: float, jitter: float, for_s: float, draw: Random) -> None:
    """Ask every period_s, give or take the share `jitter`, for so long. What fails is tried again next time."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        body = draw.randbytes(draw.choice((48, 48, 48, 64, 900)))
        request = urllib.request.Request(url, data=None, headers={"Cookie": body.hex()[:3000]})  # noqa: S310  the lab's
        with suppress(OSError), opener.open(request, timeout=10) as answer:
            answer.read(1 << 20)
        time.sleep(max(0.0, min(period_s * draw.uniform(1 - jitter, 1 + jitter), end - time.monotonic())))


def main() -> None:
    """Read the command line and ask."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--period", type=float, required=True)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--for", type=float, required=True, dest="for_s")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    beacon(given.url, given.period, given.jitter, given.for_s, Random(given.seed))


if __name__ == "__main__":
    main()
