"""The figures over networks as lines of text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from training.measure import HYBRID

Row = Mapping[str, Any]
Column = tuple[str, int, Callable[[Row], str]]  # heading, width, cell
NOTHING = "-"
LONGEST_NAME = 40

NORMAL_COLUMNS: tuple[Column, ...] = (
    ("captures", 10, lambda row: f"{row['captures']:,}"),
    ("flows", 10, lambda row: f"{row['flows']:,}"),
    ("alerts", 8, lambda row: f"{row['alerts']:,}"),
    ("severe", 8, lambda row: f"{row['severe']:,}"),
    ("captures with", 15, lambda row: f"{row['captures_with']:,}"),
    ("a 1,000 flows", 15, lambda row: number(row["per_1000_flows"])),
)
ATTACK_COLUMNS: tuple[Column, ...] = (
    ("flows", 10, lambda row: f"{row['flows']:,}"),
    ("episodes", 10, lambda row: f"{row['episodes']:,}"),
    ("found", 7, lambda row: f"{row['found']:,}"),
    ("named", 7, lambda row: f"{row['named']:,}"),
    ("alerts", 8, lambda row: f"{row['alerts']:,}"),
    ("severe wrong", 14, lambda row: f"{row['severe_wrong']:,}"),
    ("seconds", 10, lambda row: seconds(row["seconds"])),
)
NETWORK_COLUMNS: tuple[Column, ...] = (
    ("captures", 10, lambda row: f"{row['captures']:,}"),
    ("normal flows", 14, lambda row: f"{row['normal_flows']:,}"),
    ("alerts", 8, lambda row: f"{row['alerts']:,}"),
    ("a 1,000 flows", 15, lambda row: number(row["per_1000_flows"])),
    ("episodes", 10, lambda row: f"{row['episodes']:,}"),
    ("found", 7, lambda row: f"{row['found']:,}"),
    ("named", 7, lambda row: f"{row['named']:,}"),
    ("severe wrong", 14, lambda row: f"{row['severe_wrong']:,}"),
)


def networks_table(content: Mapping[str, Any]) -> str:
    """What normal traffic costs and what is found, by group and by network, then flow by flow."""
    bundle, dataset = content["bundle"], content["dataset"]
    judged = "a fit for each network left out" if bundle is None else bundle["model_id"]
    lines = [
        f"{judged}, protocol {content['protocol']}: {content['n']:,} flows of {dataset['captures']:,} captures, "
        f"{len(dataset['networks']):,} networks",
        *(f"note: {note}" for note in content["notes"]),
        *_of_model(content["networks"]),
    ]
    if content["families"]:
        lines += ["", "each family by the fit without it", *_families(content["families"])]
    if content["beside"] is not None:
        lines += ["", f"beside it {content['beside']['bundle']['model_id']}", *_of_model(content["beside"]["networks"])]
    return "\n".join(lines)


def _of_model(networks: Mapping[str, Any]) -> list[str]:
    groups, normal, attacks = networks["by_group"], networks["normal"], networks["attacks"]
    lines: list[str] = []
    if normal is not None:
        of_kind = {name: row for name, row in groups.items() if "episodes" not in row}
        lines += ["", *_table("normal traffic", of_kind, NORMAL_COLUMNS), *normal_lines(normal)]
    if attacks is not None:
        of_kind = {name: row for name, row in groups.items() if "episodes" in row}
        lines += ["", *_table("attacks", of_kind, ATTACK_COLUMNS), *attack_lines(attacks)]
    lines += ["", *_table("by network", networks["by_network"], NETWORK_COLUMNS)]
    return [*lines, "", *_flows(networks["flow_by_flow"])]


def normal_lines(normal: Mapping[str, Any]) -> list[str]:
    """What normal traffic costs, in words; intervals are of drawing networks anew."""
    flows, days = normal["per_1000_flows"], normal["per_host_day"]
    return [
        f"all: {normal['alerts']:,} false alerts ({normal['attack']:,} called an attack, {normal['severe']:,} severe) "
        f"in {normal['captures_with']:,} of {normal['captures']:,} captures",
        f"  {pooled(flows)} a 1,000 flows of {normal['flows']:,}; {mean(flows)}",
        f"  {pooled(days)} a host-day of {normal['host_days']:.3g}; {mean(days)}",
    ]


def attack_lines(attacks: Mapping[str, Any]) -> list[str]:
    """What is found of attacks, in words; intervals of shares are exact binomial ones."""
    found, named, right = attacks["found"], attacks["named"], attacks["named_of_found"]
    told = [
        f"all: {what} {own['k']:,} of {own['n']:,} episodes, {share(own)}; mean of {attacks['networks']:,} networks "
        f"{percent(own['mean'])}{between(own['mean_interval'], percent)}"
        for what, own in (("found", found), ("rightly named", named))
    ]
    wrong = f"{attacks['severe_wrong']:,} of {attacks['alerts']:,} alerts severe under a wrong name"
    return [*told, f"  rightly named of those found {share(right)}; {wrong}; {seconds_in_words(attacks['seconds'])}"]


def seconds_in_words(told: Mapping[str, Any] | None) -> str:
    """How long it takes from an episode's first packet to its first alert."""
    if told is None:
        return "not found, so there is no time to detect"
    low, high = told["quartiles"]
    return f"found after {number(told['median'])} s in the median (quartiles {number(low)} to {number(high)} s)"


