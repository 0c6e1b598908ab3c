"""Profiles, and the table over runs."""

import copy
import math
import re
import shlex
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import snakemake.cli  # noqa: F401, once for all processes that are forked
import yaml
from conftest import PROJECT, forked, python_m

import snnq
import snnq.study.sources  # noqa: F401
from snnq.study.forecast import read_profiles
from snnq.study.gather import gather
from snnq.study.profile import plan

PROFILE = {
    "study": "test",
    "benchmarks": {"nmnist": {}},
    "levels": ["binary", "full", [-1, 0, 3]],
    "seeds": [0, 1],
    "settings": {"epochs": 3},
    "full": {"learning_rate": 0.1},
    "quantized": {"epochs": 2},
    "pretraining": {"epochs": 4},
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


LISTS = {"channels": [2, 4], "orders": [0, 1, 2]}


def test_a_study_has_every_combination_of_its_lists_once():
    found = plan(changed(**LISTS)).runs.values()
    points = [(run.levels, run.channels, run.seed, run.order) for run in found]
    levels = ["binary", "full", (-1, 0, 3)]
    assert points == list(product(levels, [2, 4], [0, 1], [0, 1, 2]))
    own = plan(changed(channels=[2, 4], orders=None)).runs.values()
    assert {(run.channels, run.order) for run in own} == {(2, 0), (4, 0)}
    own = plan(changed(settings={"channels": 7, "order": 3})).runs.values()
    assert {(run.channels, run.order) for run in own} == {(7, 3)}


def test_every_run_starts_from_the_pretraining_of_its_benchmark_width_and_seed():
    study = plan(changed(**LISTS, benchmarks={"nmnist": {}, "dvsgesture": {"pretraining": {"epochs": 5}}}))
    firsts = {f"results/test/runs/{name}": run for name, run in study.pretraining.items()}
    assert len(firsts) == 2 * 2 * 2 and len(study.runs) == 2 * 3 * 2 * 2 * 3
    for run in study.runs.values():
        first = firsts[run.start]
        shared = {name: getattr(run, name) for name in ("benchmark", "channels", "seed")}
        epochs = 4 if run.benchmark == "nmnist" else 5
        assert first == snnq.Run(levels="full", epochs=epochs, **shared)  # nothing of `full`
    assert list(study.trained) == [*study.pretraining, *study.runs]


def test_a_row_may_be_what_the_others_start_from():
    study = plan(changed(full={"start": None}, pretraining={}))
    assert set(study.pretraining) < set(study.runs) == set(study.trained)
    assert [run.levels for run in study.trained.values()][:2] == ["full", "full"]


def test_runs_with_a_start_of_their_own_need_no_pretraining():
    study = plan(changed(full={"start": None}, quantized={"start": "elsewhere"}))
    assert {run.start for run in study.runs.values()} == {None, "elsewhere"}
    assert study.pretraining == {} and study.trained == study.runs
    without = plan(changed(pretraining=None))
    assert without.pretraining == {} and {run.start for run in without.runs.values()} == {None}
    as_it_is = plan(changed(pretraining={})).pretraining.values()
    assert [run.epochs for run in as_it_is] == [3, 3]


def test_ablations_have_pretraining_and_lists_of_their_own():
    changes = {
        "none": {},
        "LSQ": {"quantized": {"quantizer": "lsq"}},
        "longer": {"pretraining": {"epochs": 9}},
        "LIF": {"settings": {"neuron": "lif"}},
        "scratch": {"quantized": {"start": None, "full_epochs": 0}},
    }
    ablation = {"levels": ["full", "binary"], "channels": [4], "seeds": [1], "orders": [0, 1]}
    study = plan(changed(channels=[2, 4], ablations={"x": ablation | {"changes": changes}}))
    rows = {change: [] for change in changes}
    for variant in study.ablations:
        rows[variant.change].append(study.all_runs[variant.run])
    for runs in rows.values():
        points = [(run.levels, run.channels, run.seed, run.order) for run in runs]
        assert points == [(levels, 4, 1, order) for levels in ("full", "binary") for order in (0, 1)]
    starts = {change: {study.all_runs[Path(run.start).name] for run in runs if run.start} for change, runs in rows.items()}
    assert starts["none"] == starts["LSQ"] == starts["scratch"] < set(study.pretraining.values())
    assert [run.epochs for run in starts["longer"]] == [9]
    assert [(run.neuron, run.epochs) for run in starts["LIF"]] == [("lif", 4)]
    assert [run.start for run in rows["scratch"][2:]] == [None, None]
    # What is the same as in the table or another change is one run.
    assert {run for run in rows["none"] if run.order == 0} < set(study.runs.values())
    assert rows["none"][:2] == rows["LSQ"][:2] == rows["scratch"][:2]
    assert len(study.ablation_runs) == 2 + 2 + 4 + 4 + 2
    # A study without its ablations does not train what only those start from.
    assert len(study.trained) == len(study.runs) + 4
    assert len(study.with_ablations().trained) == len(study.all_runs) == len(study.trained) + 14 + 2
    by_default = plan(changed(ablations={"x": {"changes": {"none": {}}}}, **LISTS)).ablations
    assert len(by_default) == 2 * 2 * 3  # binary, of each width, seed and order of the benchmark


def of_changes(profile, **ablation):
    """By change, the level set, width, seed and order of each of its runs."""
    study = plan(profile | {"ablations": {"x": ablation}})
    rows = {change: [] for change in ablation["changes"]}
    for variant in study.ablations:
        run = study.all_runs[variant.run]
        rows[variant.change].append((run.levels, run.channels, run.seed, run.order))
    return rows


def test_a_changes_own_value_replaces_the_list():
    changes = {
        "none": {},
        "width": {"settings": {"channels": 8}},
        "quantized": {"quantized": {"channels": 8}},
        "levels": {"quantized": {"levels": [-1, 0, 3]}},
        "mixed": {"settings": {"levels": {"<1000": "4bit", "rest": "binary"}}},
        "seed": {"settings": {"seed": 7}},
        "order": {"settings": {"order": 3}},
    }
    rows = of_changes(
        changed(channels=[2, 4], seeds=[0], orders=[0, 1], pretraining=None), levels=["full", "binary"], channels=[2], changes=changes
    )
    full, binary = ([(levels, 2, 0, order) for order in (0, 1)] for levels in ("full", "binary"))
    wide = {levels: [(levels, 8, 0, order) for order in (0, 1)] for levels in ("full", "binary")}
    mixed = (("<1000", "4bit"), ("rest", "binary"))
    assert rows == {
        "none": full + binary,
        "width": wide["full"] + wide["binary"],
        "quantized": full + wide["binary"],
        "levels": full + [((-1, 0, 3), 2, 0, order) for order in (0, 1)],
        "mixed": [(mixed, 2, 0, order) for order in (0, 1)],
        "seed": [(levels, 2, 7, order) for levels in ("full", "binary") for order in (0, 1)],
        "order": [("full", 2, 0, 3), ("binary", 2, 0, 3)],
    }


def test_an_ablations_list_comes_before_the_profiles_settings():
    profile = changed(seeds=[0], settings={"channels": 16})
    rows = of_changes(profile, channels=[2, 4], changes={"none": {}, "8": {"settings": {"channels": 8}}})
    assert rows == {"none": [("binary", 2, 0, 0), ("binary", 4, 0, 0)], "8": [("binary", 8, 0, 0)]}


def test_an_ablation_may_have_levels_of_every_kind():
    mixed = {"rest": "binary", "<1000": "4bit"}
    levels = ["full", "-1,0,3", [-1, 0, 3], mixed, "rest=binary,<1000=4bit"]
    ablation = {"levels": levels, "seeds": [0], "changes": {"none": {}, "LIF": {"settings": {"neuron": "lif"}}}}
    study = plan(changed(levels=["full"], ablations={"neuron": ablation}))
    rows = [study.all_runs[variant.run].levels for variant in study.ablations]
    kinds = ["full", (-1, 0, 3), (("<1000", "4bit"), ("rest", "binary"))]
    assert rows == kinds + kinds


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
    assert study.simulate == {("dvsgesture", "data/gestures"): "--limit 3"}
    (first,) = (run for run in study.pretraining.values() if run.benchmark == "dvsgesture")
    assert {run.start for run in gestures} == {f"results/test/runs/{first.name}"} and first.size == 32
    assert all(run.size is None for run in study.runs.values() if run.benchmark == "nmnist")
    own["settings"]["epochs"] = 9  # before the profile's for its full-precision runs
    study = plan(changed(benchmarks={"dvsgesture": own}))
    assert [run.epochs for run in study.trained.values()] == [9, 9, 5]


def test_wide_networks_may_have_fewer_seeds():
    seeds = {8: [0], "rest": [0, 1, 2]}
    study = plan(changed(channels=[4, 8], seeds=seeds, ablations={"x": {"changes": {"y": {}}}}))
    found = {(run.channels, run.seed) for run in study.runs.values()}
    assert found == {(4, 0), (4, 1), (4, 2), (8, 0)}
    assert len(study.ablations) == 4  # of each quantized run
    assert plan(changed(seeds={"rest": [0, 1]})).runs == plan(changed(seeds=[0, 1])).runs


def test_seeds_by_width_are_those_of_the_width_that_a_run_has():
    seeds = {32: [0], "rest": [0, 1, 2]}
    for settings, found in (({"channels": 32}, {0}), ({"channels": 8}, {0, 1, 2})):
        if settings["channels"] == 8:
            seeds = {"rest": seeds["rest"]}
        assert {run.seed for run in plan(changed(settings=settings, seeds=seeds)).runs.values()} == found
    default = snnq.Run().channels
    assert {run.seed for run in plan(changed(seeds={default: [3]})).runs.values()} == {3}
    kinds = plan(changed(full={"channels": 32}, quantized={"channels": 8}, seeds={32: [0], 8: [1]})).runs
    assert {(run.channels, run.seed) for run in kinds.values()} == {(32, 0), (8, 1)}
    # A width may be that of another benchmark, or of an ablation alone.
    own = {"nmnist": {"channels": [32]}, "dvsgesture": {"channels": [8]}}
    ablations = {"x": {"changes": {"wide": {"settings": {"channels": 64}}}}}
    seeds = {32: [0], 64: [5], "rest": [1]}
    study = plan(changed(benchmarks=own, seeds=seeds, ablations=ablations))
    assert {(run.channels, run.seed) for run in study.all_runs.values()} == {(32, 0), (8, 1), (64, 5)}



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
        (changed(quantized={"start": "full"}), "start='full': .* as in `pretraining: {epochs: 3}`"),
        (changed(quantized={"neuron": "lif"}), "start='results/.*: its neuron is 'plif', expected 'lif'"),
        (changed(quantized={"full_epochs": 1}), "full_epochs=1: expected none where .*start='results/"),
        (changed(pretraining={"epohcs": 3}), "unknown parameter 'epohcs': did you mean 'epochs'"),
        (changed(pretraining={"seed": 3}), "pretraining: seed: expected none, since there is one"),
        (
            changed(benchmarks={"nmnist": {"pretraining": {"channels": 3}}}),
            "benchmarks: nmnist: pretraining: channels: expected none",
        ),
        (changed(channels=4), r"channels=4: expected a list of whole numbers, as in \[2, 4, 8\]"),
        (changed(channels=[0]), "channels=0: expected a whole number of at least 1"),
        (changed(orders=[]), r"orders=\[\]: expected a list of whole numbers, as in \[0, 1\]"),
        (changed(orders=["a"]), "order='a': expected a whole number"),
        (
            changed(ablations={"x": {"changes": {"y": {"channels": [2]}}}}),
            "unknown key 'channels': expected one of settings, full, quantized, pretraining",
        ),
        (
            changed(channels=[2, 4], settings={"channels": 7}),
            r"^settings: channels=7: expected none beside the list channels=\[2, 4\]",
        ),
        (changed(orders=[0], full={"order": 3}), r"^full: order=3: expected none beside .* orders=\[0\]"),
        (changed(quantized={"levels": "ternary"}), "^quantized: levels='ternary': expected none beside"),
        (
            changed(channels=[2], benchmarks={"nmnist": {"settings": {"channels": 7}}}),
            r"^benchmarks: nmnist: settings: channels=7: expected none beside the list channels=\[2\]",
        ),
        (
            changed(settings={"seed": 7}, benchmarks={"nmnist": {"seeds": [4]}}),
            r"^settings: seed=7: expected none beside the list seeds=\[4\]",
        ),
        (
            changed(ablations={"x": {"changes": {"y": {"quantized": {"levels": "full"}}}}}),
            "ablations: x: changes: y: quantized: levels='full': expected",
        ),
        (changed(ablations={"x": {"changes": {"y": {"settings": {"channels": [4]}}}}}), "channels=.4,"),
        (changed(seeds={23: [5], "rest": [0]}), "^seeds: 23: no run has so many channels; expected 16"),
        (
            changed(benchmarks={"nmnist": {"channels": [2], "seeds": {2: [0], 4: [5]}}, "dvsgesture": {"channels": [4]}}),
            "^benchmarks: nmnist: seeds: 4: no run has so many channels; expected 2 or",
        ),
        (
            changed(channels=[4], ablations={"x": {"channels": [2], "seeds": {2: [0], 4: [5]}, "changes": {"y": {}}}}),
            "^ablations: x: seeds: 4: no run has so many channels; expected 2 or",
        ),
        (changed(seeds={True: [5], "rest": [0]}), "seeds: True: expected channels or 'rest'"),
        (changed(seeds=[[0, 1]]), r"^seeds=\[\[0, 1\]\]: expected a list of whole numbers, as in \[0, 1, 2\]"),
        (changed(seeds={"rest": [[0]]}), r"^seeds: rest: seeds=\[\[0\]\]: expected a list of whole numbers"),
        (changed(channels=[[4]]), r"^channels=\[\[4\]\]: expected a list of whole numbers"),
        (changed(orders=[{"a": 1}]), r"^orders=\[{'a': 1}\]: expected a list of whole numbers"),
        (changed(job={"threads": 0}), "^job: threads=0: expected a whole number of at least 1"),
        (changed(job={"threads": "two"}), "^job: threads='two': expected a whole number of at least 1"),
        (changed(job={"threads": None}), "^job: threads=None: expected a whole number of at least 1"),
        (changed(job={"gpu": -1}), "^job: gpu=-1: expected a whole number of at least 0"),
        (changed(job={"mem_mb": True}), "^job: mem_mb=True: expected a whole number of at least 1"),
        (changed(job={"thread": 3}), "unknown key of a job 'thread': did you mean 'threads'"),
        (changed(job="x"), "^job='x': expected names with values, as in `threads: 8`"),
        ({"study": "test"}, "missing benchmarks"),
        (changed(ablations={"x": {"change": {}}}), "unknown key 'change': did you mean 'changes'"),
        (
            changed(ablations={"x": {"changes": {"y": {"neuron": "if"}}}}),
            "unknown key 'neuron': expected one of settings, full, quantized, pretraining",
        ),
        (
            changed(ablations={"x": {"benchmark": "dvsgesture", "changes": {}}}),
            "ablations: x: benchmark='dvsgesture' is none of the profile's",
        ),
        (changed(seeds=0), r"seeds=0: expected a list of whole numbers, as in \[0, 1, 2\]"),
        (changed(seeds=[]), r"seeds=\[\]: expected a list of whole numbers"),
        (changed(seeds=None), "seeds=None: expected a list of whole numbers"),
        (changed(seeds={}), "seeds={}: expected a list of whole numbers"),
        (changed(seeds={"16": [0]}), "seeds: '16': expected channels or 'rest', as in {32: "),
        (changed(seeds={4: 0}), "seeds: 4: seeds=0: expected a list of whole numbers"),
        (changed(seeds={4: [0]}, channels=[2]), "seeds={4: \\[0\\]}: expected some for channels=2, or"),
        (changed(seeds=["0"]), "seed='0': expected a whole number"),
        (changed(levels="binary"), "levels='binary': expected a list of level sets, as in"),
        (changed(levels=[-1, 0, 1]), "levels=-1: expected a name or a list of numbers"),
        (changed(settings={"learning_rate": "1e-3"}), "learning_rate='1e-3': .* 1.0e-3 a number"),
        (changed(quantized=["epochs"]), r"quantized=\['epochs'\]: expected names with values"),
        (changed(settings={1: 2}), "settings={1: 2}: expected names with values"),
        (changed(benchmarks={}), "benchmarks: expected each with settings of its own"),
        (changed(benchmarks={"nmnist": {"full": 3}}), "benchmarks: nmnist: full=3: expected names"),
        (changed(benchmarks={"nmnist": {"seeds": 3}}), "benchmarks: nmnist: seeds=3: expected a li"),
        (changed(benchmarks={"nmnist": {"simulate": None}}), "nmnist: simulate=None: expected argum"),
        (changed(benchmarks={"nmnist": {"simulate": "--x 'a"}}), "nmnist: simulate=.*: expected arg"),
        (changed(ablations={"x": {}}), "ablations: x: changes: expected names with what is changed"),
        (changed(ablations={"x": {"changes": ["y"]}}), "ablations: x: changes=.*: expected names"),
        (changed(study="../x"), "study='../x': expected a text of letters, digits"),
        (changed(study="a; touch b"), "study='a; touch b': expected a text of letters, digits"),
        (changed(settings={"data": "a{b}"}), "data='a{b}': expected no braces"),
        (changed(study=2024), "study=2024: expected a text of letters, digits"),
    ],
)
def test_bad_profiles_are_refused(profile, message):
    with pytest.raises(ValueError, match=message):
        plan(profile)


