# Each target sets up .venv by itself on first use, and again where this folder was moved: a virtual
# environment knows its place by its full path.
PYTHON ?= python3
CORES ?=
INSTALLED := .venv/.installed
ifneq ($(shell cat $(INSTALLED) 2>/dev/null),$(CURDIR))
$(shell rm -f $(INSTALLED))
endif
export PATH := $(CURDIR)/.venv/bin:$(PATH)
STUDY := snnq study $(if $(CORES),--cores $(CORES))

.PHONY: study ablations paper simulated figures reference test test-gpu peers lab bench book

study: $(INSTALLED)
	$(STUDY) config/quick.yaml

ablations: $(INSTALLED)
	$(STUDY) config/quick.yaml --ablations

paper: $(INSTALLED)
	$(STUDY) config/paper.yaml

simulated: $(INSTALLED)
	$(STUDY) config/paper.yaml config/simulated.yaml

figures: $(INSTALLED)
	snnq figures
	snnq figures results/reference/desk figures/desk
	snnq figures results/reference/arithmetic figures/arithmetic $(addprefix ablation_arithmetic_,\
		all_components one_component_in_posit8 one_component_in_float8)
	python bench/faults.py

# For maintainers: takes this machine's finished study to results/reference/quick.
reference: $(INSTALLED)
	snnq reference results/quick

test: $(INSTALLED)
	python -m pytest $(PYTEST)

# Where there is a GPU: what is proven elsewhere without one, on it.
test-gpu: $(INSTALLED)
	python -m pytest -p no:xdist -o addopts="" tests/test_cuda.py

# The tests with every library and compiler that results are compared with; a missing one fails.
peers: $(INSTALLED)
	python -m pip install --quiet --no-deps -r requirements.peers.lock -r requirements.book.lock
	python -m pytest --peers required $(PYTEST)

# What needs real recordings or pictures (camera.py, simulation.py, simulated_to_real.py,
# real_nmnist.py), Triton of `make peers` (staircase_passes.py) or a GPU (gpu.py) is started by hand.
# Tables go to results/bench; those that the README states are in results/reference/bench.
bench: $(INSTALLED)
	snnq simulate data/digits
	python bench/frames.py
	python bench/batches.py
	python bench/quantizer.py
	python bench/masked.py
	python bench/fused.py
	python bench/layout.py
	python bench/step.py
	python bench/step.py --channels 16
	python bench/loop.py
	python bench/loop.py --channels 16
	python bench/loop.py --channels 8
	python bench/loop.py --channels 4
	python bench/kills.py
	python bench/restarts.py
	python bench/starts.py
	python bench/packing.py
	python bench/c_inference.py

lab: $(INSTALLED)
	jupyter lab --LabApp.default_url=/lab/tree/notebooks/1_quantizer.ipynb

# A site from the executed notebooks, the tables and the docstrings. What was built before is built on.
book: $(INSTALLED)
	python -m pip install --quiet --no-deps -r requirements.book.lock
	python -m sphinx --quiet -W --keep-going -d book/_build/doctrees book book/_build/html
	@echo 'The book is there: open $(CURDIR)/book/_build/html/index.html'

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "snnq needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear .venv
	python -m pip install --progress-bar on -r requirements.lock
	python -m pip install --no-deps --no-build-isolation --editable .
	cp -r config/jupyter/jupyter_server_config.json config/jupyter/labconfig .venv/etc/jupyter
	printf %s '$(CURDIR)' > $@
