"""Databases: PostgreSQL and Redis."""

from typing import Final

from training.lab.accounts import PASSWORDS
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp

DATABASE_PASSWORD: Final = PASSWORDS["david"]

_INITDB: Final = """set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
printf '%s' "$2" >"$1/password"
mkdir -p "$1/data" /run/postgresql
chown -R postgres "$1" /run/postgresql
runuser -u postgres -- "$bin/initdb" -D "$1/data" -A scram-sha-256 --pwfile="$1/password" --no-sync -E UTF8 >/dev/null
printf 'host all all %s scram-sha-256\\n' 0.0.0.0/0 ::/0 >>"$1/data/pg_hba.conf"
exec runuser -u postgres -- "$bin/postgres" -D "$1/data" -h "$3" -k "$1" -c fsync=off
"""
_REDIS: Final = """bind {addresses}
port 6379
protected-mode no
save ""
appendonly no
dir {directory}
"""


def _postgresql(place: Place) -> list[Command]:
    return [["sh", "-c", _INITDB, "sh", str(place.directory), DATABASE_PASSWORD, ",".join(place.addresses)]]


def _redis(place: Place) -> list[Command]:
    settings = _REDIS.format(addresses=" ".join(place.addresses), directory=place.directory)
    return [["redis-server", str(place.write("redis.conf", settings))]]


POSTGRESQL: Final = Service(
    "postgresql", "PostgreSQL", ("postgresql",), ("runuser", "pg_lsclusters"), (tcp(5432),), _postgresql, ipv6=True
)
REDIS: Final = Service("redis", "Redis", ("redis-server",), ("redis-server",), (tcp(6379),), _redis, ipv6=True)
