"""The command `snnq`: what each subcommand prints, and what it says where it cannot."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import test_export_c as in_c
import test_packing as packing
from conftest import PROJECT, at_call, fit, results, write_recordings
from torch import nn

import snnq
from snnq.__main__ import COMMANDS, main, module_of, parsers
from snnq.networks.models import NETWORKS, NEURONS
from snnq.quantization.levels import BIASES
from snnq.quantization.sigmoid import SCALES
from snnq.quantization.temperature import TEMPERATURE_SCHEDULES
from snnq.recordings.augmentation import AUGMENTATIONS
from snnq.recordings.binning import CUTS
from snnq.storage.inspect import float32_file_bytes
from snnq.training import gradients
from snnq.training.train_command import HELP

ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROJECT)}


def started(*arguments, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snnq", *map(str, arguments)]
    return subprocess.run(command, text=True, env=ENVIRONMENT, **options)


@pytest.fixture
def said(capsys):
    """A command's exit code, what it printed, and its errors without what bars leave."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, errors = capsys.readouterr()
        lines = [line.split("\r")[-1] for line in errors.splitlines()]
        return code, out, [line for line in lines if line.startswith("snnq")]

    return run


def refused(capsys, *arguments) -> str:
    """The last line of a command line that argparse does not take."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def as_options(settings: dict) -> list[str]:
    flags = {name.replace("_", "-"): value for name, value in settings.items()}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]


# snnq and its help


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["frames", "--help"]])
def test_help_needs_no_torch(arguments):
    code = (
        "import sys, snnq.__main__\n"
        "try: snnq.__main__.main(sys.argv[1:])\n"
        "except SystemExit as stopped: assert stopped.code == 0\n"
        "heavy = {'torch', 'numpy', 'pandas', 'tonic', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: snnq" in done.stdout


def test_alone_it_names_every_command(said):
    code, out, _ = said()
    assert code == 0 and all(f"  {name}" in out for name in COMMANDS)


def test_version(said):
    assert said("--version") == (0, "snnq 0.1.0\n", [])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_that_parse(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    examples = printed.split("examples:\n")[1].splitlines()
    assert examples == [f"  {line}" for line in module_of(name).EXAMPLES] and examples
    for example in examples:
        snnq_, *arguments = shlex.split(example)
        assert snnq_ == "snnq"
        assert parsers(name)[0].parse_args(arguments).command == name


def test_a_misspelt_option_is_refused_with_its_neighbour(capsys):
    for given, meant in (
        (["train", "--learning-rat", "3"], "--learning-rate"),
        (["train", "--batchsize=3"], "--batch-size"),
        (["simulate", "--limt", "3"], "--limit"),
        (["--verson"], "--version"),
    ):
        assert refused(capsys, *given).endswith(f"; did you mean {meant}?")
    assert "did you mean" not in refused(capsys, "train", "--momentum", "0.9")
    assert "invalid choice: 'trian'" in refused(capsys, "trian")


def test_whoever_stops_reading_gets_no_traceback():
    read, write = os.pipe()
    os.close(read)
    done = started("--version", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


# train


def parsed(*arguments) -> snnq.Run:
    found = parsers("train")[0].parse_args(["train", *arguments])
    return snnq.Run(**{field.name: getattr(found, field.name) for field in fields(snnq.Run)})


def test_options_are_the_settings_of_a_run():
    assert set(HELP) == {field.name for field in fields(snnq.Run)}
    assert parsed() == snnq.Run() and snnq.Run().learned == ("alpha",)


def test_help_names_what_may_be_chosen():
    for setting, names in {
        "benchmark": snnq.BENCHMARKS,
        "levels": snnq.LEVELS,
        "network": NETWORKS,
        "neuron": NEURONS,
        "cut": CUTS,
        "augmentation": AUGMENTATIONS,
        "quantizer": snnq.QUANTIZERS,
        "temperature_schedule": TEMPERATURE_SCHEDULES,
        "biases": BIASES,
        "learned": SCALES,
    }.items():
        assert set(names) <= set(HELP[setting].replace(",", " ").split())


def test_every_setting_arrives_as_it_is():
    settings = {
        "benchmark": "cifar10dvs",
        "levels": (-2, -1, 0, 1.5),
        "data": "a folder",
        "seed": 3,
        "order": 2,
        "epochs": 2,
        "batch_size": 5,
        "learning_rate": 1e-5,
        "network": "vgg11",
        "channels": 7,
        "neuron": "lif",
        "steps": None,
        "cut": "time",
        "membrane_bits": 6,
        "size": 48,
        "split": "90/10",
        "augmentation": "none",  # a name here, no None
        "start": "results/runs/full",
        "keep": (),
        "quantizer": "lsq",
        "temperature_schedule": "linear",
        "temperature_initial": 1.0,
        "temperature_final": 40.0,
        "backward_temperature": None,
        "biases": "uniform",
        "learned": ("beta",),
        "harden": (0.2, 0.75),
        "faults": "step, stuck_at_0=0.1, device=3",
        "validation": 0.0,
        "device": "cpu",
        "precision": "tf32",
        "arithmetic": "weights=posit8_es2,moments=int8:stochastic",
        "cuda_graph": True,
        "soft_every": None,
    }
    run = snnq.Run(**settings)
    defaults = {field.name for field in fields(snnq.Run) if getattr(run, field.name) == field.default}
    assert defaults == {"full_epochs", "full_learning_rate"}  # which do not go with a start
    of_full_part = parsed("--full-epochs", "3", "--full-learning-rate", "0.1")
    assert of_full_part == snnq.Run(full_epochs=3, full_learning_rate=0.1)
    lists = ["--levels=-2,-1,0,1.5", "--keep", "--learned", "beta", "--harden", "0.2", "0.75"]
    others = {name: value for name, value in settings.items() if not isinstance(value, tuple)}
    options = as_options(others | {name: "none" for name in others if others[name] is None})
    assert parsed(*lists, *options) == run and parsed(*lists, *options).name == run.name
    assert parsed("--keep", "first", "last").keep == ("first", "last")
    for given in (["--levels", "<1000=4bit,rest=binary"], ["--levels=rest=binary, <1000=4bit"]):
        assert parsed(*given).levels == (("<1000", "4bit"), ("rest", "binary"))


def test_values_of_another_type_are_refused(capsys):
    for given, expected in (
        (["--epochs", "1.5"], "argument --epochs: '1.5': expected a whole number"),
        (["--steps", "ten"], "argument --steps: 'ten': expected a whole number or none"),
        (["--validation", "a"], "argument --validation: 'a': expected a number"),
    ):
        assert refused(capsys, "train", *given) == f"snnq train: error: {expected}"


def test_train_leaves_what_fit_leaves(tiny, in_tmp, said):
    settings = tiny | {"levels": "ternary", "batch_size": 8}
    fit(settings, in_tmp / "fit")
    options = [option.replace("--batch-size", "--batch_size") for option in as_options(settings)]
    code, out, errors = said("train", *options, "--folder", "cli", "--quiet", "--log=tensorboard")
    assert (code, errors) == (0, [])
    assert results(in_tmp / "cli") == results(in_tmp / "fit")
    assert snnq.read_record("cli")["run"] == snnq.read_record("fit")["run"]
    assert list((in_tmp / "cli").glob("events.out.tfevents*"))
    accuracy = snnq.read_record("cli")["accuracy"]
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert "N-MNIST, real, ternary, seed 0: accuracy on 40 test samples" in out
    assert ["record", "cli/run.json"] in lines and "cli/packed.safetensors" in out
    shown = [line.split()[-1] for line in out.splitlines() if line.endswith("%")]
    ways = "last", "last_soft", "validation", "best"
    assert shown == [f"{accuracy[way]:.2%}" for way in ways]
    batches = settings["epochs"] * -(-snnq.read_record("cli")["recordings"]["train"] // 8)
    assert f"after {batches} batches in all, which are few: " in out


def test_without_a_folder_it_is_named_by_the_run(tiny, in_tmp, said):
    settings = tiny | {"levels": "full", "epochs": 1}
    code, out, _ = said("train", *as_options(settings))
    folder = in_tmp / "results/runs" / snnq.Run(**settings).name
    assert code == 0 and (folder / "run.json").exists() and "soft" not in out
    before, after = out.split("N-MNIST, real", 2)[1:]
    assert "30 training, 10 validation, 40 test samples" in before and "BatchNorm2d" in before
    assert "after the last epoch" in after
    code, again, _ = said("train", *as_options(settings))
    assert code == 0 and again == f"N-MNIST, real{after}"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--epochs=0", "epochs=0: expected a whole number of at least 1"),
        ("--neuron=relu", "neuron='relu': expected one of plif, lif, if"),
        ("--levels=1,0", "levels=(1.0, 0.0): expected strictly increasing numbers"),
        ("--levels=<9=4bit,layer=binary", "levels: 'layer': expected first, last, rest, <N for"),
        ("--start=nowhere", "nowhere/run.json: not there, so no run was finished in this folder"),
        ("--data=nowhere", "nowhere/NMNIST/Train: no recordings of nmnist here"),
        ("--data=data/digits", "data/digits/NMNIST/Train: no recordings of nmnist here; `snnq sim"),
        ("--device=cuda:99", "device='cuda:99': this machine has"),
    ],
)
def test_what_is_wrong_with_a_run_is_one_line(tiny, in_tmp, said, option, message):
    code, out, (line,) = said("train", *as_options(tiny), option, "--folder=mine")
    assert (code, out) == (1, "") and line.startswith(f"snnq train: {message}")
    assert not (in_tmp / "mine").exists() and not (in_tmp / "results").exists()


def test_another_run_in_the_folder_is_replaced_if_told_to(tiny, in_tmp, said):
    options = [*as_options(tiny | {"epochs": 1}), "--folder=run", "--quiet"]
    assert said("train", *options)[0] == 0
    code, _, (line,) = said("train", *options, "--seed=1")
    assert code == 1 and "seed is 0 there and 1 here" in line
    assert said("train", *options, "--seed=1", "--restart")[0] == 0
    assert snnq.read_record("run")["run"]["seed"] == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_says_so_and_goes_on(tiny, in_tmp, said, monkeypatch, name):
    fit(tiny, in_tmp / "fit")
    options = [*as_options(tiny), "--folder=cli", "--quiet"]
    stop = at_call(2, lambda: signal.raise_signal(getattr(signal, name)), gradients.loss_of)
    with monkeypatch.context() as patched:
        patched.setattr(gradients, "loss_of", stop)
        code, out, (line,) = said("train", *options)
    assert (code, out) == (130, "")
    assert line.startswith(f"snnq train: {name}: saved after step 2 of epoch 1 in cli/full;")
    assert said("train", *options)[0] == 0
    assert results(in_tmp / "cli") == results(in_tmp / "fit")


def test_a_loss_that_is_not_finite_is_one_line(tiny, in_tmp, said):
    code, _, (line,) = said("train", *as_options(tiny | {"learning_rate": 1e38}), "--quiet")
    assert code == 1 and line.startswith("snnq train: epoch 1, step ")
    assert line.endswith("try a lower learning_rate")


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(in_tmp, said):
    root = write_recordings(in_tmp / "data", per_class=1)
    (root / "NMNIST/Train/0/99999.bin").write_bytes(b"")
    (root / "NMNIST/Test/0/99999.bin").write_bytes(bytes(5) * 300)
    (root / "NMNIST/Train/0/99999.bin").write_bytes(bytes(5) * 300)
    code, _, lines = said("frames", "nmnist", root, "--steps=1")
    assert code == 0 and lines == [
        f"snnq frames: warning: nmnist-{split}: 1 counts above 255 were set to 255"
        for split in ("train", "test")
    ]


# simulate and frames


def test_recordings_are_simulated_and_their_frames_counted(in_tmp, said):
    code, out, _ = said("simulate", "data", "--limit", 1)
    assert (code, out) == (0, "simulated recordings in data/NMNIST\n")
    assert said("frames", "nmnist", "data", "--steps", 2)[:2] == (
        0,
        "nmnist: 10 training recordings, simulated\nnmnist: 10 test recordings, simulated\n",
    )


def test_real_recordings_are_a_part_of_the_benchmark(recordings, in_tmp, said):
    assert said("frames", "nmnist", recordings, "--steps", 2)[:2] == (
        0,
        "nmnist: 40 of 60,000 training recordings\nnmnist: 40 of 10,000 test recordings\n",
    )


def test_simulate_leaves_out_what_was_recorded(in_tmp, said):
    (in_tmp / "real/NMNIST/Train/0").mkdir(parents=True)
    (in_tmp / "real/NMNIST/Train/0/00001.bin").write_bytes(bytes(5))
    labels = np.array([0, 5, 0])
    np.savez("pictures.npz", images=np.full((3, 28, 28), 99, dtype=np.uint8), labels=labels)
    shown = "--images", "pictures.npz", "--without", "real"
    assert said("simulate", "data", *shown)[0] == 0
    assert sorted(path.parent.name for path in (in_tmp / "data").rglob("*.bin")) == ["0", "5"]
    assert said("simulate", "other", "--limit", 1, "--skip", 11)[0] == 0
    kept = [int(path.stem) for path in (in_tmp / "other").rglob("Train/*/*.bin")]
    assert len(kept) == 10 and min(kept) == 12
    tested = [int(path.stem) for path in (in_tmp / "other").rglob("Test/*/*.bin")]
    assert min(tested) == 901  # none of the test is skipped


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("simulate data --benchmark mnist", "benchmark='mnist'"),
        ("simulate data --benchmark cifar10dvs", "--images: expected pictures for cifar10dvs"),
        ("simulate data --without here --benchmark dvsgesture", "--without here: expected with"),
        ("simulate data --without here", "--without here: expected with --images of MNIST's pictures alone"),
        ("simulate data --images a.zip --benchmark dvsgesture", "--images a.zip: expected none"),
        ("simulate data --images none.zip", "none.zip: no such file"),
        ("simulate data --skip -1", "--skip -1: expected 0 or more"),
        ("simulate data --skip 1 --benchmark dvsgesture", "--skip 1: expected 0, people are drawn"),
        ("simulate data --limit 0", "--limit 0: expected at least 1"),
        ("frames nmnist nowhere", "nowhere/NMNIST/Train: no recordings of nmnist here"),
        ("frames nmnist nowhere --cut half", "cut='half': expected one of number, time"),
        ("inspect none.safetensors", "none.safetensors: no such file"),
        ("export-c none.safetensors out", "none.safetensors: no such file"),
        ("forecast none.yaml", "[Errno 2] No such file or directory: 'none.yaml'"),
    ],
)
def test_what_is_wrong_is_one_line(in_tmp, said, arguments, message):
    code, out, (line,) = said(*arguments.split())
    assert (code, out) == (1, "")
    assert line.startswith(f"snnq {arguments.split()[0]}: {message}")
    assert list(in_tmp.iterdir()) == []


# inspect and export-c


@pytest.mark.parametrize("levels", ["full", "3bit"])
def test_inspect_shows_layers_and_sizes(levels, tmp_path, said):
    path, model = tmp_path / "net.safetensors", packing.random_network()
    if levels != "full":
        snnq.quantize(model, levels)
    snnq.pack(model, path, source={"seed": 7})
    code, out, _ = said("inspect", path)
    printed = out.splitlines()
    assert code == 0
    assert json.loads(printed[0].split(":", 1)[1]) == model.architecture
    assert json.loads(printed[1].split(":", 1)[1]) == {"seed": 7}
    (linear,) = [line.split() for line in printed if "layers.10 " in line]
    weights, size = 128 * 128, path.stat().st_size
    full = float32_file_bytes(path)
    packed = 4 * weights if levels == "full" else weights * 3 // 8 + 4 * 8
    assert linear[1:3] == ["Linear", "128×128"] and linear[-3] == str(packed)
    assert float(linear[-1]) == pytest.approx(4 * weights / packed, abs=0.05)
    assert f"{size:,} bytes" in printed[-1] and f"{full / size:.2f} times" in printed[-1]


def test_inspect_shows_what_is_in_any_networks_file(tmp_path, said):
    path = tmp_path / "net.safetensors"
    snnq.pack(snnq.quantize(nn.Sequential(nn.Linear(8, 16)), "binary", keep=()), path)
    code, out, _ = said("inspect", path)
    assert code == 0
    printed = out.splitlines()
    expected = "architecture: null", "class: \"torch.nn.modules.container.Sequential\"", "source: null"
    assert printed[:3] == [*expected]
    numbers = 8 * 16 + 16
    assert printed[4].split() == [
        *("0", "16×8", "2", str(numbers)),
        *(str(8 * 16 // 8 + 2 * 4 + 16 * 4), str(4 * numbers), f"{4 * numbers / 88:.1f}"),
    ]


def test_as_a_process_it_ends_with_one_line_and_its_exit_code(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"no such file")
    done = started("inspect", path, capture_output=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"snnq inspect: {path}: ") and done.stderr.count("\n") == 1


def test_export_c_writes_a_program_and_says_how_to_compile_it(peer, tmp_path, said):
    peer("gcc", in_c.GCC)
    frames = in_c.random_frames(9)
    model = in_c.random_network(frames, "binary", benchmark="nmnist", channels=3, size=9)
    snnq.pack(model, tmp_path / "net.safetensors")
    code, out, _ = said("export-c", tmp_path / "net.safetensors", tmp_path / "c öut")
    assert code == 0
    subprocess.run(shlex.split(out), check=True)
    classes, *_ = in_c.run_c(tmp_path / "c öut/net", frames)
    np.testing.assert_array_equal(classes, in_c.predicted(model, frames))


def test_export_c_and_fpga_write_networks_of_integers(tmp_path, said):
    snnq.pack(snnq.quantize(packing.random_network(), "binary"), tmp_path / "net.safetensors")
    command = tmp_path / "net.safetensors", tmp_path / "out", "--membrane-bits", "6"
    assert said("export-c", *command, "--integer")[0] == 0
    header = (tmp_path / "out/net.h").read_text()
    assert "#define INTEGERS" in header and ".least = -32, .most = 31" in header
    code, out, _ = said("export-fpga", *command, "--lanes", "5")
    assert code == 0 and out.split()[:3] == ["make", "-C", str(tmp_path / "out")]
    sizes = set(re.findall(r"\.(?:MEMBRANE|LANES)\(\d+\)", (tmp_path / "out/net.sv").read_text()))
    assert ".MEMBRANE(6)" in sizes and ".LANES(5)" in sizes


# forecast


def profile(tiny: dict) -> str:
    settings = {name: value for name, value in tiny.items() if name != "epochs"}
    keys = {"study": "test", "benchmarks": {"nmnist": {}}, "levels": ["full"], "seeds": [0]}
    return json.dumps(keys | {"settings": settings, "full": {"epochs": 3}, "quantized": {}})


def test_forecast_measures_and_sums_up(tiny, in_tmp, said):
    (in_tmp / "mine.yaml").write_text(profile(tiny))
    code, out, _ = said("forecast", "mine.yaml")
    header, row, summary = out.splitlines()
    assert code == 0 and row.split()[:7] == ["nmnist", "2", "full", "1", "0", "3", "0"]
    assert "seconds_per_epoch" in header
    assert summary.startswith("0 of 1 runs finished, 0 of 3 epochs; about ")
    assert (in_tmp / "results/test/forecast.csv").exists()
    ablation = {"longer": {"levels": ["full"], "changes": {"4": {"settings": {"epochs": 4}}}}}
    (in_tmp / "mine.yaml").write_text(json.dumps(json.loads(profile(tiny)) | {"ablations": ablation}))
    *_, summary = said("forecast", "mine.yaml", "--ablations")[1].splitlines()
    assert summary.startswith("0 of 2 runs finished, 0 of 7 epochs; about ")


def test_a_bad_profile_is_named(in_tmp, said):
    for text, message in (
        ("job: {gpu: 1}", "missing study, benchmarks, levels"),
        ("- 1", "expected keys and values"),
        ("a: [1", "while parsing a flow sequence"),
    ):
        (in_tmp / "a.yaml").write_text(text)
        code, _, (line,) = said("forecast", "a.yaml")
        assert code == 1 and line.startswith(f"snnq forecast: a.yaml: {message}")
