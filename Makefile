# `make help` lists what there is. Every target does its own set-up.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test verify fmt lint types imports crds crds-check unit coverage images test-images clean

PYTHON ?= python3
VENV := .venv/bin
# One thread per array operation: two cores are shared by everything here.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
CODE := operator local_cluster inference_image tests benchmarks scripts

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: ## Make both environments (.venv, .venv-serving) and the control plane; quick when they are there
	@$(PYTHON) scripts/setup.py
	@$(VENV)/farthing local build

demo: setup ## Try Farthing: a real control plane, two services, real requests, a bill
	@$(VENV)/python -m benchmarks.demo

test: setup ## Every test, against a real API server and real servers
	@$(VENV)/python -m pytest

verify: setup lint types imports crds-check test ## What CI runs: static checks, then every test

fmt: ## Format the code
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/ruff format $(CODE)
	@$(VENV)/ruff check --fix $(CODE)

lint: ## Formatting and lint
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/ruff format --check $(CODE)
	@$(VENV)/ruff check $(CODE)

types: ## Strict types
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/mypy

imports: ## Import contracts: the core is pure, kopf lives in kube
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/lint-imports --no-logo

crds: ## Generate the CRDs from the types
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/python -m farthing.api.generate crds

crds-check: ## Fail when the CRDs differ from the types
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/python -m farthing.api.generate crds --check

unit: ## The tests of the core alone, in seconds
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/python -m pytest tests/core tests/scenarios

coverage: ## Branch coverage of the core
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/python -m pytest tests/core tests/scenarios --cov --cov-branch

images: ## Build the container images with whichever of docker, podman or buildah is there
	@$(PYTHON) scripts/images.py

test-images: ## Build the images and run them as real containers (root on Debian; IMAGES="operator emulated" for some)
	@$(PYTHON) scripts/setup.py --only development
	@$(VENV)/farthing local build
	@$(VENV)/python -m tests.images $(IMAGES)

clean: ## Stop the local cluster and remove the environments (caches outside the checkout stay)
	@if [ -x $(VENV)/farthing ]; then $(VENV)/farthing local down; fi
	@rm -rf .venv .venv-serving .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
