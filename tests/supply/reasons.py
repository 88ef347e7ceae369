"""Why each package is there, what it does, and why its bound is where it is: the words of docs/dependencies.md."""

from typing import Final

SEMVER: Final = "majors break (semantic versions)"
ZERO: Final = "below 1.0 it deprecates before it breaks"

# By name in setup.cfg: what it does here, why not without it, and the reason of its bounds.
REASONS: Final[dict[str, tuple[str, str, str]]] = {
    "numpy": (
        "arrays of packets, flows, rows and scores",
        "all of the data path is arrays",
        "majors change the C API and rules of types, as 2.0 did",
    ),
    "numba": (
        "compiles decoding, metering, scoring and filters",
        "plain Python is a hundred times too slow for a link",
        ZERO + "; brings llvmlite, which one kernel asks for an intrinsic",
    ),
    "rich": (
        "the terminal: alert list, tables, progress",
        "escapes what comes from the network, knows widths of letters",
        "a major each year, which moves what the terminal view draws with",
    ),
    "typer": (
        "the command line",
        "options, help and completion from types",
        "before 0.15.4 it does not fit today's click; " + ZERO,
    ),
    "pyyaml": (
        "nodes of settings, notes and recipes",
        "places of faults; only nodes and the safe loader",
        "majors changed what load does",
    ),
    "pydantic": (
        "checks settings, notes, recipes, bodies of the API",
        "one declaration gives reader, faults and schema",
        "promises no break within 2; brings pydantic-core",
    ),
    "orjson": ("JSON of lines and of the API", "thousands of lines a second; refuses NaN", SEMVER),
    "safetensors": ("weights of bundles", "arrays without code: nothing in a file can run", ZERO),
    "backports-zstd": ("captures packed as zst", "pcaps are kept so; Python 3.14's own module before 3.14", SEMVER),
    "lz4": ("captures packed as lz4", "pcaps are kept so", SEMVER),
    "pyarrow": (
        "flow logs and flow tables in Parquet",
        "where they are written or asked, 170 MB: columns that other programs read",
        "no upper bound: every release is a major, and what goes was deprecated for several",
    ),
    "scapy": (
        "its binding of libpcap alone: capture off Linux; on Linux it builds packets for the tests",
        "loads when that is asked for",
        "majors may move the binding, which is none of its documented interface",
    ),
    "prometheus-client": ("the metrics port", "the exposition format", ZERO),
    "tensorflow-cpu": (
        "fits the LSTM",
        "training alone; scoring is our own kernel",
        "3.0 may drop Keras' saved layout; x86_64 on Linux only",
    ),
    "tensorflow": ("fits the LSTM where there is no tensorflow-cpu", "training alone", "as tensorflow-cpu"),
    "scikit-learn": (
        "fits forests; judges calibration",
        "training and baselines alone; scoring is our own kernel",
        SEMVER,
    ),
    "scipy": ("tests and intervals of the evaluation", "training alone", SEMVER),
    "polars": (
        "reads datasets of millions of flows",
        "training alone: under 1 GiB of memory",
        "majors rename",
    ),
    "matplotlib": (
        "pictures of the reports",
        "training alone",
        "removes what it deprecated by a minor, other things by a major",
    ),
    "jinja2": ("pages of the reports", "training alone: escapes what a dataset holds", SEMVER),
    "flask": ("routes of the API", "`serve` alone", SEMVER),
    "flask-openapi3": ("the API's description from its types", "`serve` alone", "5 changes how routes are declared"),
    "flask-openapi3-swagger": (
        "the page of the API, without the internet",
        "`serve` alone",
        "follows Swagger UI's major, whose files the page lists",
    ),
    "waitress": ("the API's HTTP server", "`serve` alone: limits of bodies and connections", SEMVER),
    "river": (
        "ADWIN: drift within a day",
        "baselines at home alone; without it that one condition is not told",
        "0.26.0 does not load on Python 3.11; " + ZERO,
    ),
    "confluent-kafka": (
        "the output of type kafka",
        "`kafka` alone: librdkafka keeps order and confirms",
        "follows librdkafka's major",
    ),
    "distributed": (
        "captures on the workers of a Dask cluster",
        "`cluster` alone, loaded for --scheduler: carries tasks, sees workers come and go, speaks TLS",
        "versions are dates, and scheduler, workers and client must be of one: the next year is tried first",
    ),
    "fsspec": (
        "captures in object stores",
        "`object-stores` alone, loaded for a name with ://: one way to list and read in all of them",
        "versions are dates: the next year is tried first",
    ),
    "s3fs": ("S3 for fsspec", "`object-stores` alone: signs, retries, lists", "of the version of fsspec"),
    "moto": ("an S3-compatible server for the tests", "", SEMVER),
    "maxminddb": (
        "where addresses of alerts belong, by MaxMind DB files",
        "`geo` alone: its makers' reader of their format; loaded where a file is set",
        "before 3.2 a damaged record may take all memory and time; " + SEMVER,
    ),
    "cryptography": (
        "Ed25519 of signed bundles",
        "`signed` alone: OpenSSL checks signatures; loaded where keys are set",
        "ours: majors come each few months; what is used has not changed since 2.6",
    ),
    "aiosmtpd": ("the mail server of the tests", "", SEMVER),
    "zstandard": ("packs captures for the tests, by another binding than the sensor's", "", ZERO),
    "mmdb-writer": ("MaxMind DB files for the tests", "", ZERO),
    "pytest": ("runs the tests", "", "majors remove what they deprecated"),
    "pytest-xdist": ("tests on all cores", "", SEMVER),
    "hypothesis": ("properties", "", SEMVER),
    "schemathesis": ("tries the API by its own description", "", "majors rename checks"),
    "jsonschema": ("checks lines and the bill of materials by their schemas", "", SEMVER),
    "ocsf-json-schema": ("holds what OCSF publishes, as JSON Schema", "", SEMVER),
    "communityid": ("the reference of Community ID", "", SEMVER),
    "packaging": ("reads requirements and versions of the locks", "", "no upper bound: versions are dates"),
    "wheel": ("unpacks the wheel and packs it with its bill of materials", "", ZERO),
    "cyclonedx-python-lib": ("writes and checks the bill of materials", "", "a major whenever its types change"),
    "ruff": ("lint and form", "", "each minor may find more: the lock holds the one that CI runs"),
    "mypy": ("types", "", "majors find more"),
    "import-linter": ("contracts of imports", "", SEMVER),
    "types-PyYAML": ("types of PyYAML", "", "follows PyYAML's major"),
    "setuptools": (
        "builds the wheel",
        "",
        "no upper bound: majors come each month, and the lock holds the one that built",
    ),
    "mkdocs-material": (
        "the pages as a site that can be searched",
        "`make site` alone; writes all that a page needs beside it",
        SEMVER + "; brings mkdocs",
    ),
    "linkchecker": (
        "follows every link and anchor of the site",
        "the test of the site alone; runs as a program",
        SEMVER,
    ),
    "uv": ("resolves the locks", "`make lock` alone", ZERO),
    "pip-audit": ("asks advisories about the locks", "`make audit` alone", SEMVER),
    "cicflowmeter": ("a peer that `make bench` measures", "not installed by anything else", ZERO),
}
