"""Low-bit weight quantization in spiking neural networks: the functions behind the notebooks."""

from snnq.baselines import QUANTIZERS
from snnq.benchmarks import BENCHMARKS, source
from snnq.cost import firing_rates, footprint
from snnq.evaluation import evaluate, predict
from snnq.frames import load
from snnq.levels import LEVELS
from snnq.models import build_model
from snnq.notebook import notebook_settings
from snnq.quantizer import SigmoidQuantizer, quantize, quantizers, set_temperature
from snnq.record import initial_network, read_history, read_record, trained_network
from snnq.recordings import Recordings
from snnq.run import Run
from snnq.table import read_histories, read_runs, results_table
from snnq.temperature import temperature_at
from snnq.training import fit

__all__ = [
    "BENCHMARKS",
    "LEVELS",
    "QUANTIZERS",
    "Recordings",
    "Run",
    "SigmoidQuantizer",
    "build_model",
    "evaluate",
    "firing_rates",
    "fit",
    "footprint",
    "initial_network",
    "load",
    "notebook_settings",
    "predict",
    "quantize",
    "quantizers",
    "read_histories",
    "read_history",
    "read_record",
    "read_runs",
    "results_table",
    "set_temperature",
    "source",
    "temperature_at",
    "trained_network",
]
