# Every target makes the virtual environment and installs what it needs by itself; only python3, python3-venv and make
# must be there. PYTHON chooses the interpreter (3.11 to 3.13).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CIC2017 ?= ../shared/data/cic-ids-2017/improved-sample-mon-thu.csv.gz
FOREIGN ?= ../shared/data/foreign
DATA ?= ../shared/data
LAB ?= runs/lab-sites
BUNDLE ?= default
NSLKDD ?= ../shared/data/nsl-kdd/KDDTrain+.txt.gz
KDDTEST ?= ../shared/data/nsl-kdd/KDDTest+.txt
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
MINUTES ?= 60
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# what a lock names and nothing else, each file by its hash; then the sensor itself, from this directory. Python compiles
# the modules that are used when they are: all of them take seconds and 40 MB.
LOCKED = $(PIP) install --no-compile --require-hashes -r configs/locks/$(1).txt && $(PIP) install --no-compile --no-deps --no-build-isolation -e .
PYTEST := $(BIN)/python -m pytest
# A worker a core and one more, which take whole files; one of them takes all of live capture (tests/conftest.py).
SPREAD := --numprocesses=auto --dist=loadfile --no-loadscope-reorder

# Where this is set, each of thousands of processes compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check golden properties tshark fuzz fuzz-long flood scale-test soak live lab lab-sites bench trust trust-long foreign api-test ux-test evaluate evaluate-default evaluate-kdd home train train-default retrain docs site picture views lock audit dist deb deb-test clean

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/installed-sensor ## Show the main job: a capture in, hybrid alerts out
	@rm -f $(VENV)/demo.jsonl
	$(BIN)/flowvigil read sensor/synth/demo.pcap.gz --output $(VENV)/demo.jsonl
	@echo
	@echo "The same alerts as JSON lines are in $(VENV)/demo.jsonl; the first one:"
	@$(BIN)/python -m json.tool --no-ensure-ascii --json-lines $(VENV)/demo.jsonl | sed '/^}/q'

test: $(VENV)/installed-test ## Run the tests, side by side on all cores
	$(PYTEST) $(SPREAD) --durations=25

check: $(VENV)/installed-check ## Lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

golden: $(VENV)/installed-test ## Compare the meter with two Java programs' output and with its plain twin
	$(PYTEST) --hypothesis-profile=full tests/flows/test_golden_engelen.py tests/flows/test_golden_v4.py tests/flows/test_twin.py

properties: $(VENV)/installed-test ## Try every property with all its examples, four times those of make test
	$(PYTEST) $(SPREAD) --hypothesis-profile=full -m hypothesis

tshark: $(VENV)/installed-test ## Compare packets, bytes and five-tuples with tshark's on many small captures
	TSHARK_EVERY=1 $(PYTEST) tests/sensor/sources/test_variety_tshark.py

fuzz: $(VENV)/installed-test ## Ten million hostile frames and ten thousand files with bounds checks (about four minutes)
	$(BIN)/python -m tests.fuzz --frames 10000000 --files 10000 --seed 1 --jobs $(JOBS) --controls

fuzz-long: $(VENV)/installed-test ## A hundred million frames, a hundred thousand files; goes on where it was stopped
	mkdir -p runs
	$(BIN)/python -m tests.fuzz --frames 100000000 --files 100000 --seed 18 --jobs $(JOBS) --state runs/fuzz

scale-test: $(VENV)/installed-test ## Read many captures on a Dask cluster whose processes are killed, compare and measure (minutes)
	$(BIN)/python -m tests.scale.cluster

soak: $(VENV)/installed-test ## An hour of mixed traffic on a cable at four fifths of capacity (root, tcpreplay), MINUTES=60
	$(BIN)/python -m tests.bench.soak --minutes $(MINUTES)

flood: $(VENV)/installed-test ## Ten million SYNs through a small table, memory and sessions watched
	$(BIN)/python -m tests.bench.bounded

live: $(VENV)/installed-test ## Measure the live sensor between two namespaces (root, tcpreplay; five minutes)
	$(BIN)/python -m tests.bench.live

