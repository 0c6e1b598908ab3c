"""Profiles, the table over runs, and what a network costs."""

import copy
import math
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import torch
import yaml
from conftest import PROJECT
from torch import nn

import snnq
from snnq.cost import weight_bytes
from snnq.study import plan

PROFILE = {
    "study": "test",
    "benchmarks": {"nmnist": {}},
    "levels": ["binary", "full", [-1, 0, 3]],
    "seeds": [0, 1],
    "settings": {"epochs": 3},
    "full": {"learning_rate": 0.1},
    "quantized": {"start": "full", "epochs": 2},
}


def changed(**changes):
    return copy.deepcopy(PROFILE) | changes


def test_plan_has_a_run_for_every_level_set_and_seed():
    runs = plan(PROFILE).runs.values()
    assert {(run.levels, run.seed) for run in runs} == {
        (levels, seed) for levels in ("full", "binary", (-1, 0, 3)) for seed in (0, 1)
    }
    assert {(run.levels == "full", run.epochs, run.learning_rate) for run in runs} == {
        (True, 3, 0.1),
        (False, 2, snnq.Run().learning_rate),
    }


def test_quantized_runs_start_from_the_full_run_of_their_seed():
    study = plan(PROFILE)
    by_folder = {f"results/test/runs/{name}": run for name, run in study.runs.items()}
    for run in study.runs.values():
        if run.levels != "full":
            assert by_folder[run.start].levels == "full"
            assert by_folder[run.start].seed == run.seed


def test_a_benchmarks_own_settings_come_before_the_profiles():
    own = {
        "simulate": "--limit 3",
        "levels": ["full", "binary"],
        "seeds": [7],
        "quantized": {"epochs": 5},
    }
    own["settings"] = {"data": "data/gestures", "size": 32}
    study = plan(changed(benchmarks={"nmnist": {}, "dvsgesture": own}))
    gestures = [run for run in study.runs.values() if run.benchmark == "dvsgesture"]
    assert [(run.levels, run.seed, run.epochs, run.size) for run in gestures] == [
        ("full", 7, 3, 32), ("binary", 7, 5, 32),
    ]  # fmt: skip
    assert study.simulate == {"data/gestures": "--limit 3"}
    assert gestures[1].start == f"results/test/runs/{gestures[0].name}"
    assert all(run.size is None for run in study.runs.values() if run.benchmark == "nmnist")


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (changed(quantized={"epoch": 3}), "unknown parameter 'epoch': did you mean 'epochs'"),
        (changed(settings={"epochs": 0}), "epochs=0"),
        (changed(levels=["trinary"]), "levels='trinary': unknown level set"),
        (changed(benchmarks={"mnist": {}}), "benchmark='mnist'"),
        (changed(sseds=[0]), "unknown key 'sseds': did you mean 'seeds'"),
        (changed(benchmarks=["nmnist"]), "benchmarks: expected each with settings of its own"),
        (
            changed(benchmarks={"nmnist": {"simulated": ""}}),
            "unknown key 'simulated': did you mean",
        ),
        (changed(levels=["binary"]), "levels lists no 'full' run"),
        ({"study": "test"}, "missing benchmarks"),
    ],
)
def test_bad_profiles_are_refused(profile, message):
    with pytest.raises(ValueError, match=message):
        plan(profile)


def test_every_profile_of_the_project_is_valid():
    for path in (PROJECT / "config").glob("*.yaml"):
        assert plan(yaml.safe_load(path.read_text())).runs


def snakemake(folder, profile):
    """Snakemake's dry run on a copy of the graph."""
    for name in ("Snakefile", "notebooks", "snnq"):
        (folder / name).symlink_to(PROJECT / name)
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    return subprocess.run(
        [*command, "--configfile", "profile.yaml"], cwd=folder, capture_output=True, text=True
    )


def test_a_misspelt_profile_stops_the_study_before_its_first_job(tmp_path):
    profile = yaml.safe_load((PROJECT / "config" / "quick.yaml").read_text())
    profile["settings"]["epohcs"] = 3
    found = snakemake(tmp_path, profile)
    assert found.returncode != 0
    assert "profile.yaml: unknown parameter 'epohcs': did you mean 'epochs'?" in found.stdout


