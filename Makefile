# Everything from a clean clone, with nothing but Python 3.11 or newer, make and git. `make help` lists it.

PYTHON ?= python3
# uv is used where it is installed, and fetched into the clone where it is not.
UV := $(or $(shell command -v uv 2>/dev/null),./.uv/bin/uv)
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.uv/bin:$(PATH)

.PHONY: help demo test quick lint docs format bench soak fuzz kills constraints clean
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: $(if $(wildcard .venv/.ready),.venv/.ready,.venv/.demo)  ## index the standard library's documentation, and ask it questions
	.venv/bin/twofold demo

test: lint  ## what CI runs: lint, types, the documentation, every test with coverage, the built wheel
	$(SITE)
	.venv/bin/coverage erase
	@echo 'two runs side by side; what the first one says is printed after the second'
	@.venv/bin/coverage run -m pytest $(FIRST) >build/first.txt 2>&1 & first=$$!; \
	trap "kill $$first" INT TERM; \
	.venv/bin/coverage run -m pytest $(FIRST:%=--ignore=%); rest=$$?; \
	wait $$first; code=$$?; cat build/first.txt; exit $$((code || rest))
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

# About half of the tests by their time; the second run takes everything else.
FIRST = $(addprefix tests/,benchmarks cli contract core demo docs hosted local packaging stores)

quick: .venv/.ready  ## ruff, and the tests that need no server, no real model and no long wait: under a minute
	.venv/bin/ruff check
	.venv/bin/pytest -q -m "not slow and not soak" $(QUICK)

QUICK = tests/core tests/stores tests/docs/test_commands.py tests/hosted/test_wires.py tests/hosted/test_hosted_estimate.py \
	tests/cli/test_config.py tests/cli/test_options.py tests/jobs/test_corpus.py tests/jobs/test_index.py

lint: .venv/.ready  ## ruff, codespell, mypy in strict mode, and a second type checker on the public types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/codespell
	.venv/bin/mypy
	.venv/bin/basedpyright

SITE = .venv/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs build/docs

docs: .venv/.ready  ## write what is generated, and build the documentation in build/docs; a broken link fails
	.venv/bin/python docs/commands.py
	.venv/bin/python docs/provider_table.py
	$(SITE)

format: .venv/.ready  ## let ruff rewrite what it can
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: .venv/.ready  ## measure this machine, side by side with peers
	@for file in benchmarks/*.py; do echo "== $$file"; .venv/bin/python $$file || exit; done

soak: .venv/.ready  ## the hosted client against a faulty server: nine minutes at a time, until all is done
	SOAK_DONE=.venv/.soak SOAK_SECONDS=540 .venv/bin/pytest -q -m soak tests/hosted
	@echo "$$(sort -u .venv/.soak | wc -l) of 100 pieces are done; remove .venv/.soak to begin anew"

fuzz: .venv/.ready  ## 100,000 bodies that the server's published schema lets in, or nearly
	FUZZ_EXAMPLES=25000 .venv/bin/pytest -q tests/server/test_server_openapi.py

kills: .venv/.ready  ## more runs of `twofold index` and `migrate`, killed at random moments
	.venv/bin/pytest -q -m soak tests/jobs

constraints: | $(UV)  ## refresh the pins of the developers' environment, and of the benchmark's peers
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--group test --group lint --group docs --group bench --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make constraints" --output-file constraints.txt pyproject.toml
	@for peer in torch openvino onnxruntime container; do \
		$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints" \
			--output-file benchmarks/peers/$$peer.txt benchmarks/peers/$$peer.in || exit; done

clean:  ## remove what these commands made, the environment included
	rm -rf .uv .venv .venv-bench build dist demo-store .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# The environment. A stamp says what is installed; it is remade when the pins or the dependencies change.

# torch's CPU build is far smaller than the one for NVIDIA GPUs. uv knows the index that has it: where that does not
# answer within seconds, or there is a GPU, the ordinary build is taken.
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

# Into a folder of its own, which a Python that its system manages allows too; through a venv where pip is missing.
./.uv/bin/uv:
	@$(PYTHON) -m pip install --quiet --target .uv uv 2>/dev/null \
		|| { $(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv; } \
		|| { echo "uv can not be fetched: install it, or give $(PYTHON) its pip or venv module" >&2; exit 1; }
