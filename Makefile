# Everything works from a clean clone with only Python 3.11 or newer, make and git. `make help` lists the commands.

PYTHON ?= python3
# Use the installed uv, or download it into the clone.
UV := $(or $(shell command -v uv 2>/dev/null),./.uv/bin/uv)
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.uv/bin:$(PATH)

.PHONY: help demo test quick coverage lint docs format bench soak fuzz kills constraints clean
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: $(if $(wildcard .venv/.ready),.venv/.ready,.venv/.demo)  ## index the documentation of Python's standard library and answer questions from it
	.venv/bin/twofold demo

test: .venv/.ready  ## what CI runs: linters, types, the documentation, all tests, the built wheel
	$(STYLE)
	@mkdir -p build
	@echo 'types and documentation are checked beside the tests; their output follows after them'
	@{ $(TYPES) && $(SITE) && echo 'types and documentation: no errors'; } >build/checks.txt 2>&1 & checks=$$!; \
	trap "kill $$checks" INT TERM; \
	.venv/bin/pytest $(PARALLEL); tests=$$?; \
	wait $$checks; code=$$?; cat build/checks.txt; exit $$((tests || code))

# One worker for each processor, up to four. A worker takes the next file when it has finished one.
PARALLEL = --numprocesses=logical --maxprocesses=4 --dist=loadfile

quick: .venv/.ready  ## ruff, and the tests that need no model, server or long wait: under 30 seconds
	.venv/bin/ruff check
	.venv/bin/pytest -q -m "not slow and not soak" $(QUICK)

QUICK = tests/core tests/stores tests/docs/test_commands.py tests/hosted/test_wires.py tests/hosted/test_hosted_estimate.py \
	tests/cli/test_config.py tests/cli/test_options.py tests/jobs/test_corpus.py tests/jobs/test_index.py

coverage: .venv/.ready  ## the tests with branch coverage, and its threshold
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest $(PARALLEL)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

lint: .venv/.ready  ## ruff, codespell, our word list, mypy in strict mode, and a second type checker on the public types
	$(STYLE)
	$(TYPES)

STYLE = .venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/codespell && .venv/bin/python docs/english.py
TYPES = .venv/bin/mypy && .venv/bin/basedpyright

SITE = .venv/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs build/docs

docs: .venv/.ready  ## write the generated pages and build the documentation in build/docs; a broken link is an error
	.venv/bin/python docs/commands.py
	.venv/bin/python docs/provider_table.py
	$(SITE)

format: .venv/.ready  ## let ruff fix and format the code
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: .venv/.ready  ## measure this machine, side by side with other libraries
	@for file in benchmarks/*.py; do echo "== $$file"; .venv/bin/python $$file || exit; done

SOAK_SECONDS = 540

soak: .venv/.ready  ## the hosted client against a faulty server, for nine minutes at a time; the next run continues
	.venv/bin/pytest -q --hypothesis-profile=soak tests/hosted/test_hosted_schedules.py::TestSchedules
	SOAK_DONE=.venv/.soak SOAK_SECONDS=$(SOAK_SECONDS) .venv/bin/pytest -q -m soak tests/hosted
	@echo "$$(sort -u .venv/.soak | wc -l) of 100 pieces are done; remove .venv/.soak to start again"

fuzz: .venv/.ready  ## 25,000 bodies for each route of the server, which its schema accepts, or nearly accepts
	FUZZ_EXAMPLES=25000 .venv/bin/pytest -q tests/server/test_server_openapi.py

kills: .venv/.ready  ## many runs of `twofold index` and `migrate` that are killed at random moments
	.venv/bin/pytest -q -m soak tests/jobs

constraints: | $(UV)  ## update the pins of the development environment and of the benchmarks' peers
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--group test --group lint --group docs --group bench --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make constraints" --output-file constraints.txt pyproject.toml
	@for peer in torch openvino onnxruntime container; do \
		$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints" \
			--output-file benchmarks/peers/$$peer.txt benchmarks/peers/$$peer.in || exit; done

clean:  ## remove everything that these commands created
	rm -rf .uv .venv .venv-bench build dist demo-store .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# The environment. A stamp file marks it as complete; it is rebuilt when the pins or the dependencies change.

# torch's CPU build is much smaller than the one for NVIDIA GPUs. uv knows the index that has it. If that index does not
# answer within seconds, or there is a GPU, the default build is installed.
TORCH = $$(nvidia-smi -L >/dev/null 2>&1 || { \
	UV_HTTP_TIMEOUT=5 UV_HTTP_CONNECT_TIMEOUT=5 UV_HTTP_RETRIES=0 $(UV) pip install --dry-run --no-deps \
		--python .venv --torch-backend=cpu --reinstall-package torch -c constraints.txt torch >/dev/null 2>&1 \
	&& echo --torch-backend=cpu; })
INSTALL = $(UV) pip install --quiet --python .venv -c constraints.txt $(TORCH)

.venv/.ready: pyproject.toml constraints.txt .venv/pyvenv.cfg
	@echo 'installing twofold[all] and its tests into .venv'
	@$(INSTALL) -e '.[all]' --group test --group lint --group docs --group bench
	@touch $@

.venv/.demo: pyproject.toml constraints.txt .venv/pyvenv.cfg
	@echo 'installing twofold[demo] into .venv'
	@$(INSTALL) -e '.[demo]'
	@touch $@

.venv/pyvenv.cfg: | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Twofold needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(UV) venv --quiet --clear --python $(PYTHON) .venv

# pip installs uv into a separate folder, which works with a Python that the system manages, or through a venv without pip.
./.uv/bin/uv:
	@$(PYTHON) -m pip install --quiet --target .uv uv 2>/dev/null \
		|| { $(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv; } \
		|| { echo "uv can not be fetched: install it, or give $(PYTHON) its pip or venv module" >&2; exit 1; }
