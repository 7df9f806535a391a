# Everything that users and developers of a checkout run. `make` or `make help` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
PY     := $(VENV)/bin/python
AXIA   := $(VENV)/bin/axia
# cpu or gpu: which build of vLLM `make setup` installs; once installed it stays.
ENGINE ?= $(if $(wildcard $(VENV)/.axia-gpu),gpu,cpu)

export BENTOML_DO_NOT_TRACK := True
export VLLM_NO_USAGE_STATS := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-models reader-model up test families test-unit check format proto lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.axia-$(ENGINE) ## Install what the suite needs (ENGINE=gpu for CUDA) into .venv

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "axia's lock files are for Python 3.11; run make with PYTHON=/path/to/python3.11"; exit 1; }
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
	$(PY) -m pip install --quiet --no-deps -r requirements/gpu.txt
	$(PY) -m pip install --quiet --no-deps --editable .
	touch $@

# What the engine's lock has stays as it is: the whole of dev.txt would replace the torch of a machine with a GPU.
$(VENV)/.axia-dev: $(VENV)/.axia-$(ENGINE) requirements/dev.txt scripts/dev_only.py
	$(PY) scripts/dev_only.py requirements/$(ENGINE).txt > $(VENV)/dev-only.txt
	$(PY) -m pip install --quiet --no-deps --require-hashes -r $(VENV)/dev-only.txt
	touch $@

# Not `npm ci`: it refuses a lock made where the index lacks buf's builds for other systems.
node_modules/.package-lock.json: package.json package-lock.json
	npm install --no-save --no-fund --no-audit --loglevel=error
	touch $@

demo: setup ## Start the suite, detect values in twelve scenes, print what came out, stop it
	@$(PY) -m demo

demo-models: setup ## Train the demo models again from their seeds (an hour or two; goes on where it stopped)
	$(PY) -m training.clip.train
	$(PY) -m training.vlm.train

reader-model: $(VENV)/.axia-dev ## Train the reader of answers again from its seed (up to two hours)
	$(PY) -m training.reading.train --out .axia/reader-model
	$(PY) -m training.reading.export --weights .axia/reader-model --out services/scoring/data/reader
	$(PY) -m training.reading.calibrate --model services/scoring/data/reader
	$(PY) -m training.reading.card

up: setup ## Start the suite and keep it running until Ctrl-C
	@$(AXIA) up

test: $(VENV)/.axia-dev node_modules/.package-lock.json ## Run all tests, those on a real vLLM among them
	$(PY) -m pytest

families: $(VENV)/.axia-dev ## Serve a checkpoint of every family of models and try each call (about 25 minutes)
	AXIA_TEST_FAMILIES=all $(PY) -m pytest tests/e2e/test_families.py

test-unit: $(VENV)/.axia-dev ## Run the fast tests only
	$(PY) -m pytest tests/unit

check: $(VENV)/.axia-dev node_modules/.package-lock.json ## Lint, types, import laws, contract
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	npx --no-install buf lint
	npx --no-install buf format --diff --exit-code
	scripts/proto.sh --check

format: $(VENV)/.axia-dev node_modules/.package-lock.json ## Format code and contract
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	npx --no-install buf format --write

proto: ## Generate axia/v1 from proto/, and its comments for the OpenAPI document
	scripts/proto.sh
	$(PY) -m scripts.contract_comments

lock: $(VENV)/.axia-dev ## Resolve requirements/*.txt again (add UPGRADE=1 for newer releases)
	scripts/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## Remove what the suite and the tools wrote; keeps .venv and what you indexed
	rm -rf .axia/demo .axia/logs .axia/bentoml .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
