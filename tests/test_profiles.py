"""The profiles for a GPU, each of their benchmarks from recordings to the tables, at a small scale.

What a profile states stays as it is: steps, sizes, splits, augmentation, batches, layers, methods.
Recordings are few, and networks narrow.
"""

import itertools
import zipfile

import numpy as np
import pytest
from conftest import PROJECT, random_events
from PIL import Image
from test_recordings import WRITERS

import snnq
from snnq.__main__ import main
from snnq.study.forecast import read_profiles
from snnq.study.gather import gather, gather_ablations, read_gathered
from snnq.study.profile import plan
from snnq.study.sections import PARTS

CLASSES = 2  # of each benchmark, its first
FILES = {
    "nmnist": "{name}/{name}000{number}.bin",
    "dvsgesture": "user0{number}_led/{name}.npy",
    "cifar10dvs": "{name}/cifar10_{name}_{number}.aedat4",
    "ncaltech101": "{name}/image_000{number}.bin",
}


def write_real(root, benchmark):
    """A few recordings of each class and side in a benchmark's own files, over all of its sensor."""
    rng = np.random.default_rng(0)
    size = min(benchmark.width, benchmark.height)
    counts = (2, 1) if benchmark.has_official_split else (5,)
    for folder, count in zip(benchmark.folders, counts):
        for label, number in itertools.product(range(CLASSES), range(count)):
            name = FILES[benchmark.name].format(name=benchmark.classes[label], number=number)
            path = benchmark.folder(root) / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            WRITERS[path.suffix](random_events(rng, 300 + 100 * label, size), path)


def write_pictures(folder):
    """As data/README.md says that they are to lie there."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = np.arange(CLASSES).repeat(5)

    def images(size):
        return rng.integers(0, 256, (len(labels), size, size), dtype=np.uint8)

    digits = {f"{side}_images": images(28) for side in ("train", "test")}
    np.savez(folder / "mnist.npz", train_labels=labels, test_labels=labels, **digits)
    classes = np.array(snnq.BENCHMARKS["cifar10dvs"].classes)
    np.savez(folder / "cifar10.npz", images=images(32), labels=labels, classes=classes)
    with zipfile.ZipFile(folder / "caltech101.zip", "w") as archive:
        for number, (label, image) in enumerate(zip(labels, images(60))):
            with archive.open(f"{('ant', 'cup')[label]}/image_{number:04}.jpg", "w") as file:
                Image.fromarray(image).save(file, "JPEG")


def small(profile):
    """A profile with few levels, one seed, and networks of one channel trained for an epoch."""
    for name, own in profile["benchmarks"].items():
        # Without pretraining all is from scratch.
        there = [part for part in PARTS if part != "pretraining" or part in profile | own]
        parts = {part: own.get(part, {}) | {"epochs": 1} for part in there}
        parts["settings"] |= {"channels": 1, "device": "cpu"}
        own |= {"levels": ["full", "binary"], "seeds": [0]} | parts
        if "simulate" in own:
            own["simulate"] += f" --limit {2 if name == 'dvsgesture' else 5}"
    return profile


def train_all(study):
    for name, run in study.all_runs.items():
        snnq.fit(run, study.run_folder(name), progress=False)
    assert study.finished() == set(study.all_runs)


@pytest.mark.parametrize("names", [["paper"], ["paper", "simulated"], ["anchors"]], ids=" ".join)
def test_every_benchmark_goes_from_recordings_to_the_tables(in_tmp, names):
    profile = read_profiles([PROJECT / f"config/{name}.yaml" for name in names])
    study = plan(small(profile))
    benchmarks = {run.benchmark for run in study.runs.values()}
    if study.simulate:
        write_pictures(in_tmp / "data/pictures")
        for (_, data), arguments in study.simulate.items():
            assert main(["simulate", data, *arguments.split()]) == 0
    else:
        for name in benchmarks:
            write_real(in_tmp / "data", snnq.BENCHMARKS[name])
    train_all(study)
    gather(study)
    if study.ablations:
        gather_ablations(study)
        asked = {variant.change for variant in study.ablations}
        assert set(read_gathered(study.folder, "ablations")["change"]) == asked
    table = read_gathered(study.folder, "table")
    assert set(zip(table["benchmark"], table["levels"])) == {
        (name, levels) for name in benchmarks for levels in ("full", "binary")
    }
    assert (table["simulated"] == bool(study.simulate)).all()
    assert table["last_mean"].between(0, 100).all()


def test_runs_of_several_splits_are_told_apart_in_one_study(in_tmp):
    profile = small(read_profiles([PROJECT / "config/anchors.yaml"]))
    other = {"settings": {"split": "80/20"}}
    profile["ablations"] = {"split": {"changes": {"90/10": {}, "80/20": other}}}
    study = plan(profile)
    write_real(in_tmp / "data", snnq.BENCHMARKS["cifar10dvs"])
    train_all(study)
    gather_ablations(study)
    rows = read_gathered(study.folder, "ablations")
    assert rows["split"].tolist() == rows["change"].tolist() == ["90/10", "80/20"]
