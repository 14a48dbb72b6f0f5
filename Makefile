# The two commands of the README set themselves up: nothing but Python >= 3.11 and make is needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# One more than there are processors: a test that waits for its clock, its broker or its browser leaves its own to another.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 1) + 1)
SIM := $(VENV)/.installed-sim
DEV := $(VENV)/.installed-dev
PEERS := $(VENV)/.installed-peers
KERNEL := $(VENV)/.compiled-kernel

.PHONY: help demo test kernel wheel bench quality chaos fuzz sbom scan mutants coverage lint types arrows pytest lock clean fhir browser pictures

help:
	@echo "make demo   the main job, end to end, on simulated devices   (ARGS=--headless for plain lines)"
	@echo "make test   lint, types, the house's arrows and the tests   (WORKERS=0: one after the other; ARGS=tests/agent for some)"
	@echo "make kernel the kernel, compiled ahead of time; demo and test do it by themselves   (docs/kernel.md)"
	@echo "make wheel  a wheel for boxes of this machine's kind, in dist/, and proof that it judges"
	@echo "make coverage  every branch of what judges and of the drivers"
	@echo "make chaos  kills, power cuts and failing disks by the hundred; nothing may be lost   (KILLS=50 for fewer)"
	@echo "make fuzz   a million spoilt frames, messages, orders and files into everything that reads them   (ARGS='--frames 20000 heart_rate.2A37' for some)"
	@echo "make mutants  the alerting kernel with one comparison, threshold or sign changed: each must be noticed   (docs/mutation.md)"
	@echo "make sbom   what a box is made of, as CycloneDX; make scan asks whether any of it is known to be vulnerable"
	@echo "make browser  every page of the desk in every way of reading it, and hostile text in every field"
	@echo "make bench  the figures, one JSON line each"
	@echo "make quality  what the alerts see and what they cost, as tables   (ARGS=heart_failure for one)"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Veilleur needs Python 3.11 or later: install it, or name it with 'make PYTHON=python3.12 $(MAKECMDGOALS)'."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: 'sudo apt install python3-venv', then again."; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(SIM): requirements/sim.txt requirements/desk.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the box, the simulated world and the desk into $(VENV) (once; a few minutes on a Raspberry Pi)..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/sim.txt -r requirements/desk.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(SIM)
	@echo "Installing the development tools into $(VENV) (once)..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(PEERS): requirements/peers.txt $(DEV)
	@echo "Installing what the engine is measured against into $(VENV) (once)..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peers.txt
	@touch $@

