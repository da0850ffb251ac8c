# Two commands matter: `make demo` runs one whole scan, `make test` passes the tests. Each sets everything up by itself.
# Needed: git, make and Python >= 3.11 with venv. `uv` is used when it is on the path, never required.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
OUT ?= out/demo

.PHONY: demo test setup setup-dev setup-peers lint types contracts bench campaign train schema lock clean

demo: setup
	$(BIN)/diastole demo --out $(OUT) $(DEMO)

# Two workers: one for what runs in real time, one for what computes (tests/conftest.py).
WORKERS ?= 2
test: setup-dev lint types contracts
	$(BIN)/python -m pytest --ignore=tests/benchmarks -n $(WORKERS) --dist loadscope $(TEST)

setup: .venv/.demo-ready .venv/.kernels-ready
setup-dev: .venv/.dev-ready .venv/.kernels-ready

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Diastole needs Python 3.11, 3.12 or 3.13 on the path; install one (Debian: apt-get install python3 python3-venv) and run make again."; exit 2; }
	@if command -v uv >/dev/null 2>&1; then uv venv --quiet --python $(PYTHON) .venv; \
	else $(PYTHON) -m venv .venv || { echo "Python's venv module is missing; install it (Debian: apt-get install python3-venv) and run make again."; rm -rf .venv; exit 2; }; fi

.venv/.demo-ready: requirements.lock pyproject.toml | .venv/bin/python
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
	@touch $@

.venv/.dev-ready: requirements-dev.lock .venv/.demo-ready
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock; fi
	@touch $@

# The detector's kernels are compiled here and not while somebody waits. Numba does not see that a function which
# another one calls has changed: so all are compiled anew when any source of the pure rooms has.
.venv/.kernels-ready: $(wildcard gating/*.py) gating/numbers/r_peak.toml | .venv/.demo-ready
	$(BIN)/python -m gating.io.kernels
	@touch $@

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/interrogate --quiet tests gating scanner_bridge scoring simulators training diastole.py

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

# What `make bench` compares the reconstruction with, 2.6 GB; without it that one table is skipped.
setup-peers: setup-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-peers.lock

bench: setup-dev
	$(BIN)/python -m pytest tests/benchmarks --timeout=0 -s $(BENCH)

campaign: setup-dev
	$(BIN)/python -m pytest tests -m campaign --timeout=0 -s $(CAMPAIGN)

# Trains the detector's judge anew on DATA (mitdb and nstdb of PhysioNet); half an hour on two cores. The
# libraries are held to AVX2, for with AVX-512 they sum otherwise, and the rounds make much of a last digit.
ONE_ARITHMETIC := OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
DATA ?= ../shared/data/ecg
train: setup-dev
	$(ONE_ARITHMETIC) $(BIN)/python -m training $(DATA) $(TRAIN)

schema: setup-dev
	$(BIN)/python -m gating.io.schemas

DEV_EXTRAS := $(foreach one,embedded simulate records peers plots cluster parquet dev,--extra $(one))
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra embedded --extra simulate --extra records requirements.in pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(DEV_EXTRAS) -c requirements.lock requirements.in pyproject.toml -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra reconstruction-peers -c requirements-dev.lock pyproject.toml -o requirements-peers.lock

clean:
	rm -rf .venv out .mypy_cache .ruff_cache .hypothesis
