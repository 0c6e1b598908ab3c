# Each target sets up .venv by itself on first use.
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
INSTALLED := .venv/.installed
# One study at a time in a checkout; the lock goes with the process, however that ends.
LOCK := $(if $(shell command -v flock),flock .study.lock)
# Large tensors keep their memory between uses instead of giving it back to the system: fewer page
# faults, and training steps that are a tenth faster.
export MALLOC_MMAP_THRESHOLD_ := 4294967296
export MALLOC_TRIM_THRESHOLD_ := 4294967296

.PHONY: study test lab clean

study: $(INSTALLED)
	$(LOCK) $(BIN)/snakemake --cores $(CORES) --configfile config/quick.yaml --nolock --rerun-incomplete --keep-going

test: $(INSTALLED)
	$(BIN)/python -m pytest

lab: $(INSTALLED)
	$(BIN)/jupyter lab notebooks

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "snnq needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar on -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .snakemake
