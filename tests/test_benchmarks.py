import subprocess
import sys

import pytest
import tonic
from test_recordings import write

import snnq
from snnq.networks.models import NETWORKS
from snnq.recordings.formats import EVENTS

NAMES = {
    "dvsgesture": [
        f"ibmGesture{split}/user{user}_led/{label}.npy"
        for split in ("Train", "Test")
        for user in ("01", "24")
        for label in range(3)
    ],
    "cifar10dvs": [f"{c}/cifar10_{c}_{n}.aedat4" for c in ("cat", "dog") for n in range(5)],
    "ncaltech101": [f"Caltech101/{c}/image_{n:04}.bin" for c in ("cup", "ant") for n in range(5)],
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("benchmark", NAMES)
def test_every_benchmark_trains_through_the_same_lines(in_tmp, benchmark, network):
    write(in_tmp, benchmark, NAMES[benchmark])
    run = snnq.Run(
        benchmark=benchmark, data=str(in_tmp), levels="ternary", network=network, channels=2,
        epochs=1, steps=2, size=32, augmentation="nda", validation=0.0, device="cpu",
    )  # fmt: skip
    history = snnq.fit(run, in_tmp / "run", progress=False)
    assert len(history) == 1 and 0 <= history["test_accuracy"].iloc[0] <= 1
    model = snnq.trained_network(in_tmp / "run")
    assert all(len(model.get_submodule(n).weight.unique()) <= 3 for n in snnq.quantizers(model))
    assert snnq.read_record(in_tmp / "run")["data"] == {"simulated": False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmark": "dvsgesture", "augmentation": "flip"}, "a mirrored recording of dvsgesture"),
        ({"augmentation": "flip_crop"}, "a mirrored recording of nmnist"),
        ({"size": 35}, "size=35: expected 34 at most"),
        ({"network": "resnet"}, "network='resnet': expected one of plif, vgg11, vgg11_gap"),
    ],
)
def test_settings_that_a_benchmark_cannot_have(settings, message):
    with pytest.raises(ValueError, match=message):
        snnq.Run(**settings)


def test_data_folder_of_each_benchmark():
    assert snnq.Run().data == "data/digits"
    assert snnq.Run(benchmark="cifar10dvs").data == "data"


def test_classes_and_events_are_tonics():
    assert snnq.BENCHMARKS["cifar10dvs"].classes == tuple(tonic.datasets.CIFAR10DVS.classes)
    assert EVENTS == tonic.datasets.NMNIST.dtype
    for benchmark in snnq.BENCHMARKS.values():
        assert benchmark.dataset is getattr(tonic.datasets, benchmark.tonic_name)


def test_simulating_does_not_wait_for_torch():
    code = "import sys, snnq.simulation.simulate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
