"""What programs ask databases."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.place import Place
from training.lab.services.stores import DATABASE_PASSWORD

_QUERIES: Final = (
    "select 1",
    "select now(), version()",
    "select count(*) from generate_series(1, 20000)",
    "select i, md5(i::text) from generate_series(1, 300) i",
    "select i, repeat(md5(i::text), 20) from generate_series(1, 2000) i",
)


def _query(place: Place, target: str, draw: Random) -> list[Step]:
    """Some questions in one session."""
    url = f"postgresql://postgres:{DATABASE_PASSWORD}@{place.site.in_url(target)}/postgres"
    asked = [part for _ in range(draw.randint(1, 6)) for part in ("-c", draw.choice(_QUERIES))]
    return [Step(["psql", "-q", "-o", "/dev/null", url, *asked])]


def _cache(place: Place, target: str, draw: Random) -> list[Step]:
    key = f"session:{draw.randrange(200)}"
    value = draw.randbytes(draw.randint(20, 2000)).hex()
    script = f"set {key} {value} ex 600\nget {key}\nincr hits\nget session:{draw.randrange(200)}\n"
    command = 'printf "%s" "$1" | redis-cli -h "$2" >/dev/null'
    return [Step(["sh", "-c", command, "sh", script, place.site.addresses[target]])]


STORES: Final = (
    Action("query", "asks a database", ("postgresql-client",), ("psql",), "postgresql", _query, ipv6=True),
    Action(
        "cache",
        "puts something into a cache, and takes it out",
        ("redis-tools",),
        ("redis-cli",),
        "redis",
        _cache,
        ipv6=True,
    ),
)
