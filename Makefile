# Each target sets up .venv by itself on first use.
PYTHON ?= python3
CORES ?= all
INSTALLED := .venv/.installed
# One study at a time in a checkout; the lock goes with the process, however that ends.
LOCK := $(if $(shell command -v flock),flock .study.lock)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

SNAKEMAKE := $(LOCK) snakemake --cores $(CORES) --nolock --rerun-incomplete --keep-going

.PHONY: study ablations paper simulated test lab bench

study: $(INSTALLED)
	$(SNAKEMAKE) --configfile config/quick.yaml

ablations: $(INSTALLED)
	$(SNAKEMAKE) --configfile config/quick.yaml --config train_ablations=yes

paper: PROFILE := config/paper.yaml
simulated: PROFILE := config/paper.yaml config/simulated.yaml
paper simulated: $(INSTALLED)
	snnq forecast $(PROFILE)
	$(SNAKEMAKE) --resources gpu=1 --configfile $(PROFILE)

test: $(INSTALLED)
	python -m pytest

# What needs real recordings (camera.py, simulated_to_real.py, real_nmnist.py, recipe.py) is started by
# hand.
bench: $(INSTALLED)
	test -d data/digits/NMNIST || snnq simulate data/digits
	python bench/frames.py
	python bench/quantizer.py
	python bench/step.py
	python bench/loop.py
	python bench/loop.py --channels 16
	python bench/kills.py
	python bench/restarts.py
	python bench/packing.py
	python bench/c_inference.py

lab: $(INSTALLED)
	jupyter lab notebooks

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "snnq needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	python -m pip install --progress-bar on -r requirements.lock
	python -m pip install --no-deps --no-build-isolation --editable .
	touch $@