def test_the_graph_plans_every_run(tmp_path):
    profile = yaml.safe_load((PROJECT / "config" / "quick.yaml").read_text())
    found = snakemake(tmp_path, profile)
    assert found.returncode == 0, found.stdout
    assert found.stdout.count("rule train:") == len(plan(profile).runs) == 21


@pytest.fixture
def study_of_two(tiny, in_tmp):
    """Two seeds of full precision and of binary, finished."""
    for levels in ("full", "binary"):
        for seed in (0, 1):
            run = snnq.Run(**tiny | {"levels": levels, "seed": seed, "epochs": 1})
            snnq.fit(run, in_tmp / "runs" / run.name, progress=False)
    return in_tmp / "runs"


def test_table_is_mean_and_deviation_over_seeds(study_of_two):
    runs = snnq.read_runs(study_of_two)
    table = snnq.results_table(runs).set_index("levels")
    assert list(table.index) == ["full", "binary"]
    for levels in table.index:
        records = [snnq.read_record(folder) for folder in runs.query("levels == @levels")["folder"]]
        first, second = (100 * record["accuracy"]["last"] for record in records)
        row = table.loc[levels]
        assert row["last_mean"] == pytest.approx((first + second) / 2)
        assert row["last_sd"] == pytest.approx(abs(first - second) / math.sqrt(2))
        assert row["bytes"] == records[0]["bytes"]
        assert (row["seeds"], row["test_recordings"], row["recordings"]) == (2, 40, "real")
    drop = table.loc["full", "last_mean"] - table.loc["binary", "last_mean"]
    assert table.loc["binary", "drop"] == pytest.approx(drop)


def test_simulated_and_real_runs_are_never_one_row(study_of_two):
    runs = snnq.read_runs(study_of_two)
    runs.loc[runs["seed"] == 1, "simulated"] = True
    table = snnq.results_table(runs)
    assert table["seeds"].tolist() == [1] * 4
    assert sorted(table["recordings"]) == ["real", "real", "simulated", "simulated"]


def test_no_finished_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run here"):
        snnq.read_runs(tmp_path)
    (tmp_path / "half").mkdir()
    shutil.copy(PROJECT / "pyproject.toml", tmp_path / "half" / "history.csv")
    with pytest.raises(FileNotFoundError, match="no finished run here"):
        snnq.read_runs(tmp_path)


@pytest.mark.parametrize(
    ("weights", "levels", "expected"),
    [(8, 2, 1), (9, 2, 2), (5, 3, 1), (6, 3, 2), (100, 3, 20), (3, 4, 1), (3, 8, 2), (3, 16, 2)],
)
def test_weight_bytes(weights, levels, expected):
    assert weight_bytes(weights, levels) == expected


def test_footprint_counts_every_number_once():
    model = snnq.build_model("nmnist", channels=4)
    numbers = sum(
        value.numel() for value in model.state_dict().values() if value.is_floating_point()
    )
    full = snnq.footprint(model)
    assert full["numbers"].sum() == numbers
    assert full["bytes"].sum() == full["bytes_float32"].sum() == 4 * numbers
    binary = snnq.footprint(snnq.quantize(model, "binary")).set_index("layer")
    assert binary["numbers"].sum() == numbers
    assert binary.loc["layers.4", "bytes"] == 4 * 4 * 9 / 8 + 4  # one bit each, and α
    assert binary.loc["layers.0", "bytes"] == binary.loc["layers.0", "bytes_float32"]


