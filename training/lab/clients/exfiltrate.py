"""python -m training.lab.clients.exfiltrate: upload a little now and then, so many bytes a second on average."""

import argparse
import ssl
import time
import urllib.request
from contextlib import suppress
from random import Random

EVERY_S = 12.0


def exfiltrate(url: str, rate: float, for_s: float, draw: Random) -> None:
    """PUT some bytes about each EVERY_S seconds, for so long. What fails is tried again next time."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        pause_s = EVERY_S * draw.uniform(0.5, 1.5)
        body = draw.randbytes(int(rate * pause_s))
        name = draw.randbytes(6).hex()
        request = urllib.request.Request(url + name, data=body, method="PUT")  # noqa: S310  the lab's
        with suppress(OSError), opener.open(request, timeout=10) as answer:
            answer.read(1 << 16)
        time.sleep(max(0.0, min(pause_s, end - time.monotonic())))


def main() -> None:
    """Read the command line and upload."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--for", type=float, required=True, dest="for_s")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    exfiltrate(given.url, given.rate, given.for_s, Random(given.seed))


if __name__ == "__main__":
    main()
