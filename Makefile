# `make` alone lists what can be done. Only Python 3.11 to 3.13, git and make are needed; everything
# else goes into .venv on first use. On Windows, run make in Git Bash.
.DEFAULT_GOAL := help
.PHONY: help book pdf test fast lint lab browser torch numbers portable faults facts links lock clean

BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
ENVIRONMENT ?= all
# Outputs were stored on Linux on x86-64. Elsewhere other libraries compute, so only there another
# digit is excused; each cell must run and its asserts must hold.
NBVAL ?= $(if $(filter Linux-x86_64,$(subst $() ,-,$(shell uname -sm))),--nbval,--nbval-lax)
WORKERS ?= 2
HOST ?= 127.0.0.1
PORT ?= 8888
COMMA := ,
TORCH ?= ==2.13.0
# On Linux only this label keeps pip from the build with several gigabytes of GPU libraries, which
# does not bear TensorFlow in the same process.
CPU := $(if $(filter Linux,$(shell uname -s)),+cpu)

# A reader's own settings for these tools must not change a result, and HOME may be read-only.
STATE := $(CURDIR)/.venv/state
export IPYTHONDIR := $(STATE)/ipython
export JUPYTER_CONFIG_DIR := $(STATE)/jupyter/config
export JUPYTER_DATA_DIR := $(STATE)/jupyter/data
export JUPYTER_RUNTIME_DIR := $(STATE)/jupyter/runtime
export KERAS_HOME := $(STATE)/keras
export MPLCONFIGDIR := $(STATE)/matplotlib
export PYTHONUTF8 := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 0
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS ?= 1
unexport PYTHONHOME PYTHONPATH

# Try each candidate for real, the whole PATH through: a version manager's shim may exist and not run.
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
define install
@try() { if "$$1" -c '$(USABLE)' >/dev/null 2>&1; then exec "$$1" requirements/install.py $(1) $$2; fi; }; \
try "$(PYTHON)" --this-python; \
$(if $(PYTHON),echo "$(PYTHON) is no usable Python 3.11$(COMMA) 3.12 or 3.13." >&2; exit 1;) \
IFS=:; \
for name in python3.12 python3.11 python3.13 python3 python; do \
	for folder in $$PATH; do try "$$folder/$$name"; done; \
done; \
echo 'No usable Python 3.11, 3.12 or 3.13 was found. Install one (on Debian and Ubuntu python3-venv' >&2; \
echo 'as well), or name it: make $@ PYTHON=/path/to/python3.12' >&2; \
exit 1
endef

help:  ## list what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

book:  ## build the site from the stored outputs; a warning is an error
	$(call install,site)
	@echo "Building the pages …"
	@$(BIN)/jupyter-book build . --all -q -W --keep-going -n
	@echo
	@echo 'The site is in _build/html. Open _build/html/index.html in a browser, or serve it:'
	@echo '  $(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000'
	@echo 'and open http://127.0.0.1:8000/'

pdf: book  ## print the whole site as one PDF, _build/course.pdf (needs the browser)
	$(call install,$(ENVIRONMENT))
	$(BIN)/python -m tools.pdf

test:  ## run every notebook and compare its outputs, then test package, pages and rules
	$(call install,$(ENVIRONMENT))
	@$(BIN)/python -m tests.site.browser
	@$(BIN)/python -c 'import importlib.util as i; i.find_spec("torch") or print( \
		"No PyTorch was found, so what needs it is skipped. `make torch` installs it.")'
	$(BIN)/python -m pytest $(NBVAL) --nbval-current-env --nbval-cell-timeout=300 \
		--doctest-modules -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 10 $(TESTS)

browser:  ## install a browser for the tests that open pages, where none is found
	$(call install,$(ENVIRONMENT))
	$(BIN)/python -m tests.site.browser --install

torch:  ## install PyTorch (the build for the CPU where there is one) and Transformers
	$(call install,all)
	$(BIN)/python -m uv pip install --quiet --no-config --python $(BIN)/python --torch-backend cpu 'torch$(TORCH)' \
		|| $(BIN)/python -m pip install --quiet 'torch$(TORCH)$(and $(TORCH),$(CPU))'
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes \
		-r requirements/torch.txt

fast:  ## test the package without TensorFlow, in seconds
	$(call install,all)
	$(BIN)/python -m pytest -q -m "not tensorflow and not site and not slow" tests/package \
		-p no:nbval -n $(WORKERS) --dist loadfile

lint:  ## check style and types
	$(call install,$(ENVIRONMENT))
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pydoclint --quiet companion

lab:  ## open the notebooks in JupyterLab on this machine (PORT=8888)
	$(call install,all)
	$(BIN)/python -m jupyterlab book --ip=$(HOST) --port=$(PORT) --no-browser \
		$(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root) --LabApp.extension_manager=readonly \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

numbers:  ## run the notebooks again and refresh outputs, prose numbers and pictures (PAGES=...)
	$(call install,all)
	$(BIN)/python -m tools.refresh --workers $(WORKERS) $(PAGES)

portable:  ## run the pages as other machines would (PAGES=... PROFILES="old one-thread onednn native")
	$(call install,all)
	$(BIN)/python -m tools.portable --workers $(WORKERS) $(PAGES) $(addprefix --profile ,$(PROFILES))

faults:  ## plant faults in package and pages and report how many the tests catch
	$(call install,all)
	$(BIN)/python -m tools.faults

links:  ## ask every outside link whether it still answers (needs the network)
	$(call install,site)
	@$(BIN)/jupyter-book build . --all -q --builder linkcheck --path-output _build/linkcheck

facts:  ## name the facts that are due to be looked up again; fail if there are any
	$(call install,site)
	@$(BIN)/python -c 'import datetime, companion; \
		late = [fact.key for fact in companion.facts.overdue(datetime.date.today())]; \
		raise SystemExit(f"due for review: {late}" if late else print("no fact is due"))'

COMPILE = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --custom-compile-command 'make lock' $(UPGRADE)
lock:  ## write exact versions for the ranges in pyproject.toml (UPGRADE=--upgrade for newer ones)
	$(call install,all)
	$(COMPILE) pyproject.toml --all-extras --group packaged -o requirements/all.txt
	$(COMPILE) pyproject.toml --extra book -c requirements/all.txt -o requirements/site.txt
	$(COMPILE) pyproject.toml --extra lab --extra pages --group packaged -c requirements/all.txt \
		-o requirements/run.txt
	$(COMPILE) --group packaged --no-deps -c requirements/all.txt -o companion/data/packaged.txt
	$(COMPILE) --group torch -c requirements/all.txt -o requirements/torch.txt
	$(COMPILE) --group tool -c requirements/all.txt -o requirements/tool.txt

clean:  ## remove what was built; the environment stays (delete .venv to make it anew)
	rm -rf _build build *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find benchmarks book companion requirements tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
