"""The page of an evaluation by networks: episodes first, then networks, then flows one by one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from training.evaluation.networks import table
from training.measure import HYBRID
from training.page.content import Block, Bullets, Heading, Page, PageTable, Paragraph, Section
from training.page.numbers import count, counted, listed

Content = Mapping[str, Any]
MOST_ALERTS, MOST_EPISODES = 100, 300  # listed one by one


def networks_document(content: Content, command: str) -> Page:
    """The page of an evaluation by networks. command: the line that reproduces it."""
    networks, name = content["networks"], _name(content["bundle"])
    return Page(
        title=f"Evaluation of {name}, protocol {content['protocol']}",
        summary=_summary(networks),
        facts=_facts(content),
        sections=tuple(section for section in _sections(content, networks, command) if section.blocks),
        made_by=command,
    )


def _sections(content: Content, networks: Content, command: str) -> tuple[Section, ...]:
    return (
        Section("What it finds and what it costs on other networks", _episodes(networks, content["notes"])),
        Section("Network by network", (_by_network(networks),), new_sheet=True),
        Section("Families left out", _families(content["families"])),
        Section("Flow by flow", _flows(networks), new_sheet=True),
        Section("Episodes, one by one", _one_by_one(networks["episodes"]), new_sheet=True),
        Section("False alerts, one by one", _alerts(networks["false_alerts"]), new_sheet=True),
        Section("Severe alerts that are false or wrongly named", _alerts(networks["severe_wrong_alerts"])),
        Section("Beside another bundle", _beside(content), new_sheet=True),
        Section("What to know before quoting these figures", _cautions(content)),
        Section("How to get this page again", (Paragraph(command, role="command"),)),
    )


def _name(bundle: Content | None) -> str:
    return "a fit for each network left out" if bundle is None else str(bundle["model_id"])


def _summary(networks: Content) -> tuple[str, ...]:
    normal, attacks = networks["normal"], networks["attacks"]
    texts = [] if normal is None else [_cost(normal)]
    return (*texts, *(() if attacks is None else (_findings(attacks),)))


def _cost(normal: Content) -> str:
    flows, days = normal["per_1000_flows"], normal["per_host_day"]
    return (
        f"On {count(normal['flows'])} normal flows it raises {counted(normal['alerts'], 'false alert')} "
        f"({count(normal['attack'])} called an attack, {count(normal['severe'])} severe), in "
        f"{count(normal['captures_with'])} of {count(normal['captures'])} captures: {table.pooled(flows)} for 1,000 "
        f"flows and {table.pooled(days)} for a host and day in view. Where each of {count(flows['networks'])} networks "
        f"counts once: {_mean(flows)} for 1,000 flows, {_mean(days)} for a host and day."
    )


def _findings(attacks: Content) -> str:
    found, named = attacks["found"], attacks["named"]
    return (
        f"Of {counted(attacks['episodes'], 'episode')} of attacks it finds {count(found['k'])}, {table.share(found)}, "
        f"and names {count(named['k'])} rightly, {table.share(named)}: {table.share(attacks['named_of_found'])} of "
        f"those found. Where each of {count(attacks['networks'])} networks counts once: "
        f"{_mean(found, table.percent)} found, {_mean(named, table.percent)} rightly named. "
        f"{count(attacks['severe_wrong'])} of {counted(attacks['alerts'], 'alert')} on them are severe under a wrong "
        f"name. An episode is {table.seconds_in_words(attacks['seconds'])}."
    )


def _mean(told: Content, text: Callable[[float | None], str] = table.number) -> str:
    return f"{text(told['mean'])}{table.between(told['mean_interval'], text)}"


def _facts(content: Content) -> tuple[tuple[str, str], ...]:
    dataset, bundle = content["dataset"], content["bundle"]
    facts = [
        ("Flows judged", count(content["n"])),
        ("Captures", count(dataset["captures"])),
        ("Networks", listed(dataset["networks"], 8)),
        ("Protocol", content["protocol"]),
        ("Dataset", f"{dataset['file']}, sha256 {dataset['sha256'][:12]}…"),
    ]
    if bundle is not None:
        facts.append(("Bundle", f"{bundle['model_id']}, sha256 {bundle['sha256'][:12]}…"))
    return tuple(facts)


def _episodes(networks: Content, notes: Sequence[str]) -> tuple[Block, ...]:
    shown: list[Block] = [Bullets(tuple(f"{note[0].upper()}{note[1:]}." for note in notes))] if notes else []
    groups = networks["by_group"]
    if networks["attacks"] is not None:
        rows = {name: row for name, row in groups.items() if "episodes" in row}
        caption = "Attacks, episode by episode: found by any alert, named by one with a technique that is right for it"
        shown.append(_table(caption, "group", rows, _with_intervals(table.ATTACK_COLUMNS)))
    if networks["normal"] is not None:
        rows = {name: row for name, row in groups.items() if "episodes" not in row}
        shown.append(_table("Normal traffic: every alert is a false one", "group", rows, table.NORMAL_COLUMNS))
    return tuple(shown)


def _with_intervals(columns: Sequence[table.Column]) -> tuple[table.Column, ...]:
    """The columns with the exact intervals of what was found and named behind their counts."""
    told = []
    for heading, width, cell in columns:
        told.append((heading, width, cell))
        if heading in ("found", "named"):
            told.append((f"{heading}, 95 % interval", width, _interval_of(f"{heading}_interval")))
    return tuple(told)


def _interval_of(key: str) -> Callable[[table.Row], str]:
    return lambda row: table.between(row[key], table.percent).strip(" []")


def _by_network(networks: Content) -> PageTable:
    return _table("A network counts once", "network", networks["by_network"], table.NETWORK_COLUMNS)


def _table(caption: str, first: str, rows: Mapping[str, table.Row], columns: Sequence[table.Column]) -> PageTable:
    headings = (Heading(first), *(Heading(heading, numeric=True) for heading, _, _ in columns))
    return PageTable(
        caption, headings, tuple((name, *(cell(row) for _, _, cell in columns)) for name, row in rows.items())
    )


def _families(families: Content) -> tuple[Block, ...]:
    if not families:
        return ()
    columns: list[tuple[str, Callable[[Content], str]]] = [
        ("episodes", lambda own: count(own["episodes"])),
        ("found", lambda own: table.share(own["found"])),
        ("rightly named", lambda own: table.share(own["named"])),
        ("seconds", lambda own: table.seconds(own["seconds"])),
    ]
    headings = (Heading("family"), *(Heading(title, numeric=True) for title, _ in columns))
    rows = tuple((name, *(cell(own) for _, cell in columns)) for name, own in families.items() if own is not None)
    return (PageTable("Each family by the fit without it", headings, rows),)


def _flows(networks: Content) -> tuple[Block, ...]:
    members = networks["flow_by_flow"]
    text = (
        "Flows with a label alone: a capture that is an attack as a whole has none. Of normal flows the share that is "
        "flagged, over all flows and as the mean of networks; in brackets 95 % intervals by drawing networks anew."
    )
    rates = list(members[HYBRID])
    headings = [Heading("member")]
    headings += [
        Heading(f"{title} at {table.percent(float(rate))}", numeric=True) for rate in rates for title in ("all", "mean")
    ]
    rows = []
    for member, own in members.items():
        cells = [own[rate]["normal"] for rate in rates]
        told = [
            text
            for cell in cells
            for text in (
                f"{table.percent(cell['pooled'])}{table.between(cell['interval'], table.percent)}",
                f"{table.percent(cell['mean'])}{table.between(cell['mean_interval'], table.percent)}",
            )
        ]
        rows.append((member, *told))
    shown: list[Block] = [Paragraph(text), PageTable("Normal flows flagged", tuple(headings), tuple(rows))]
    families = members[HYBRID][rates[0]]["families"]
    if families:
        shown.append(_recalls(members[HYBRID], rates, list(families)))
    return tuple(shown)


def _recalls(hybrid: Content, rates: Sequence[str], families: Sequence[str]) -> PageTable:
    headings = [Heading("family"), Heading("flows", numeric=True)]
    headings += [Heading(f"recall at {table.percent(float(rate))}", numeric=True) for rate in rates]
    rows = []
    for family in families:
        cells = [hybrid[rate]["families"][family] for rate in rates]
        told = [f"{table.percent(own['pooled'])}{table.between(own['interval'], table.percent)}" for own in cells]
        rows.append((family, count(cells[0]["n"]), *told))
    return PageTable("Recall of the hybrid by family of the flow's truth", tuple(headings), tuple(rows))


def _one_by_one(episodes: Sequence[Content]) -> tuple[Block, ...]:
    """Those that were missed first, then those under a wrong name."""
    if not episodes:
        return ()
    rows = []
    for own in sorted(episodes, key=lambda own: (own["found"], own["named"]))[:MOST_EPISODES]:
        what = own["capture"] if own["episode"] == own["capture"] else f"{own['capture']}: {own['episode']}"
        said = "missed" if not own["found"] else "named" if own["named"] else "found, not named"
        rows.append((what, own["network"], own["group"], said, table.number(own["seconds"]), own["alert"] or ""))
    headings = [Heading(title) for title in ("episode", "network", "group", "what became of it")]
    caption = f"{counted(len(episodes), 'episode')}{_more(len(episodes), MOST_EPISODES)}"
    return (PageTable(caption, (*headings, Heading("seconds", numeric=True), Heading("alert")), tuple(rows)),)


def _alerts(alerts: Sequence[Content]) -> tuple[Block, ...]:
    if not alerts:
        return ()
    shown = tuple((own["capture"], own["network"], own["alert"]) for own in alerts[:MOST_ALERTS])
    caption = f"{counted(len(alerts), 'alert')}{_more(len(alerts), MOST_ALERTS)}"
    return (PageTable(caption, tuple(map(Heading, ("capture", "network", "alert"))), shown),)


def _more(number: int, most: int) -> str:
    return f"; {count(number - most)} more are in the JSON" if number > most else ""


def _beside(content: Content) -> tuple[Block, ...]:
    other = content["beside"]
    if other is None:
        return ()
    text = " ".join(_summary(other["networks"]))
    return (Paragraph(f"{other['bundle']['model_id']}: {text}"), *_episodes(other["networks"], ()))


def _cautions(content: Content) -> tuple[Block, ...]:
    warnings = () if content["bundle"] is None else content["bundle"]["warnings"]
    general = (
        "Rates are those of these captures: most are minutes long and were kept because something was in them.",
        "Intervals of episodes take them as independent, which those of one network are not; where no network has a "
        "false alert the interval of their rate is empty, and a network that is not among these may still have some.",
        "Settings are the defaults of flowvigil read, whatever the configuration says.",
    )
    return (Bullets((*(f"Of the bundle: {text}" for text in warnings), *general)),)
