# One virtual environment, two everyday commands: `make app` and `make test`.
SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 8501
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
export DQVIZ_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data),)
# The tests that may share the machine, and those that must have it to themselves.
TOGETHER := not soak and not fault and not browser
ALONE := (fault or browser) and not soak

.PHONY: help app test check lint demo bench search search-lowbit reproduce reproduce-lowbit latency-lowbit soak sanitize arm screenshots times venv dev

help:
	@echo 'make app          start the app and a worker at http://localhost:$(PORT) (PORT= changes it)'
	@echo 'make test         everything a change must pass: ruff, format, mypy, all tests'
	@echo 'make check        the same without the browser and fault tests'
	@echo 'make demo         train the demo study again (assets/demo)'
	@echo 'make bench        time kernels, inference and training'
	@echo 'make search       search settings on Cora and CiteSeer (dqviz/training/settings); goes on where it stopped'
	@echo 'make reproduce    train the published tables of Cora and CiteSeer again (docs/reproduction.md); goes on likewise'
	@echo 'make search-lowbit, make reproduce-lowbit   likewise for methods below 8 bits, PubMed as well (docs/lowbit.md)'
	@echo 'make latency-lowbit train and time them in profile integer, on a machine that does nothing else'
	@echo 'make soak         the long fault tests'
	@echo 'make sanitize     the C kernels with address and undefined-behaviour checks'
	@echo 'make arm          the kernels for Arm processors under emulation (needs gcc-aarch64-linux-gnu, qemu-user)'
	@echo 'make times        script time of every page on 300 finished runs'
	@echo 'make screenshots  draw every page, light and dark (assets/screenshots)'

# A copy of the installed list lies in the environment: pip runs only when its content has changed.
venv:
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@cmp -s requirements.txt $(VENV)/requirements.installed || { \
	  echo 'installing requirements.txt'; \
	  $(PIP) -r requirements.txt && cp requirements.txt $(VENV)/requirements.installed; }
	@$(MAKE) --no-print-directory build/native

# The optional C kernels. Without a compiler this says so and goes on: dqviz then runs its numba kernels.
build/native: setup.py $(wildcard dqviz/integer/kernels/c/* dqviz/quant/c/*)
	@mkdir -p build
	@echo 'building the native kernels'
	@$(PY) setup.py --quiet build_ext --inplace
	@touch build/native

dev: venv
	@cmp -s requirements-dev.txt $(VENV)/requirements-dev.installed || { \
	  echo 'installing requirements-dev.txt'; \
	  $(PIP) -r requirements-dev.txt && cp requirements-dev.txt $(VENV)/requirements-dev.installed; }

# The worker ignores Ctrl-C (it runs in the background of sh) and is stopped here; the trainings it started have
# sessions of their own, go on, and are found again by the next worker.
app: venv
	@$(PY) -m dqviz worker & worker=$$!; \
	trap 'kill $$worker 2>/dev/null' EXIT INT TERM; \
	$(PY) -m streamlit run app.py --server.port $(PORT)

lint: dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

test: lint
	@$(PY) -m pytest -q -n 2 --dist worksteal -m '$(TOGETHER)'
	@$(PY) -m pytest -q -m '$(ALONE)'

check: lint
	@$(PY) -m pytest -q -n 2 --dist worksteal -m '$(TOGETHER)'

demo: venv
	@$(PY) -m dqviz demo

bench: venv
	@$(PY) -m dqviz bench kernels
	@$(PY) -m dqviz bench inference
	@$(PY) -m dqviz bench training

# DATASETS='pubmed reddit-binary mnist' are the other tables (many hours: `dqviz reproduce --missing --keep` makes them
# in parts); TRIALS, FINALISTS and JOBS likewise. The second search makes no trials: it judges what QAT, nQAT and
# Degree-Quant found for each other in the first.
DATASETS ?= cora citeseer
TRIALS ?= 24
FINALISTS ?= 5
JOBS ?= 2
search: venv
	@for dataset in $(DATASETS); do for again in 1 2; do \
	  $(PY) -m dqviz search --dataset $$dataset --trials $(TRIALS) --finalists $(FINALISTS) --jobs $(JOBS) \
	    --out dqviz/training/settings || exit 1; \
	done; done

reproduce: venv
	@$(PY) -m dqviz reproduce --datasets "$$(echo $(DATASETS) | tr ' ' ,)"

# LOWBIT='cora' chooses others; TRIALS and JOBS as above.
LOWBIT ?= cora citeseer pubmed
search-lowbit: venv
	@for dataset in $(LOWBIT); do \
	  $(PY) -m dqviz search --preset lowbit-$$dataset --trials $(TRIALS) --jobs $(JOBS) --out dqviz/training/settings || exit 1; \
	done

reproduce-lowbit: venv
	@$(PY) -m dqviz reproduce --table lowbit --datasets "$$(echo $(LOWBIT) | tr ' ' ,)"

# On a machine that does nothing else; `make reproduce-lowbit` then writes what was timed into docs/lowbit.md.
latency-lowbit: venv
	@$(PY) -m dqviz measure --preset lowbit-latency

soak: dev
	@$(PY) -m pytest -q -m soak --timeout 7200

# The C kernels with address and undefined-behaviour checks under the contract tests, in a folder of their own.
sanitize: dev
	@DQVIZ_SANITIZE=1 $(PY) setup.py --quiet build_ext --build-lib build/sanitized --build-temp build/sanitized/temp
	@DQVIZ_NATIVE=build/sanitized/dqviz/integer/kernels DQVIZ_PASSES=build/sanitized/dqviz/quant \
	  LD_PRELOAD="$$($${CC:-cc} -print-file-name=libasan.so) $$($${CC:-cc} -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 $(PY) -m pytest -q -p no:cacheprovider \
	  tests/integer/test_integer_kernels.py tests/integer/test_integer_dense.py tests/integer/test_integer_attention.py tests/integer/test_integer_chains.py \
	  tests/quant/test_quant_passes.py

arm: dev
	@DQVIZ_REQUIRE_ARM=1 $(PY) -m pytest -q tests/integer/test_integer_arm.py

screenshots: dev
	@$(PY) -m tests.screenshots

times: dev
	@$(PY) -W ignore -m tests.page_times 2>/dev/null