def test_a_section_with_every_line_commented_out_is_empty():
    empty = {"changes": {"nothing": None, "still": {"quantized": None}}, "seeds": None}
    study = plan(changed(benchmarks={"nmnist": None}, ablations={"x": empty}))
    assert study.runs == plan(PROFILE).runs and len(study.ablations) == 4
    assert plan(changed(settings=None, full=None, quantized=None, ablations=None, job=None)).runs
    assert plan(changed(benchmarks={"nmnist": {"settings": None, "levels": None}})).runs == study.runs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: a\nseeds: [0]\nseeds: [1]\n", "line 3: key 'seeds' is there twice"),
        ("full:\n  epochs: 3\n  epochs: 4\n", "line 3: key 'epochs' is there twice"),
        ("- study\n", "expected keys and values"),
        ("a: [\n", "while parsing"),
    ],
)
def test_profiles_that_yaml_would_misread_are_refused(tmp_path, text, message):
    (tmp_path / "profile.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"profile.yaml: {message}"):
        read_profiles([tmp_path / "profile.yaml"])


def test_what_may_be_real_is_not_taken_for_the_studys_own_recordings(recordings, in_tmp):
    shutil.copytree(recordings, in_tmp / "data/digits")
    profile = changed(benchmarks={"nmnist": {"simulate": "--limit 3"}})
    with pytest.raises(ValueError, match="data/digits/NMNIST: has no SOURCE.json, so .* may be real"):
        plan(profile)
    (in_tmp / "data/digits/NMNIST/SOURCE.json").write_text('{"simulated": true}')
    assert plan(profile).simulate == {("nmnist", "data/digits"): "--limit 3"}
    assert plan(PROFILE).runs


@pytest.mark.parametrize("names", [["quick"], ["paper"], ["paper", "simulated"], ["anchors"]])
def test_every_profile_of_the_project_is_valid(names):
    assert plan(read_profiles([PROJECT / "config" / f"{name}.yaml" for name in names])).runs


def test_simulated_is_the_papers_grid_on_other_recordings():
    paper, simulated = (
        plan(read_profiles([PROJECT / "config" / f"{name}.yaml" for name in names])).runs.values()
        for names in (["paper"], ["paper", "simulated"])
    )
    assert len(paper) == len(simulated) == 4 * 6 * 3
    for real, other in zip(paper, simulated):
        assert other.data == f"data/simulated/{real.benchmark}"
        assert replace(other, data=real.data, start=None) == replace(real, start=None)


def snakemake(folder, profile, *options):
    """Snakemake's dry run on a copy of the graph, without this machine's own results."""
    for name in ("Snakefile", "config", "notebooks", "snnq"):
        (folder / name).symlink_to(PROJECT / name)
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    return dry_run(folder, *options)


def dry_run(folder, *options):
    words = ["snakemake", "--dry-run", *options, "--configfile", "profile.yaml"]
    return forked(folder, python_m, *words)


def test_a_misspelt_profile_stops_the_study_before_its_first_job(tmp_path):
    profile = yaml.safe_load((PROJECT / "config" / "quick.yaml").read_text())
    profile["settings"]["epohcs"] = 3
    found = snakemake(tmp_path, profile, "--cores", "1")
    assert found.returncode != 0
    assert "profile.yaml: unknown parameter 'epohcs': did you mean 'epochs'?" in found.stdout


def test_the_graph_plans_every_run(tmp_path):
    profile = yaml.safe_load((PROJECT / "config" / "quick.yaml").read_text())
    found = snakemake(tmp_path, profile, "--cores", "1")
    assert found.returncode == 0, found.stdout
    study = plan(profile)
    assert found.stdout.count("rule train:") == len(study.trained) == len(study.runs) + 15


def test_runs_that_are_finished_are_not_planned_again(tiny, tmp_path, monkeypatch):
    """Whatever time their files have, and without marks; but where their start has changed they are."""
    monkeypatch.chdir(tmp_path)
    settings = {name: value for name, value in tiny.items() if name != "epochs"}
    profile = PROFILE | {"levels": ["full", "binary"], "seeds": [0], "settings": settings | {"epochs": 1}}
    profile["quantized"] = profile["pretraining"] = {"epochs": 1}
    study = plan(profile)
    for name, run in study.trained.items():
        snnq.fit(run, study.run_folder(name), progress=False)
        (study.run_folder(name) / "3_train.ipynb").touch()
    assert study.finished() == set(study.trained)
    found = snakemake(tmp_path, profile, "--cores", "1")
    (frames,) = set(re.findall(r"output: (\S+/marks/frames/\S+)", found.stdout))
    Path(frames).parent.mkdir(parents=True)
    Path(frames).touch()  # as the step before does
    found = dry_run(tmp_path, "--cores", "1")
    assert found.returncode == 0 and found.stdout.count("rule train:") == 0, found.stdout
    first, *_ = study.trained
    mark = study.folder / f"marks/runs/{first}.done"
    mark.touch()  # later than those of what starts from it
    found = dry_run(tmp_path, "--cores", "1")
    assert found.returncode == 0 and found.stdout.count("rule train:") == 0, found.stdout
    found = dry_run(tmp_path, str(study.folder / "runs.csv"), "--cores", "1", "--forcerun", str(mark))
    assert found.stdout.count("rule train:") == 3, found.stdout
    (study.run_folder(first) / "run.json").unlink()
    assert study.finished() == set()
    assert len(list((study.folder / "marks/runs").iterdir())) == 3
    found = dry_run(tmp_path, "--cores", "1")
    assert found.stdout.count("rule train:") == 3, found.stdout


def test_on_a_cluster_each_run_asks_for_what_its_profile_says(tmp_path):
    found = snakemake(tmp_path, PROFILE | {"job": {"gpu": 1, "mem_mb": 32000}}, "--workflow-profile", "config/slurm")
    assert found.returncode == 0, found.stdout
    jobs = found.stdout.split("rule train:")[1:]
    assert len(jobs) == 6 + 2
    for job in jobs:
        resources = job.split("resources: ")[1].split("\n")[0]
        assert "gpu=1" in resources and "mem_mb=32000" in resources


def test_every_setting_reaches_the_notebook_as_it_is(tmp_path):
    values = {"learning_rate": 1e-5, "temperature_initial": 1e-7, "keep": ["first", "last"]}
    mixed = {"<1000": "4bit", "layers.4": [-1, 0, 2], "rest": "binary"}
    values |= {"data": "a'b: 1"}
    profile = PROFILE | {"levels": ["full", [-1, 0, 2.5], mixed], "settings": values}
    profile["benchmarks"] = {"nmnist": {}, "cifar10dvs": {"settings": {"split": "90/10"}}}
    found = snakemake(tmp_path, profile, "--cores", "1", "--printshellcmds")
    assert found.returncode == 0, found.stdout
    commands = [
        shlex.split(line) for line in found.stdout.split("\n") if "papermill" in line and "3_train" in line
    ]
    given = [yaml.safe_load(command[command.index("-y") + 1]) for command in commands]
    runs = plan(profile).trained.values()
    assert len(given) == len(runs)
    assert all(snnq.Run.of(settings) in runs for settings in given)
    building = re.findall(r"snnq frames (\w+) .*", found.stdout)
    split = re.findall(r"snnq frames (\w+) .* --split 90/10\n", found.stdout)
    assert sorted(building) == ["cifar10dvs", "nmnist"] and split == ["cifar10dvs"]
    assert "marks/frames/cifar10dvs_a'b: 1-3-number-90_10.done" in found.stdout


def test_two_benchmarks_in_a_folder_are_both_simulated(tmp_path):
    """Or the real recordings of one would be downloaded instead."""
    own = {"simulate": "--limit 2", "settings": {"data": "data/both"}}
    benchmarks = {name: own | {"simulate": f"--benchmark {name}"} for name in ("nmnist", "dvsgesture")}
    profile = PROFILE | {"benchmarks": benchmarks}
    found = snakemake(tmp_path, profile, "--dry-run", "--printshellcmds")
    assert found.returncode == 0, found.stdout + found.stderr
    for name in benchmarks:
        assert f"snnq simulate data/both --benchmark {name}" in found.stdout


def test_nothing_in_a_profile_is_executed(tmp_path):
    """Each argument arrives as it is, in a shell that is shown every command."""
    data = "data/it's $(touch bad); touch bad `touch bad` & \"*\" > bad"
    own = {"simulate": "--benchmark nmnist --limit '1; touch bad'", "settings": {"data": data}}
    profile = PROFILE | {"benchmarks": {"nmnist": own}}
    found = snakemake(tmp_path, profile, "--cores", "1", "--printshellcmds")
    assert found.returncode == 0, found.stdout + found.stderr
    lines = [line for line in found.stdout.split("\n") if line.startswith("Shell command: ")]
    commands = [shlex.split(line)[2:] for line in lines]
    given = ["--benchmark", "nmnist", "--limit", "1; touch bad"]
    assert ["python", "-m", "snnq", "simulate", data, *given] in commands
    assert any(command[:6] == ["python", "-m", "snnq", "frames", "nmnist", data] for command in commands)
    (events,) = [command for command in commands if "notebooks/2_events.ipynb" in command]
    assert events[events.index("data") + 1] == data
    assert (events[events.index("steps") + 1], events[events.index("cut") + 1]) == ("3", "number")
    assert not list(tmp_path.rglob("bad*"))


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
        assert (row["seeds"], row["test_recordings"], row["recordings"]) == (2, 40, "N-MNIST, real")
    low_bit, full = table.loc["binary", "last_mean"], table.loc["full", "last_mean"]
    assert table.loc["binary", "difference"] == pytest.approx(low_bit - full)
    assert table.loc["binary", "relative_difference"] == pytest.approx(100 * (low_bit / full - 1))


def test_levels_of_ones_own_are_a_row_however_many_there_are(study_of_two):
    runs = snnq.read_runs(study_of_two)
    assert len(runs) == 4
    for levels in ((-3, -1, 1, 3), "(-3, -1, 1, 3)"):  # as many as rows; as a file has them
        own = [levels if name == "binary" else name for name in runs["levels"]]
        table = snnq.results_table(runs.assign(levels=own))
        assert table["levels"].tolist() == ["full", levels] and table["seeds"].tolist() == [2, 2]


def test_simulated_and_real_runs_are_never_one_row(study_of_two):
    runs = snnq.read_runs(study_of_two)
    named = ["simulated", "recordings"]
    runs.loc[runs["seed"] == 1, named] = True, "N-MNIST, simulated"
    table = snnq.results_table(runs)
    assert table["seeds"].tolist() == [1] * 4
    assert table.groupby("recordings")["simulated"].agg(list).to_dict() == {
        "N-MNIST, real": [False, False],
        "N-MNIST, simulated": [True, True],
    }


CUT = {
    "run.json": ("", "[]", '{"run": {"benchmark": "nmn'),
    "history.csv": ("", "epoch,loss\n", "whole[:-3]", "line"),
    "histograms.csv": ("", "whole[:-3]", "line", "header"),
}


@pytest.mark.parametrize(("name", "left"), [(name, left) for name, many in CUT.items() for left in many])
def test_a_half_written_file_of_a_run_is_named(study_of_two, name, left):
    """Whatever is left of it, where it may have been written no further than that."""
    folder = next(folder for folder in study_of_two.iterdir() if "binary" in folder.name)
    whole = (folder / name).read_text()
    lines = whole.splitlines(keepends=True)
    left = {"whole[:-3]": whole[:-3], "line": "".join(lines[:-1]), "header": lines[0]}.get(left, left)
    (folder / name).write_text(left)
    study = plan(PROFILE)
    study = replace(study, folder=study_of_two.parent, runs=dict.fromkeys(path.name for path in study_of_two.iterdir()))
    expected = re.escape(f"{folder / name}: ") + "half-written or empty, expected .*; remove .* train that run again"
    with pytest.raises(ValueError, match=expected):
        gather(study)


def test_no_finished_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run here"):
        snnq.read_runs(tmp_path)
    (tmp_path / "half").mkdir()
    shutil.copy(PROJECT / "pyproject.toml", tmp_path / "half" / "history.csv")
    with pytest.raises(FileNotFoundError, match="no finished run here"):
        snnq.read_runs(tmp_path)
