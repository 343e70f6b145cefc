# Countersign. `make` or `make help` lists the targets; every target sets up what it needs.
.DEFAULT_GOAL := help
VENV := .venv
STAMP := $(VENV)/.synced
UV := $(VENV)/bin/uv
PY := $(VENV)/bin/python

.PHONY: help setup up demo bench lock test lint format docs template scan mutate build clean

help:  ## List the targets
	@[ -t 1 ] && bold='\033[1m' plain='\033[0m'; \
	awk -v bold="$$bold" -v plain="$$plain" -F':.*## ' \
	  '/^[a-z-]+:.*## /{printf "  " bold "%-10s" plain " %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Install uv, Python 3.13 where it is missing, and everything in requirements.lock, into .venv

$(STAMP): requirements.lock pyproject.toml .python-version scripts/setup
	@scripts/setup
	@touch $@

demo: $(STAMP)  ## Show one case from webhook to delivered reply; ANSWER=approve|edit|respond|reject decides unasked
	@$(VENV)/bin/countersign demo $(ARGS)

up: $(STAMP)  ## Run Countersign on this machine until Ctrl-C (ARGS="--port 0 --knowledge DIR ...")
	@$(VENV)/bin/countersign up $(ARGS)

bench: $(STAMP)  ## Measure speed, AWS calls, transitions, imports and memory on the offline stack
	@$(VENV)/bin/countersign bench $(ARGS)

lock: $(STAMP)  ## Resolve pyproject.toml into requirements.lock, and from that the layers' requirements
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --group dev pyproject.toml -o requirements.lock -q
	scripts/layer-requirements
	echo checkov | $(UV) pip compile --universal --generate-hashes --no-emit-index-url --no-annotate - -o requirements-scan.lock -q

test: $(STAMP)  ## Run every test: unit, workflow, browser; ARGS chooses, such as ARGS=tests/unit
	$(PY) -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(STAMP)  ## Check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(STAMP)  ## Rewrite the code in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

docs: $(STAMP)  ## Write what documents have from the code: picture, tables, figures
	scripts/draw-workflow && scripts/write-tables && scripts/write-figures && scripts/write-openapi

template: $(STAMP)  ## Check template.yaml with SAM and cfn-lint, offline
	SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam validate --lint --region us-east-1
	$(VENV)/bin/cfn-lint template.yaml

scan: $(STAMP)  ## Check template.yaml with checkov, which has an environment of its own; .checkov.yaml explains what is skipped
	@[ -x $(VENV)/scan/bin/checkov ] || $(UV) venv --quiet --clear --python $(PY) $(VENV)/scan
	@$(UV) pip sync --quiet --require-hashes --python $(VENV)/scan/bin/python requirements-scan.lock
	$(VENV)/scan/bin/checkov --config-file .checkov.yaml

mutate: $(STAMP)  ## Change signatures, outbound and claims a little, over and over, and count what tests notice (minutes)
	scripts/mutate $(ARGS)

build: $(STAMP)  ## Build functions and layers for Lambda, without Docker, into .aws-sam/build
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" SAM_CLI_TELEMETRY=0 $(VENV)/bin/sam build --cached --parallel
	scripts/package-sizes

clean:  ## Remove what setup, builds and runs left behind
	rm -rf $(VENV) .python .local .aws-sam .pytest_cache .ruff_cache .mypy_cache