# Without a compiler all goes on: the kernel is then compiled by whoever needs it, at its first start.
$(KERNEL): kernel_build.py alerting/kernel_source.py alerting/layout.py $(wildcard alerting/kernel/*.py) $(SIM)
	@echo "Compiling the kernel ahead of time (once, and when its source has changed; half a minute)..."
	@if $(BIN)/python kernel_build.py; then touch $@; else echo "Going on without: it is compiled at the first start instead (docs/kernel.md)."; fi

kernel: $(KERNEL)

demo: $(SIM) $(KERNEL)
	@$(BIN)/veilleur-sim demo $(ARGS)

test: lint types arrows pytest

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

arrows: $(DEV)
	$(BIN)/lint-imports

# HL7's schema of FHIR R4 and an implementation of it, by their lock file with hashes: what the desk says is held to them.
FHIR := build/fhir/node_modules/.package-lock.json
fhir: $(FHIR)

$(FHIR): requirements/fhir/package.json requirements/fhir/package-lock.json
	@echo "Installing what FHIR is validated with into build/fhir (once)..."
	@mkdir -p build/fhir && cp requirements/fhir/package*.json build/fhir/
	@cd build/fhir && npm ci --ignore-scripts --no-audit --no-fund --legacy-peer-deps --silent
	@touch $@

# A file's tests stay together, so that what they share is started once. Then the files whose
# clock runs ahead of the machine's and must not share it. Of some tests (ARGS), none may be of one kind (pytest says 5).
BESIDE := -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PERHAPS := $(if $(strip $(ARGS)),|| [ $$? -eq 5 ])
pytest: $(DEV) $(KERNEL) $(FHIR)
	$(BIN)/python -m pytest $(BESIDE) $(ARGS) -m "not alone" $(PERHAPS)
	$(BIN)/python -m pytest $(or $(ARGS),$$(grep -rl --include='test_*.py' 'mark[.]alone' tests)) -m alone $(PERHAPS)

# Jitted lines are invisible to coverage, so the kernel runs as plain Python here.
coverage: $(DEV)
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -q -p no:randomly -o timeout=1800 tests/alerting tests/devices
	$(BIN)/coverage report --include="alerting/*,devices/drivers/*" --show-missing --fail-under=100

# The wheel is tried where nothing but the box's libraries and itself is installed.
wheel: $(SIM)
	@rm -rf build/wheel
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheel .
	@ls build/wheel/*-linux_*.whl >/dev/null 2>&1 || { echo "The kernel is not in $$(ls build/wheel): 'make kernel' says what is missing."; exit 1; }
	@$(BIN)/python -m venv build/wheel/venv
	@build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/box.txt
	@build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps build/wheel/*.whl
	@cd build/wheel && venv/bin/python -I -c 'import sys; from alerting import compiled, engine; print("Tried: its kernel is compiled", compiled.kind.value); sys.exit("numba" in sys.modules)'
	@cd build/wheel && venv/bin/veilleur backtest --protocol diabetes_cgm --readings ../../simulators/recordings/hall_2018_excerpt.csv.gz >/dev/null
	@mkdir -p dist && mv build/wheel/*.whl dist/ && ls dist/*.whl

bench: $(PEERS) $(KERNEL)
	$(BIN)/python -m benchmarks $(ARGS)

quality: $(PEERS)
	$(BIN)/python -m benchmarks.quality $(ARGS)

# The whole kernel compiled where nothing can be kept; every call that may fail, in every way; cuts of the power at
# every sync of longer lives; two hundred kills.
chaos: $(DEV) $(KERNEL)
	KERNEL_WHOLE=1 $(BIN)/python -m pytest -q -p no:randomly -o timeout=600 tests/alerting/test_kernel.py
	FAULTS_ALL=1 FAULTS_STEPS=48 FAULTS_SEEDS=6 $(BIN)/python -m pytest -q -p no:randomly -o timeout=3000 tests/faults
	KILLS=$${KILLS:-200} $(BIN)/python -m benchmarks kill_loop

# Every page of the desk in every way of reading it, and hostile text in every field of each; `make test` takes a few.
browser: $(DEV) $(KERNEL)
	BROWSER_ALL=1 $(BIN)/python -m pytest -q $(BESIDE) tests/coordination/desk/browser

# The pictures of docs/pictures, taken anew.
pictures: $(DEV) $(KERNEL)
	$(BIN)/python -m tests.coordination.desk.browser.pictures

fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz $(ARGS)

sbom: $(DEV)
	@mkdir -p build
	$(BIN)/python requirements/sbom.py -o build/veilleur.cdx.json

scan: | $(VENV)/bin/python
	@$(PYTHON) -m venv build/scan && build/scan/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@build/scan/bin/python requirements/scan.py $(ARGS)

mutants: $(DEV)
	$(BIN)/python -m tests.mutation $(ARGS)

# Needs uv. The files carry hashes and no index address.
LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --python-version 3.11
lock:
	$(LOCK) pyproject.toml requirements/build.in -o requirements/box.txt
	$(LOCK) pyproject.toml requirements/build.in --extra sim -c requirements/box.txt -o requirements/sim.txt
	$(LOCK) pyproject.toml requirements/build.in --extra analysis -c requirements/sim.txt -o requirements/analysis.txt
	$(LOCK) pyproject.toml requirements/build.in --extra desk -c requirements/sim.txt -o requirements/desk.txt
	$(LOCK) pyproject.toml requirements/build.in --extra sim --extra analysis --extra desk --extra dev -c requirements/sim.txt -c requirements/analysis.txt -c requirements/desk.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml requirements/build.in --extra sim --extra analysis --extra desk --extra dev --extra peers -c requirements/dev.txt -o requirements/peers.txt
	$(LOCK) requirements/peers_exchange.in -o requirements/peers_exchange.txt

clean:
	rm -f alerting/_kernel*.so
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
