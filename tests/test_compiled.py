import subprocess
import sys

from conftest import PROJECT

NOWHERE = "from numba.core import caching; caching.CacheImpl._locator_classes = []\n"
STEP = (
    "import torch, snnq\n"
    "network = snnq.quantize(snnq.build_model('nmnist', channels=2), 'ternary')\n"
    "network.train()(torch.ones(2, 1, 2, 34, 34)).sum().backward()\n"
    "print('trained')"
)


def test_without_a_place_for_machine_code_it_is_kept_in_memory():
    """As where the package and the home folder are read-only."""
    done = subprocess.run(
        [sys.executable, "-c", NOWHERE + STEP], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "trained", done.stderr
