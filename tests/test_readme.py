"""The README states what runs wrote."""

import pandas as pd
from conftest import PROJECT

import snnq


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


def test_readme_states_the_methods_beside_the_sigmoids():
    readme = (PROJECT / "README.md").read_text()
    rows = snnq.read_gathered(PROJECT / "results/quick", "ablations")
    table = snnq.ablation_table(rows[rows["ablation"].str.startswith("quantizer")])
    assert len(table) > 8
    for row in table.itertuples():
        assert f"| {row.levels} | {row.change} | {row.mean:.2f} ± {row.sd:.2f} |" in readme
        if row.difference == row.difference:
            interval = f"{row.difference:+.2f} ({row.low:+.1f} to {row.high:+.1f})"
            assert f"± {row.sd:.2f} | {interval} |" in readme


def test_readme_states_the_real_recordings_accuracies():
    readme = (PROJECT / "README.md").read_text()
    for row in bench("real_nmnist").itertuples():
        assert (
            f"| {row.levels} | {row.seed} | {row.simulated_accuracy:.2%} | {row.accuracy:.0%}"
            f" ({row.low:.1%} to {row.high:.1%}) |" in readme
        )


def test_readme_states_the_packed_files_and_the_c_program():
    readme = (PROJECT / "README.md").read_text()
    binary = bench("packing").query("levels == 'binary'")
    for benchmark, times in binary.pivot(index="benchmark", columns="keep", values="times").iterrows():
        stated = (f"{times[keep]:.1f}" for keep in ("first", "none", "first+last"))
        assert f"| {benchmark} | {' | '.join(stated)} |" in readme
    c, torch = (row for _, row in bench("c_inference").iterrows())
    assert f"**{torch.ratio:.1f} times faster**" in readme
    assert f"takes {c.megabytes:.1f} MB" in readme and c.same_class == c.recordings


def test_readme_states_that_only_the_right_runs_are_run_again():
    assert bench("restarts")["as_expected"].all()


def test_readme_states_the_recipe_beside_others_on_validation_recordings():
    readme = " ".join((PROJECT / "README.md").read_text().split())
    mean = bench("recipe").set_index("candidate")["mean"]
    for stated, candidate in (
        ("full precision", "full precision"),
        ("the recipe", "the recipe: exponential to 1000"),
        ("linearly to 100", "linear to 100"),
        ("sign", "sign"),
        ("LSQ", "LSQ"),
        ("DoReFa", "DoReFa"),
    ):
        assert f"{stated} {mean[candidate]:.2%}".replace("%", " %") in readme
    assert mean.max() - mean.min() < 0.003
