# `make demo` and `make test` do everything on a fresh Debian 12 machine with Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTOS ?=
OUT ?= demo-output
CUTS ?= 20
MINUTES ?= 60
KILLS ?= 500

.PHONY: help setup setup-test demo test test-long check bench bench-plates gate-plates bench-bus bench-cloud bench-trust bench-view bench-box bench-diag crash powercut soak train clean

help:
	@echo "make setup         install the product into $(VENV)"
	@echo "make demo          the whole loop, simulated bus and camera: PHOTOS=folder shows your own pictures"
	@echo "make test          all tests except the long ones"
	@echo "make test-long     the tests that take longer: marked 'long'"
	@echo "make crash         pole and cloud are killed while they talk, KILLS=500 times: is a visit lost or doubled?"
	@echo "make powercut      a virtual box loses its power while it writes, CUTS=20 times: is all there that was committed?"
	@echo "make soak          MINUTES=60 of traffic with faults: is a visit lost, does anything leak?"
	@echo "make bench-diag    how long edged diag takes while all cameras are silent"
	@echo "make check         lint, types, import contracts"
	@echo "make bench         all benchmarks: bench-plates bench-bus bench-cloud bench-trust bench-view bench-box"
	@echo "make gate-plates   refuse changed models that read any validation set worse than the committed ones"
	@echo "make train         train the plate models anew, in .venv-train"
	@echo "make clean         remove what these commands made"

setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg pyproject.toml .ci/system-packages
	@sh .ci/system-packages run
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[edge,cloud]'
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[systemd]' >$(VENV)/systemd.log 2>&1 \
		|| echo "systemd-python was not built (see $(VENV)/systemd.log): the daemon runs without it, systemd won't see READY and WATCHDOG"
	@touch $@

setup-test: $(VENV)/.ready-test

$(VENV)/.ready-test: $(VENV)/.ready
	@sh .ci/system-packages test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[edge,cloud,dev]'
	@touch $@

demo: setup
	$(BIN)/python -m edged.demo --out $(OUT) $(if $(PHOTOS),--photos "$(PHOTOS)")

# Most tests wait for processes, ports and deadlines: four at once keep two cores busy. A file's tests share its servers.
PYTEST := $(BIN)/python -m pytest -n 4 --dist loadfile

test: setup-test check
	$(PYTEST)

test-long: setup-test
	$(PYTEST) -m long --timeout=7200

check: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg
	$(BIN)/python -m firmware_bridge.profile_schema config/sensors/profile.schema.json --check

crash: setup-test
	nice $(BIN)/python -m tests.reliability.crash --kills $(KILLS)

powercut: setup-test
	@sh .ci/system-packages powercut
	nice $(BIN)/python -m tests.reliability.powercut --cuts $(CUTS)

soak: setup-test
	$(BIN)/python -m tests.reliability.soak --minutes $(MINUTES)

bench-diag: setup-test
	$(BIN)/python -m tests.reliability.diag_time

bench: bench-plates bench-bus bench-cloud bench-trust bench-view bench-box

bench-plates: setup-test
	$(BIN)/python models/training/bench

gate-plates: setup-test
	$(BIN)/python models/training/bench/gate.py

bench-bus: setup-test
	$(BIN)/python -m firmware_bridge.bench

bench-cloud: setup-test
	$(BIN)/python -m cloud_endpoint.bench cloud

bench-trust: setup-test
	$(BIN)/python -m cloud_endpoint.bench trust --reader models/reader_rates.json

bench-box: setup-test
	$(BIN)/python -m edged.demo.bench_box

bench-view: setup-test
	$(BIN)/python -m edged.demo.bench_view

train:
	test -x .venv-train/bin/python || $(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet --disable-pip-version-check -r models/training/requirements.txt
	PYTHONPATH=. .venv-train/bin/python models/training/train.py --config models/training/config.toml

clean:
	rm -rf $(VENV) .venv-train $(OUT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