lab: $(VENV)/installed-sensor ## Run the lab's short site with attacks and without; truth and captures must agree (root; three minutes)
	mkdir -p runs
	rm -rf runs/lab runs/lab-normal
	$(BIN)/flowvigil lab run configs/lab/short.yaml --output runs/lab
	$(BIN)/flowvigil lab run configs/lab/short.yaml --no-attacks --output runs/lab-normal

foreign: $(VENV)/installed-train ## Judge the default bundle and cic2017 by captures of networks, FOREIGN=directory with index.csv (two minutes)
	@if test ! -f $(FOREIGN)/index.csv; then echo "foreign captures: skipped, there is no $(FOREIGN)/index.csv"; else \
	mkdir -p runs && $(BIN)/flowvigil evaluate default $(FOREIGN) --protocol networks --beside cic2017 --output runs/foreign.html; fi

bench: $(VENV)/installed-test ## Measure speed and size against peers in one run (a few minutes)
	$(BIN)/python -m tests.bench --plot docs/bench.svg

trust: $(VENV)/installed-test ## Try what docs/reliability.md promises and print the table (half an hour on two cores; all of it as root)
	$(BIN)/python -m tests.trust

trust-long: $(VENV)/installed-test ## Try what takes longer than that (hours; root)
	$(BIN)/python -m tests.trust --long

api-test: $(VENV)/installed-test ## Test and measure the JSON API (Chromium for its page; three minutes)
	$(PYTEST) tests/sensor/api
	$(BIN)/python -m tests.bench.api --check

ux-test: $(VENV)/installed-test ## Test what operators see and send on (tmux, Chromium, rsyslog, syslog-ng, tshark where present)
	$(PYTEST) $(SPREAD) -m ux

evaluate: $(VENV)/installed-train ## Train, evaluate and write the reports in runs/ (needs the data, see docs/training.md)
	$(BIN)/flowvigil train configs/training/cic2017.yaml --output runs/cic2017
	$(BIN)/flowvigil evaluate runs/cic2017 $(CIC2017) --protocol leave-one-out --output runs/cic2017.html
	$(BIN)/flowvigil train configs/training/cic2017-random.yaml --output runs/cic2017-random
	$(BIN)/flowvigil evaluate runs/cic2017-random $(CIC2017) --protocol random --output runs/cic2017-random.html

evaluate-kdd: $(VENV)/installed-train ## Judge the KDD bundles and write the reports in runs/ (needs the data)
	mkdir -p runs
	$(BIN)/flowvigil evaluate nsl-kdd $(NSLKDD) --protocol random --beside nsl-kdd-flow --output runs/kdd-random.html
	$(BIN)/flowvigil evaluate nsl-kdd $(NSLKDD) --protocol leave-one-out --output runs/kdd-attacks.html
	test ! -f $(KDDTEST) || $(BIN)/flowvigil evaluate nsl-kdd $(KDDTEST) --beside nsl-kdd-flow --output runs/kdd.html

home: $(VENV)/installed-train ## A site before and after its baseline, and alerts a day asked for and come, LAB=runs of the lab (five minutes)
	$(BIN)/python -m tests.bench.home --lab $(LAB)

train: $(VENV)/installed-train ## Refit the bundle cic2017 into runs/cic2017 (needs the data, see docs/training.md)
	$(BIN)/flowvigil train configs/training/cic2017.yaml --output runs/cic2017

lab-sites: $(VENV)/installed-sensor ## Run all sites of the lab with attacks and without into LAB (root; an hour and a half)
	mkdir -p $(LAB)
	for site in office hosting plant clinic; do \
	$(BIN)/flowvigil lab run configs/lab/$$site.yaml --output $(LAB)/$$site && \
	$(BIN)/flowvigil lab run configs/lab/$$site.yaml --no-attacks --output $(LAB)/$$site-normal || exit 1; done

train-default: $(VENV)/installed-train ## Refit the default bundle into runs/default, LAB=directory of runs of the lab (four minutes)
	$(BIN)/flowvigil train configs/training/default.yaml --output runs/default --data $(DATA) --lab $(LAB)

