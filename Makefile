# Every target sets itself up: a bare machine with Python 3.11 is enough.
PYTHON ?= python3
# Compiled modules are kept: the tests start the server some hundred times.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint conformance bench agreement mutants generate clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "setuptools>=77" wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)  ## the backend, simulated chargers and a simulated partner, live in the terminal
	$(BIN)/cms demo

test: $(READY)  ## everything: unit, contract, flow, conformance, reliability; SQLite and PostgreSQL
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not alone" tests && first=0 || first=$$?; \
	$(BIN)/python -m pytest -m alone tests/reliability && exit $$first

lint: $(READY)  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(READY)  ## which statements of OCPI are held: totals, conformance.json, docs/ocpi-conformance.md
	$(BIN)/python -m pytest -p tests.conformance.report tests/conformance

bench: $(READY)  ## every figure beside its target, as ratios to a bare reference in the same run
	$(BIN)/python -m benchmarks

agreement: $(READY)  ## shown = billed: 10,000 seeded sessions, recomputed by the partner's own code
	$(BIN)/python -m benchmarks.agreement

mutants: $(READY)  ## shows that each reliability scenario fails on its mutant
	$(BIN)/python -m tests.reliability.mutants

generate: $(READY)  ## writes the OCPP wire types anew from the JSON schemas of the ocpp package
	$(BIN)/python -m ocpp_gateway.generate

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
