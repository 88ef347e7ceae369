"""Small recipes for several networks, with made captures for sources, for the tests of their fits."""

from pathlib import Path

from sensor.cli.made_traffic import MadeTraffic
from sensor.cli.replay import DefaultSensor
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.evaluations import as_csv, table
from tests.support.networks import made_networks, write_capture
from training.datasets.sources import CaptureTools, Places
from training.networks_recipe import NetworksRecipe
from training.recipe import read_recipe

RECIPE = """\
name: small
seed: 3
captures:
  - {name: sites, kind: lab, citation: made runs}
  - {name: others, kind: index, path: others, citation: made captures}
  - {name: made, kind: generator, citation: made traffic, seeds: [5], scenarios: [normal, portscan], minutes: 1}
  - {name: sample, kind: table, path: flows.csv, citation: made flows}
whole: attack
classes: {DoS: PortScan}
smallest_family: 20
most_flows: 300
context: true
without: [pair_open_day]
reports: all
balance: {networks: 0.7, least: 20, classes: 0.5, normal: 0.5}
calibrate: {networks: 0.7, least: 20}
fusion: lanes
hosts: {rehomed_copies: 1, shared: 4, reset_s: 600}
gaps: {shorten_decades: 0.0, unknown: 0.2}
augment: {noise: 0.2, column_drop: 0.1, context_drop: 0.3, state_drop: 0.05, time_decades: 0.3}
lstm:
  {units: 6, chunk: 8, lanes: 8, epochs: 1, learning_rate: 0.01, clip_norm: 1.0, dropout: 0.1, average: 0.9, threads: 2,
   network_steps: 400}
random_forest: {trees: 8, leaves: 16, columns: 8, names: true}
vote: {lstm: 1, random_forest: 2}
iforest: {trees: 10, sample: 64, rows: 500}
baselines: true
folds: {groups: 2, trees: 4}
rates: [0.01, 0.05]
"""


def made_sources(directory: Path) -> Path:
    """A recipe with all that it names, below a directory: two runs of a lab's site and one of another, and so on."""
    attacks = {"day": [PORTSCAN, SSH_GUESSING], "yard": [SSH_GUESSING]}
    for name, seed, record in (("day", 21, "hall"), ("night", 22, "hall"), ("yard", 23, None)):
        run = directory / "runs" / name
        run.mkdir(parents=True)
        write_capture(run / "router.pcap", [NORMAL, *attacks.get(name, ())], seed, 1.0, run / "truth.csv")
        if record:
            (run / "run.json").write_text(f'{{"scenario": "{record}"}}\n', encoding="utf-8")
    (directory / "others").mkdir()
    made_networks(directory / "others")
    as_csv(table(), directory / "flows.csv")
    path = directory / "small.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def places_of(recipe: Path, work: Path) -> tuple[NetworksRecipe, Places]:
    """A recipe of made_sources as it is read, and where all of it is."""
    read, text = read_recipe(recipe)
    assert isinstance(read, NetworksRecipe)
    tools = CaptureTools(DefaultSensor().metered, MadeTraffic(), recipe.parent / "runs")
    return read, Places(recipe, text, recipe.parent, work, tools)
