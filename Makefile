# The commands of the README, of CI and of every day. Each sets up .venv itself, once for every change of
# the locks; nothing needs to be installed beforehand but make and Python 3.11 or later.

SHELL := /bin/sh
BIN := .venv/bin
LOCKS := requirements-build.lock requirements.lock
STAMP := .venv/.set-up-$(shell cat $(LOCKS) pyproject.toml .ci/setup | cksum | tr ' ' -)

# Tests start processes by the dozen: bytecode is kept, also where the environment says not to (containers).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test unit test-outages test-chaos test-redirect test-soak test-compose mutate lint format bench dist audit lock upgrade clean distclean
.DEFAULT_GOAL := help
.PHONY: help

help:
	@echo 'make demo                  Grayplane, a real Envoy and sample services on this machine'
	@echo 'make demo NACOS=host:port  the same, with rules and instances in your Nacos'
	@echo 'make test                  the tests, against a real Envoy and a real Nacos; other targets have the rest'
	@echo 'make test-outages          every outage of Nacos, with traffic through a real Envoy; some minutes'
	@echo 'make test-chaos            the machine misbehaves: kills, full disk, no memory, clock jumps; some minutes'
	@echo 'make test-redirect         transparent interception by iptables, as root on Linux'
	@echo 'make test-soak             a thousand weight changes under load, with gRPC clients; two minutes'
	@echo 'make test-compose          the tests of the compose demo; they need Docker'
	@echo 'make unit                  the quick unit tests'
	@echo 'make mutate                how many small changes of the code the unit tests find'
	@echo 'make lint | format         check | mend style, types and the import contract'
	@echo 'make bench                 the benchmarks'
	@echo 'make dist                  wheel, source distribution, SBOM and licences, in dist/'
	@echo 'make audit                 known vulnerabilities of the locked dependencies'
	@echo 'make lock | upgrade        lock the dependencies of pyproject.toml | and take their newest versions'
	@echo 'make clean | distclean     remove what was generated | and what was installed'

# DEMO passes flags on: make demo DEMO='--edge-port 10001' (see grayplane demo --help).
demo: $(STAMP)
	@exec $(BIN)/grayplane demo $(if $(NACOS),--nacos $(NACOS)) $(DEMO)

# TEST passes arguments on: make test TEST='tests/unit -x'. WORKERS are processes that run tests side by side.
WORKERS := 2
test: $(STAMP)
	@$(BIN)/python -m tests.harness.nacos --install
	@$(BIN)/pytest -m 'not compose and not outage and not chaos and not redirect and not soak' -n $(WORKERS) --dist worksteal $(TEST)
	@echo 'Not run, since they need Docker: the tests of the compose demo. Run them by: make test-compose'
	@echo 'Not run, since it needs root on Linux: transparent interception. Run it by: make test-redirect'

test-compose: $(STAMP)
	@docker info >/dev/null 2>&1 || { echo 'No Docker engine answers `docker info`; start one, or run the other tests: make test' >&2; exit 1; }
	@$(BIN)/python -m tests.harness.nacos --install
	@$(BIN)/pytest -m compose tests/compose

# Each outage of Nacos, with traffic: some minutes, most of them spent waiting, so more side by side than there are cores.
test-outages: $(STAMP)
	@$(BIN)/python -m tests.harness.nacos --install
	@$(BIN)/pytest -m outage -n 3 --dist worksteal tests/nacos

# Load for minutes, side by side.
test-soak: $(STAMP)
	@$(BIN)/pytest -m soak -n 2 --dist worksteal tests/clients

# The machine misbehaves, with traffic; prints what failed, what was lost and how long recovery took. Needs libfaketime.
test-chaos: $(STAMP)
	@$(BIN)/pytest -m chaos -n 2 --dist worksteal tests/chaos

# In a network namespace that the test makes, and takes away.
test-redirect: $(STAMP)
	@$(BIN)/pytest -m redirect tests/redirect

# UNIT passes arguments on, and runs in one process: make unit UNIT='tests/unit/rules -x'.
unit: $(STAMP)
	@$(BIN)/pytest -m 'not slow' $(or $(UNIT),-n $(WORKERS) --dist worksteal tests/unit)

# MUTATE passes arguments on: make mutate MUTATE='--sample 20 xds.views*'. Minutes for a sample, hours for all.
mutate: $(STAMP)
	@$(BIN)/python -m tests.harness.mutation $(MUTATE)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# BENCH passes arguments on: make bench BENCH='edit_to_bytes --quick'.
bench: $(STAMP)
	@$(BIN)/python -m bench $(BENCH)

# The same commit gives the same bytes: no time of the build is in them.
dist: $(STAMP)
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m hatchling build -d dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
		-o dist/grayplane.cdx.json requirements-runtime.lock
	$(BIN)/pip-licenses --from mixed --format markdown --with-urls --output-file dist/licenses.md \
		--packages $$(sed -n 's/^\([a-zA-Z0-9._-]*\)==.*/\1/p' requirements-runtime.lock)

# Exit code 1 for a vulnerability; where the database of vulnerabilities cannot be reached, it says so.
audit: $(STAMP)
	@.ci/audit requirements-runtime.lock

# Needs uv alone: what is locked may well not be what pyproject.toml asks for by now.
lock upgrade: $(BIN)/uv
	$(BIN)/uv pip compile $(RESOLVE) --group build -o requirements-build.lock
	$(BIN)/uv pip compile $(RESOLVE) --extra dev --constraint requirements-build.lock pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(RESOLVE) --extra oidc --extra otel --constraint requirements.lock pyproject.toml -o requirements-runtime.lock

RESOLVE := --quiet $(if $(filter upgrade,$(MAKECMDGOALS)),--upgrade) --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'

clean:
	rm -rf .demo .hypothesis mutants .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

$(BIN)/uv:
	@.ci/setup $(LOCKS)

$(STAMP):
	@.ci/setup $(LOCKS)
	@rm -f .venv/.set-up-* && touch $@
