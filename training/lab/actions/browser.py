"""What a whole browser does with a page: Chromium without a window."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.content import PAGES
from training.lab.place import Place

# Nothing but the page: no updates, no reports, no experiments of the browser's own.
_ALONE: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=MediaRouter,OptimizationHints,DialMediaRouteProvider,AutofillServerCommunication",
    "--ignore-certificate-errors",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
    "--no-default-browser-check",
)


def _open(place: Place, target: str, draw: Random) -> list[Step]:
    steps = []
    for _ in range(draw.randint(1, 2)):
        url = f"https://{place.site.name(target)}/page-{draw.randrange(PAGES)}.html"
        profile = f"--user-data-dir={place.path('profile')}"
        command = ["chromium", *_ALONE, profile, "--timeout=8000", "--dump-dom", url]
        steps.append(Step(["sh", "-c", 'exec "$@" >/dev/null', "sh", *command], draw.lognormvariate(1.8, 0.8)))
    return steps


BROWSER: Final = (
    Action("chromium", "opens pages in Chromium", ("chromium",), ("chromium",), "https", _open, ipv6=True),
)
