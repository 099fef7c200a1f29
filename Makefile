# make demo   recomposite the demo clip: installs the base package in .venv, prints where the result is and how fast it went
# make test   every check that a change has to pass: installs the train, data, rtx, webcam, studio, int8 and dev extras too
# make docs   docs/commands.md from the code, docs/pictures/ from the demo clip
# Needs Python >= 3.11 (choose one with PYTHON=...), make and a package index.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
DEMO := apps/demo
DEMO_OUT := out/demo.mp4

# An install that was cut off leaves an environment that pip takes for whole. So .whole is there only while nothing is being
# installed, and an environment without it is made anew.
define install
	@test -n "$(PYTHON)" || { echo "VMFM needs Python 3.11 or newer with its venv module; name one with PYTHON=..." >&2; exit 1; }
	@test -e $(VENV)/.whole || $(PYTHON) -m venv --clear $(VENV)
	@rm -f $(VENV)/.whole
	$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --editable '.$(EXTRAS)'
	@touch $(VENV)/.whole $@
endef

.PHONY: demo test docs clean

demo: $(VENV)/.base
	@mkdir -p $(dir $(DEMO_OUT)) && rm -f $(DEMO_OUT)
	$(BIN)/vmfm recomposite $(DEMO)/woman_with_mug.mp4 --background $(DEMO)/beach.jpg -o $(DEMO_OUT)

test: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest

docs: $(VENV)/.dev
	$(BIN)/python docs/commands.py
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) out build dist *.egg-info

$(VENV)/.base: pyproject.toml
	$(install)

$(VENV)/.dev: EXTRAS := [train,data,rtx,webcam,studio,int8,dev]
$(VENV)/.dev: pyproject.toml
	$(install)
	@touch $(VENV)/.base
