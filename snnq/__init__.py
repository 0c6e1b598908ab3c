"""Low-bit weight quantization in spiking neural networks: the functions behind the notebooks."""

from snnq.ablation import ablation_table
from snnq.baselines import QUANTIZERS
from snnq.benchmarks import BENCHMARKS, source
from snnq.cost import cost_summary, costs, firing_rates, footprint, operations
from snnq.evaluation import evaluate, predict
from snnq.faults import accuracy_with_faults, evaluated_copy
from snnq.frames import load
from snnq.gather import read_gathered
from snnq.levels import LEVELS
from snnq.models import build_model
from snnq.notebook import notebook_settings
from snnq.packed import pack, unpack
from snnq.quantizer import SigmoidQuantizer, quantize, quantizers, set_temperature
from snnq.record import initial_network, read_history, read_record, trained_network
from snnq.recordings import Recordings
from snnq.run import Run
from snnq.speed import speed
from snnq.statistics import paired_difference, wilson
from snnq.table import read_runs, results_table
from snnq.temperature import temperature_at
from snnq.training import fit

__all__ = [
    "BENCHMARKS",
    "LEVELS",
    "QUANTIZERS",
    "Recordings",
    "Run",
    "SigmoidQuantizer",
    "ablation_table",
    "accuracy_with_faults",
    "build_model",
    "cost_summary",
    "costs",
    "evaluate",
    "evaluated_copy",
    "firing_rates",
    "fit",
    "footprint",
    "initial_network",
    "load",
    "notebook_settings",
    "operations",
    "pack",
    "paired_difference",
    "predict",
    "quantize",
    "quantizers",
    "read_gathered",
    "read_history",
    "read_record",
    "read_runs",
    "results_table",
    "set_temperature",
    "source",
    "speed",
    "temperature_at",
    "trained_network",
    "unpack",
    "wilson",
]