def test_footprint_of_the_full_networks_weights():
    """31.9 times on N-MNIST, as the paper's "up to 31" fits with the first layer kept."""
    with torch.device("meta"):
        model = snnq.build_model("nmnist")
    shapes = {name: m.weight.shape for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    assert [tuple(shape) for shape in shapes.values()] == [(2048, 8192), (100, 2048)]
    linear = sum(math.prod(shape) for shape in shapes.values())
    conv = 128 * 128 * 9
    rest = snnq.footprint(model)["numbers"].sum() - linear - conv
    times = (linear + conv + rest) / ((linear + conv) / 32 + rest)
    assert times == pytest.approx(31.8, abs=0.15)


def test_firing_rates_are_spikes_per_neuron_and_step(tiny, in_tmp):
    torch.manual_seed(0)
    model = snnq.build_model("nmnist", channels=2).eval()
    model.layers[0].weight.data.add_(0.2)  # so that neurons fire
    _, test = snnq.load("nmnist", tiny["data"], 3)
    rates = snnq.firing_rates(model, test)
    frames = torch.stack([frames for frames, _ in test]).transpose(0, 1).float()
    with torch.no_grad():
        spikes = model.layers[:3](frames)
    assert list(rates.index) == ["layers.2", "layers.6", "layers.11", "layers.14"]
    assert rates["layers.2"] == pytest.approx(spikes.mean().item(), rel=1e-5)
    assert isinstance(rates, pd.Series) and rates["layers.2"] > 0


def test_readme_states_the_tables_numbers():
    text = (PROJECT / "README.md").read_text()
    for row in pd.read_csv(PROJECT / "results/quick/table.csv").itertuples():
        assert (
            f"| {row.benchmark} | {row.levels} | {row.last_mean:.2f} ± {row.last_sd:.2f} | {row.drop:+.2f} |"
            f" {row.bytes / 1000:.1f} | {row.times_smaller:.1f} |" in text
        )


def test_readme_states_the_benches_numbers():
    readme = (PROJECT / "README.md").read_text()
    for name, times in (
        ("frames_batches", lambda t: t["ratio"]),
        ("frames_building", lambda t: 1 / t["ratio"]),
        ("loop_128", lambda t: t["faster"]),
        ("loop_16", lambda t: t["faster"]),
    ):
        ratio = times(bench(name)).iloc[1]
        stated = f"{ratio:.0f}" if ratio > 10 else f"{ratio:.1f}"
        assert f"| {stated} ([{name}.csv](results/bench/{name}.csv)) |" in readme


def test_readme_states_what_quantization_costs():
    readme = (PROJECT / "README.md").read_text()
    quantizer, step = (bench(name).set_index("candidate") for name in ("quantizer", "step"))
    for bits in (1, 2, 3, 4):
        columns = [f"{quantizer.ratio[f'snnq, {bits} bit, T = 10']:.1f}"]
        for table, form in ((quantizer, "{:.1f}"), (step, "{:.2f}")):
            if table is step:
                columns.append(form.format(step.ratio[f"snnq, {bits} bit"]))
            for peer in ("naive sum", "Brevitas"):
                measured = f"{peer}, {bits} bit" in table.index
                columns.append(form.format(table.ratio[f"{peer}, {bits} bit"]) if measured else "–")
        columns.append(f"{step.memory_ratio[f'snnq, {bits} bit']:.2f}")
        assert f"| {bits} | {' | '.join(columns)} |" in readme


def test_readme_states_the_kills():
    (row,) = bench("kills").itertuples()
    assert f"killed {row.kills} times" in (PROJECT / "README.md").read_text()
    assert row.kills >= 20
    assert all(bench("kills").iloc[0][["history.csv", "weights.safetensors", "accuracies"]])


def bench(name: str) -> pd.DataFrame:
    return pd.read_csv(PROJECT / "results" / "bench" / f"{name}.csv")


def test_readme_states_how_far_simulated_is_from_real():
    readme = (PROJECT / "README.md").read_text()
    bench = PROJECT / "results" / "bench"
    cameras = pd.read_csv(bench / "camera.csv", index_col="camera")
    for column in ("events", "spread", "time", "place", "sign", "frames"):
        crude, calibrated = cameras.loc[["crude", "calibrated"], column]
        assert f"| {crude:.3f} | {calibrated:.3f} |" in readme
    for _, row in pd.read_csv(bench / "simulated_to_real.csv").iterrows():
        assert (
            f"| {row.levels} | {row.simulated_accuracy:.2%} | {row.real_accuracy:.2%} "
            f"({row.low:.1%} to {row.high:.1%}) |" in readme
        )