retrain: $(VENV)/installed-train ## Fit a shipped bundle again, BUNDLE=default, and say "same hash" or what differs (data as for train)
	rm -rf runs/retrain/$(BUNDLE)
	mkdir -p runs/retrain
	$(BIN)/flowvigil train configs/training/$(BUNDLE).yaml --output runs/retrain/$(BUNDLE) --data $(DATA) --lab $(LAB)
	$(BIN)/python -m training.reproduction models/pretrained/$(BUNDLE) runs/retrain/$(BUNDLE)

evaluate-default: $(VENV)/installed-train ## Judge that recipe by fits without each group of networks (six minutes) and each family (more)
	mkdir -p runs
	$(BIN)/flowvigil evaluate --recipe configs/training/default.yaml --protocol networks --data $(DATA) --lab $(LAB) --output runs/default-folds.html

docs: $(VENV)/installed-test ## Write the manual, the alerts, messages and exit codes of docs/ anew
	$(BIN)/python -m sensor.cli.manual
	$(BIN)/python -m docs.alert_book
	$(BIN)/python -m docs.message_book

site: $(VENV)/docs/installed ## Build the pages as a site into build/site; it asks nothing of other hosts
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict
	@echo "to look at it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

picture: $(VENV)/installed-train ## Draw the pictures of README and docs/ anew (needs the data, see docs/training.md)
	$(BIN)/python -m docs.picture
	$(BIN)/python -m docs.recording
	$(BIN)/python -m docs.kdd_plots $(NSLKDD)

views: $(VENV)/installed-test ## Take the pictures of docs/views.md anew (root, tcpreplay, tmux, Chromium; two minutes)
	$(BIN)/python -m docs.screenshots

lock: $(VENV)/installed-audit ## Write the locks anew, from the newest versions that setup.cfg admits (needs the package index)
	$(BIN)/python -m tests.supply.lock

audit: $(VENV)/installed-audit ## Ask the advisories about every version of the locks (needs the internet; exit code 3 without)
	$(BIN)/python -m tests.supply.audit

dist: $(VENV)/installed-build ## Build the wheel with its bill of materials; the same commit gives the same bytes
	$(BIN)/python -m tests.supply.dist

deb: $(VENV)/installed-test dist ## Build the Debian package into dist/ (dpkg-deb; for the Debian of this machine's Python, 3.11: bookworm)
	$(BIN)/python -m tests.supply.deb

deb-test: deb ## Install that package into a bare Debian, use it and remove it (root, debootstrap; four minutes)
	$(BIN)/python -m tests.supply.deb_trial

clean: ## Remove what the targets made
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-build: configs/locks/build.txt | $(BIN)/python
	$(PIP) install --no-compile --require-hashes -r configs/locks/build.txt
	touch $@

$(VENV)/installed-sensor: setup.cfg pyproject.toml configs/locks/sensor.txt | $(VENV)/installed-build
	$(call LOCKED,sensor)
	touch $@

# apart from the sensor: with colorama installed, numba's import has every command end by resetting the terminal's colours
$(VENV)/docs/installed: configs/locks/docs.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/docs
	$(VENV)/docs/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r configs/locks/docs.txt
	touch $@

$(VENV)/installed-train: setup.cfg pyproject.toml configs/locks/train.txt | $(VENV)/installed-build
	$(call LOCKED,train)
	touch $@

$(VENV)/installed-test: setup.cfg pyproject.toml configs/locks/develop.txt | $(VENV)/installed-build
	$(call LOCKED,develop)
	touch $@ $(VENV)/installed-sensor $(VENV)/installed-train

# the same lock; a target of its own, as make -j check test would otherwise run two pips at once
$(VENV)/installed-check: $(VENV)/installed-test
	touch $@

$(VENV)/installed-audit: configs/locks/audit.txt | $(VENV)/installed-test
	$(PIP) install --no-compile --require-hashes -r configs/locks/audit.txt
	touch $@
