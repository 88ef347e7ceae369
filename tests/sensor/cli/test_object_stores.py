"""`flowvigil read s3://… --independent`: captures of an object store give what the same files give."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.jobs.run_directory import ALERTS
from sensor.sources.captures import objects
from sensor.sources.captures.objects import ObjectFile, StoreError, objects_in
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.clusters import Cluster
from tests.support.command import flowvigil
from tests.support.object_stores import ObjectStore

S3FileSystem = pytest.importorskip("s3fs", reason="needs the extra object-stores").S3FileSystem
pytest.importorskip("moto", reason="needs moto, the store of these tests")
pytestmark = pytest.mark.takes(30)
KEYS = ("a/net-0.pcap", "a/b/net-1.pcap", "net-2.pcap")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("captures")
    for seed, key in enumerate(KEYS):
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        write_pcap(path, pcap_bytes(generate(SCENARIOS, seed, 0.3).packets, 96))
    return directory


@pytest.fixture(scope="module")
def store(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("store")) as store:
        store.put("captures")
        for key in KEYS:
            store.put(f"captures/{key}", (captures / key).read_bytes())
        store.put("captures/a/notes.txt", b"no capture")
        yield store


def test_objects_give_what_the_same_files_give_and_a_changed_one_is_read_again(
    store: ObjectStore, captures: Path, tmp_path: Path
) -> None:
    local, run = tmp_path / "local", tmp_path / "run"
    assert flowvigil("read", captures, "--independent", "--run", local, "-q").code == 0
    arguments = ("read", "s3://captures", "--independent", "--run", run, "-q")
    result = flowvigil(*arguments, **store.environment)
    assert (result.code, result.stderr) == (0, [])
    expected = (local / ALERTS).read_bytes()
    assert (run / ALERTS).read_bytes().replace(b"s3://captures", str(captures).encode()) == expected
    before = {path: path.stat().st_mtime_ns for path in run.glob("ends/*/*.json")}
    store.put("captures/net-2.pcap", (captures / "a/net-0.pcap").read_bytes())
    assert flowvigil(*arguments, "--resume", **store.environment).code == 0
    assert len([path for path, then in before.items() if path.stat().st_mtime_ns != then]) == 1
    store.put("captures/net-2.pcap", (captures / "net-2.pcap").read_bytes())


def test_a_cluster_reads_objects(store: ObjectStore, captures: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra cluster")
    alerts = tmp_path / "alerts.jsonl"
    assert flowvigil("read", captures, "--independent", "-q", "-o", alerts).code == 0
    places = tmp_path / "processes"
    places.mkdir()
    with Cluster(places, 1, **store.environment) as cluster:
        result = flowvigil(
            *("read", "s3://captures/**/net-*", "s3://captures/nosuch.pcap", "--independent", "-q"),
            *("--scheduler", cluster.address),
            **store.environment,
        )
    assert result.code == 6
    (said,) = result.stderr
    assert "s3://captures/nosuch.pcap: set aside after 2 attempts: " in said
    assert result.stdout.replace(b"s3://captures", str(captures).encode()) == alerts.read_bytes()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("s3://captures", ["a/b/net-1.pcap", "a/net-0.pcap", "net-2.pcap"]),
        ("s3://captures/a/", ["a/b/net-1.pcap", "a/net-0.pcap"]),
        ("s3://captures/a/*.pcap", ["a/net-0.pcap"]),
        ("s3://captures/**/net-*", ["a/b/net-1.pcap", "a/net-0.pcap", "net-2.pcap"]),
        ("s3://captures/a/notes.txt", ["a/notes.txt"]),
    ],
)
def test_a_name_stands_for_an_object_a_pattern_or_all_below_a_prefix(
    name: str, found: list[str], store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in store.environment.items():
        monkeypatch.setenv(variable, value)
    assert [stored.name for stored in objects_in(name)] == [f"s3://captures/{key}" for key in found]
    assert all(stored.size and re.search("[0-9a-f]{32}", stored.tag) for stored in objects_in(name))


def test_what_a_store_does_not_give_is_set_aside_by_name_and_the_rest_is_read(
    store: ObjectStore, captures: Path
) -> None:
    absent = {
        "s3://nosuch/net-0.pcap": "no such object or bucket",
        "s3://captures/nosuch.pcap": "no such object or bucket",
        "nosuch://captures/net-2.pcap": "Protocol not known: nosuch",
    }
    result = flowvigil("read", *absent, captures / "net-2.pcap", "--independent", **store.environment)
    assert result.code == 6
    said = [line for line in result.stderr if "set aside" in line]
    assert said == [f"flowvigil: {name}: set aside after 2 attempts: StoreError: {why}" for name, why in absent.items()]
    assert result.stdout


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "redentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "ould not connect"),
    ],
)
def test_a_store_without_credentials_or_gone_is_told_in_one_line(
    changed: dict[str, str], words: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (store.environment | changed).items():
        monkeypatch.setenv(variable, value)
    for ask in (objects_in, ObjectFile):
        S3FileSystem.clear_instance_cache()
        with pytest.raises(StoreError, match=words) as told:
            ask("s3://captures/net-2.pcap")
        assert "\n" not in str(told.value)
    S3FileSystem.clear_instance_cache()


def test_an_object_without_independent_is_refused_in_one_line() -> None:
    result = flowvigil("read", "s3://captures/net-2.pcap")
    assert (result.code, len(result.stderr)) == (2, 1)
    assert "--independent" in result.stderr[0]


def test_without_the_extra_one_line_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "find_spec", lambda _name: None)
    with pytest.raises(StoreError, match=r"pip install 'flowvigil\[object-stores\]'"):
        objects_in("s3://captures")
