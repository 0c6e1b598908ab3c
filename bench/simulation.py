"""Recordings per second of the simulated camera, against the same as array operations.

    python bench/simulation.py ../shared/data [--recordings 400]

Both write whole folders of each benchmark, on all cores and with everything that belongs to it from
the start of the processes to the files, which are compared: they hold the same bytes. Then the peak
memory of all processes together for 500 recordings and for 2,000.
"""

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import joblib
import numpy_camera
import pandas as pd
from compare import report

from snnq.recordings.benchmarks import BENCHMARKS
from snnq.simulation import gestures, simulate
from snnq.simulation.pictures import Picture, read_pictures

PICTURES = {
    "nmnist": "mnist.npz",
    "cifar10dvs": "cifar10_gray.npz",
    "ncaltech101": "caltech101_gray.zip",
}
FACTORS = {"nmnist": 20}  # times as many recordings of a small sensor