def pooled(ratio: Mapping[str, Any]) -> str:
    """A ratio over all networks with its interval."""
    return f"{number(ratio['pooled'])}{between(ratio['interval'], number)}"


def mean(ratio: Mapping[str, Any]) -> str:
    """The mean of the networks' own ratios, each counting once."""
    return f"mean of {ratio['networks']:,} networks {number(ratio['mean'])}{between(ratio['mean_interval'], number)}"


def share(told: Mapping[str, Any]) -> str:
    """A share of episodes with its interval."""
    return f"{percent(told['share'])}{between(told['interval'], percent)}"


def between(ends: Sequence[float] | None, text: Callable[[float | None], str]) -> str:
    """The ends of an interval in brackets, nothing where there is none."""
    return "" if ends is None else f" [{text(ends[0])}, {text(ends[1])}]"


def number(value: float | None) -> str:
    """A figure with three digits that mean something."""
    return NOTHING if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """A share in per cent."""
    return NOTHING if value is None else f"{100 * value:.3g} %"


def seconds(told: Mapping[str, Any] | None) -> str:
    """The median time to detect."""
    return NOTHING if told is None else number(told["median"])


def _table(title: str, rows: Mapping[str, Row], columns: Sequence[Column]) -> list[str]:
    width = max(len(title), *(min(len(name), LONGEST_NAME) for name in rows), 0) + 2
    head = f"{title:{width}}" + "".join(f"{heading:>{size}}" for heading, size, _ in columns)
    return [
        head,
        *(
            f"{name[:LONGEST_NAME]:{width}}" + "".join(f"{cell(row):>{size}}" for _, size, cell in columns)
            for name, row in rows.items()
        ),
    ]


def _flows(members: Mapping[str, Any]) -> list[str]:
    """Share of normal flows that each member flags at each nominal rate, and the hybrid's recall by family."""
    rates = list(members[HYBRID])
    width = max(map(len, members)) + 2
    lines = [
        f"{'normal flows flagged':{max(width, 22)}}" + "".join(f"{'at ' + percent(float(rate)):>26}" for rate in rates)
    ]
    for member, own in members.items():
        cells = [own[rate]["normal"] for rate in rates]
        lines.append(
            f"{member:{max(width, 22)}}"
            + "".join(f"{percent(cell['pooled']) + ' / mean ' + percent(cell['mean']):>26}" for cell in cells)
        )
    families = members[HYBRID][rates[0]]["families"]
    if families:
        lines.append(f"{'hybrid finds of flows':{max(width, 22)}}")
    for family in families:
        cells = [members[HYBRID][rate]["families"][family] for rate in rates]
        lines.append(
            f"{family:{max(width, 22)}}"
            + "".join(f"{percent(cell['pooled']) + ' of ' + format(cell['n'], ','):>26}" for cell in cells)
        )
    return lines


def _families(families: Mapping[str, Any]) -> list[str]:
    return [
        f"{family}: found {share(own['found'])}, rightly named {share(own['named'])}, "
        f"{seconds_in_words(own['seconds'])}"
        for family, own in families.items()
        if own is not None
    ]
