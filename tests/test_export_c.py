import copy
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import fit
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from test_formats import mutated
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

import snnq
from snnq.deployment.export_c import export_c, write_frames
from snnq.deployment.stages import bit_planes
from snnq.networks.models import NEURONS
from snnq.quantization.methods import TrainedTernaryQuantizer

GCC = shutil.which("gcc")
STRICT = ("-O3", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
UNEVEN = (-1, 0.3, 1.7)


@pytest.fixture(autouse=True)
def gcc(peer):
    peer("gcc", GCC)


def compiled(model: nn.Module, folder: Path, *flags: str, **options) -> Path:
    export_c(model, folder, **options)
    program = folder / "net"
    subprocess.run([GCC, "-std=c99", *flags, folder / "net.c", "-o", program], check=True)
    return program


def run_c(program: Path, frames: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Class, synaptic operations, rates and potentials [recordings, T, neurons] of the program."""
    path, potentials = program.parent / "frames.bin", program.parent / "potentials.bin"
    write_frames(path, frames)
    done = subprocess.run(
        [program, "-p", potentials, path], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    classes, operations = np.array([line[:2] for line in lines], int).T
    v = np.fromfile(potentials, np.float32).reshape(*frames.shape[:2], -1)
    return classes, operations, np.array([line[2:] for line in lines], float), v


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, _):
        return self.value


@torch.no_grad()
def in_double(model: nn.Module) -> nn.Module:
    """A network in float64 with the weights that the quantized one has in evaluation."""
    weights = {name: model.get_submodule(name).weight for name in snnq.quantizers(model)}
    plain = copy.deepcopy(model).double().eval()
    for name, weight in weights.items():
        constant = Constant(weight.double())
        parametrize.register_parametrization(plain.get_submodule(name), "weight", constant)
    return plain


@torch.no_grad()
def reference(model: nn.Module, frames: torch.Tensor) -> dict[str, np.ndarray]:
    """What PyTorch computes in float64, and the neurons' own formulas, step by step.

    Potentials are [recordings, T, neurons], neurons as C has them: layer, y, x, channel. The
    margin [recordings] is how near any potential comes to the threshold 1 before the reset.
    """
    seen, inputs = [], []
    model = in_double(model)
    hooks = []
    for module in model.layers:
        if isinstance(module, neuron.BaseNode):
            hooks.append(module.register_forward_hook(lambda m, x, out: seen.append((m, x[0], out))))
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            hooks.append(module.register_forward_hook(lambda m, x, out: inputs.append((m, x[0]))))
    rates = model(frames.transpose(0, 1).double())
    potentials, margins = [], []
    for node, x, spikes in seen:
        v, steps = torch.zeros_like(x[0]), []
        for t in range(len(x)):
            h, threshold = charged(node, v, x[t]), node.v_threshold
            margins.append((h - threshold).abs().flatten(1).amin(1))
            assert torch.equal(spikes[t], (h >= threshold).double())
            v = torch.where(h >= threshold, 0.0, h)
            steps.append(v)
        v = torch.stack(steps, 1)
        potentials.append((v.movedim(2, -1) if v.ndim == 5 else v).flatten(2))
    return {
        "rates": rates.numpy(),
        "potentials": torch.cat(potentials, -1).numpy() if potentials else None,
        "margin": torch.stack(margins).amin(0).numpy(),
        "activity": np.array([spikes.mean().item() for _, _, spikes in seen]),
        "inputs": inputs,
    }


def charged(node: nn.Module, v: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The potential before the reset."""
    if isinstance(node, neuron.IFNode):
        return v + x
    k = leak_of(node)
    return v + (x - v) * k if node.decay_input else v + x - v * k


def leak_of(node: nn.Module) -> float:
    return 1 / node.tau if isinstance(node, neuron.LIFNode) else node.w.double().sigmoid()


@torch.no_grad()
def predicted(model: nn.Module, frames: torch.Tensor) -> np.ndarray:
    """The class of each recording in float32, its votes averaged in float64.

    In float32 the sum over time steps depends on its order, which in PyTorch depends on the batch
    size; where two classes get equally many votes, so would the class.
    """
    functional.reset_net(model)
    votes = model.layers(frames.transpose(0, 1).float())
    functional.reset_net(model)
    return votes.double().mean(0).float().argmax(1).numpy()


def random_network(frames, levels, quantizer=snnq.SigmoidQuantizer, keep=("first",), **options):
    """A network with random weights and batch norms whose neurons fire at these frames."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = snnq.build_model(**options).eval()
        enliven(model, frames)
        if levels != "full":
            snnq.quantize(model, levels, keep, quantizer)
            enliven(model, frames)
    return model.eval()


@torch.no_grad()
def enliven(model, frames):
    """Give the inputs of neurons a spread of about the threshold, layer after layer."""
    x = frames.transpose(0, 1).float()
    for module in model.layers:
        if isinstance(module, nn.BatchNorm2d):
            flat = x.flatten(0, 1).transpose(0, 1).flatten(1)
            module.running_mean.copy_(flat.mean(1) + 0.1 * torch.randn(len(flat)))
            module.running_var.copy_(flat.var(1) * torch.empty(len(flat)).uniform_(0.5, 2) + 0.01)
            if module.affine:
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.8)
        elif isinstance(module, nn.Linear) and not parametrize.is_parametrized(module):
            module.weight.mul_(1.5 / module(x).std())
        x = module(x)
    functional.reset_net(model)


def random_frames(size: int | tuple[int, int], recordings=3, steps=4, rate=0.4) -> torch.Tensor:
    height, width = (size, size) if isinstance(size, int) else size
    generator = torch.Generator().manual_seed(1)
    shape = (recordings, steps, 2, height, width)
    return torch.poisson(torch.full(shape, rate), generator=generator).to(torch.uint8)


def assert_equals_pytorch(program: Path, model: nn.Module, frames: torch.Tensor) -> None:
    """Every potential, at every step; a spike more or less would change one by about 1."""
    classes, _, rates, v = run_c(program, frames)
    expected = reference(model, frames)
    assert (0.005 < expected["activity"]).all() and (expected["activity"] < 0.6).all()
    potentials = expected["potentials"]
    np.testing.assert_allclose(v[..., : potentials.shape[2]], potentials, rtol=0, atol=1e-4)
    np.testing.assert_allclose(rates, expected["rates"], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(classes, predicted(model, frames))


def trained_ternary(weight, levels):
    """Its two values apart, as they are after training."""
    quantizer = TrainedTernaryQuantizer(weight, levels)
    quantizer.alphas.data *= torch.tensor([0.97, 1.03])
    return quantizer


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("levels", [*snnq.LEVELS, UNEVEN, "trained ternary", "full"], ids=str)
def test_every_level_set_and_neuron(tmp_path, levels, neuron):
    """Five channels do not fill a byte, 9x9 pixels not the pooling."""
    frames, quantizer = random_frames(9), snnq.SigmoidQuantizer
    if levels == "trained ternary":
        levels, quantizer = "ternary", trained_ternary
    model = random_network(
        frames, levels, quantizer, benchmark="nmnist", neuron=neuron, channels=5, size=9
    )
    assert_equals_pytorch(compiled(model, tmp_path, "-O1"), model, frames)


@pytest.mark.parametrize("quantizer", [snnq.SigmoidQuantizer, snnq.QUANTIZERS["rounding"]])
def test_levels_of_each_layer(tmp_path, quantizer):
    """Packed first: the program is written of a file's network as of the trained one."""
    frames, mixed = random_frames(9), {"layers.4": "4bit", "last": UNEVEN, "rest": "ternary"}
    model = random_network(frames, mixed, quantizer, (), benchmark="nmnist", channels=5, size=9)
    assert [len(of.levels) for of in snnq.quantizers(model).values()] == [3, 16, 3, 3]
    snnq.pack(model, tmp_path / "net.safetensors")
    program = compiled(snnq.unpack(tmp_path / "net.safetensors"), tmp_path, *STRICT)
    assert_equals_pytorch(program, model, frames)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (34, {"benchmark": "nmnist", "channels": 9}),
        (40, {"benchmark": "dvsgesture", "channels": 3}),
        (17, {"benchmark": "cifar10dvs", "channels": 4}),
        ((180, 240), {"benchmark": "ncaltech101", "channels": 2, "size": None}),
        (19, {"benchmark": "cifar10dvs", "channels": 4, "network": "vgg11"}),
        (27, {"benchmark": "cifar10dvs", "channels": 4, "network": "vgg11_gap"}),
        (37, {"benchmark": "cifar10dvs", "channels": 8, "network": "spiking_vgg11"}),
        (10, {"benchmark": "nmnist", "channels": 6, "keep": ()}),
        (10, {"benchmark": "nmnist", "channels": 6, "keep": ("first", "last")}),
    ],
)
def test_every_network(tmp_path, size, options):
    frames = random_frames(size, recordings=2, steps=3)
    model = random_network(frames, "binary", **({"size": size} | options))
    frames[0, 0, 0, 1, 1] = 255
    assert_equals_pytorch(compiled(model, tmp_path, *STRICT), model, frames)


@pytest.mark.parametrize("keep", [("first",), ()])
def test_synaptic_operations_are_the_weights_that_spikes_reach(tmp_path, keep):
    frames = random_frames(9)
    model = random_network(frames, "ternary", keep=keep, benchmark="nmnist", channels=5, size=9)
    _, operations, *_ = run_c(compiled(model, tmp_path, "-O1"), frames)
    expected = 0
    for module, x in reference(model, frames)["inputs"]:
        # Float weights are multiplied by a count, others added as often.
        spikes = (x > 0).double() if keep and getattr(module, 'in_channels', 0) == 2 else x
        if isinstance(module, nn.Linear):
            expected += spikes.sum((0, 2)) * module.out_features
        else:
            reached = F.conv2d(spikes.sum((0, 2))[:, None], torch.ones_like(x[0, :1, :1, :3, :3]), padding=1)
            expected += reached.sum((1, 2, 3)) * module.out_channels
    np.testing.assert_array_equal(operations, expected)


@given(st.lists(st.integers(-40, 40), min_size=2, max_size=9, unique=True), st.floats(0.01, 3))
def test_bits_stand_for_the_levels(levels, scale):
    levels = np.sort(np.array(levels, float))
    alpha, planes = bit_planes(levels, scale * levels)
    sums = planes["base"] + planes["bits"] @ planes["units"]
    np.testing.assert_allclose(alpha * sums, scale * levels, atol=1e-9)


@pytest.mark.parametrize(
    ("levels", "planes"),
    [("binary", 1), ("ternary", 2), ("2bit", 2), ("3bit", 3), ("4bit", 4), ("pm2", 3), ("pm4", 4)],
)
def test_weights_take_their_real_width(levels, planes):
    levels = np.array(snnq.LEVELS[levels], float)
    assert bit_planes(levels, levels)[1]["bits"].shape == (len(levels), planes)


def test_trained_ternary_values_are_kept_apart():
    alpha, planes = bit_planes(np.array([-1.0, 0, 1]), np.array([-0.3, 0, 0.7]))
    np.testing.assert_allclose(
        alpha * (planes["base"] + planes["bits"] @ planes["units"]), [-0.3, 0, 0.7], atol=1e-12
    )


def test_header_holds_a_bit_per_binary_weight(tmp_path):
    model = snnq.quantize(snnq.build_model("nmnist", channels=64, size=4), "binary")
    export_c(model, tmp_path)
    words = (tmp_path / "net.h").read_text().count("0x")
    bits = [64 * 9 * 64, 64 * 2048, 2048 * 128]  # the last layer's 100 neurons take two words
    zeros = [64, 2048, 128]  # a row for each layer
    assert words == sum(bits + zeros) / 64


@pytest.fixture(scope="module")
def tiny_program(tmp_path_factory) -> Path:
    model = snnq.quantize(snnq.build_model("nmnist", channels=2, size=4), "binary")
    return compiled(model, tmp_path_factory.mktemp("tiny"), *SANITIZED)


FIELDS = ("version", "recordings", "steps", "channels", "height", "width")


def frames_file(size: int | None = None, magic=b"SNNF", **fields) -> bytes:
    """Of two recordings of three steps, unless told otherwise."""
    values = {"version": 1, "recordings": 2, "steps": 3, "channels": 2, "height": 4, "width": 4}
    content = magic + struct.pack("<6I", *(values | fields).values()) + bytes(range(192))
    return content if size is None else (content + bytes(100))[:size]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no file of frames"),
        (frames_file(27), "no file of frames"),
        (frames_file(magic=b"SNNG"), "no file of frames"),
        (frames_file(version=2), "version 2, expected 1"),
        (frames_file(channels=3), "channels 3, expected 2"),
        (frames_file(height=2**32 - 1), "height 4294967295, expected 4"),
        (frames_file(width=0), "width 0, expected 4"),
        (frames_file(recordings=0), "no recording or no time step"),
        (frames_file(steps=0), "no recording or no time step"),
        (frames_file(219), "time steps of all recordings 5, expected 6"),
        (frames_file(221), "bytes after them 1, expected 0"),
        (frames_file(recordings=2**32 - 1), "steps of all recordings 6, expected 12884901885"),
        (
            frames_file(recordings=2**32 - 1, steps=2**32 - 1),
            "steps of all recordings 6, expected 18446744065119617025",
        ),
    ],
)
def test_the_program_refuses_other_files_and_goes_on(tmp_path, tiny_program, content, message):
    bad, good = tmp_path / "bad.bin", tmp_path / "good.bin"
    bad.write_bytes(content)
    good.write_bytes(frames_file())
    done = subprocess.run([tiny_program, bad, good], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 2
    assert done.stderr.startswith(f"{bad}: ") and done.stderr.endswith(f"{message}\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage: net [-p potentials] frames ..."),
        (("-p", "potentials"), "usage: net"),
        (("not there",), "not there: cannot be opened"),
        ((".",), ".: no file of frames"),
        (("-p", "no/such/folder", "frames.bin"), "no/such/folder: cannot be written"),
        (("-p", "/dev/full", "frames.bin"), "/dev/full: cannot be written"),
    ],
)
def test_the_program_refuses_other_arguments(tmp_path, tiny_program, arguments, message):
    (tmp_path / "frames.bin").write_bytes(frames_file())
    done = subprocess.run([tiny_program, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_mutated_files_are_read_or_refused(tmp_path, tiny_program, pytestconfig):
    """Under the address and the undefined-behaviour sanitizer, which end the program."""
    mutations, rng = pytestconfig.getoption("mutations"), np.random.default_rng(0)
    written = [
        mutated(frames_file(recordings=1, size=124), rng) if i % 2 else altered(rng)
        for i in range(mutations)
    ]
    accepted = []
    for first in range(0, mutations, 1000):
        paths = [tmp_path / str(i) for i in range(first, min(first + 1000, mutations))]
        for path, content in zip(paths, written[first:]):
            path.write_bytes(content)
        done = subprocess.run([tiny_program, *paths], capture_output=True, text=True)
        refused = [line.split(":")[0] for line in done.stderr.splitlines()]
        fitting = [path for path in paths if fits(path.read_bytes())]
        assert refused == [str(path) for path in paths if path not in fitting]
        assert len(done.stdout.splitlines()) == sum(
            struct.unpack_from("<I", path.read_bytes(), 8)[0] for path in fitting
        )
        accepted += fitting
    assert mutations / 50 < len(accepted) < mutations / 2


def altered(rng: np.random.Generator) -> bytes:
    """A file with one field of its header set to a number that it may fit, or far from it."""
    field = FIELDS[rng.integers(6)]
    return frames_file(**{field: int(rng.choice([0, 1, 2, 3, 4, 6, 2**16, 2**31, 2**32 - 1]))})


def fits(content: bytes) -> bool:
    if len(content) < 28 or content[:4] != b"SNNF":
        return False
    version, recordings, steps, *shape = struct.unpack_from("<6I", content, 4)
    size = recordings * steps * 32
    return version == 1 and shape == [2, 4, 4] and size > 0 and len(content) == 28 + size


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 1, 2, 4, 4)), r"frames are float64 \[1, 1, 2, 4, 4\]"),
        (np.zeros((1, 2, 4, 4), np.uint8), r"uint8 \[1, 2, 4, 4\], expected uint8"),
        (np.zeros((0, 1, 2, 4, 4), np.uint8), r"\[0, 1, 2, 4, 4\]"),
    ],
)
def test_other_arrays_are_no_frames(tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        write_frames(tmp_path / "frames.bin", frames)
    assert not list(tmp_path.iterdir())


def test_what_is_no_such_network_is_refused(tmp_path):
    model = snnq.build_model("nmnist", channels=2, size=4)
    model.layers[1].weight.data[1] = torch.nan
    with pytest.raises(ValueError, match="layers.0: its scale are not all finite"):
        export_c(model, tmp_path)
    model = snnq.build_model("nmnist", channels=2, size=4)
    model.layers[2] = neuron.QIFNode()
    with pytest.raises(ValueError, match="layers.2: cannot be written as C: QIFNode"):
        export_c(model, tmp_path)
    model.layers[2] = nn.ReLU()
    with pytest.raises(ValueError, match="layers.2: cannot be written as C: relu of ReLU"):
        export_c(model, tmp_path)
    model = snnq.build_model("nmnist", channels=2, network="sew_resnet18")
    with pytest.raises(ValueError, match="layers.4: cannot be written as C: add of BasicBlock"):
        export_c(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_real_recordings_are_classified_as_by_pytorch(tmp_path, real_data, in_tmp):
    """A network trained on real N-MNIST recordings, on the 800 there are.

    A spike may differ where a potential comes so near to the threshold that rounding decides,
    of which each recording that differs must have one.
    """
    settings = {"data": str(real_data), "channels": 4, "epochs": 4, "steps": 3, "device": "cpu"}
    fit(settings | {"levels": "binary"}, tmp_path / "run")
    model = snnq.trained_network(tmp_path / "run")
    splits = snnq.load("nmnist", real_data, 3)
    frames = torch.from_numpy(np.concatenate([split.frames for split in splits]))
    classes, _, rates, v = run_c(compiled(model, tmp_path, "-O3"), frames)
    expected = reference(model, frames)
    different = np.abs(v - expected["potentials"]).max((1, 2)) > 1e-4
    assert (expected["margin"][different] < 1e-5).all() and different.mean() < 0.01
    np.testing.assert_array_equal(classes, predicted(model, frames))
    assert len(np.unique(classes)) > 3


def changed_network(number: int, module: nn.Module | None, levels: str = "full", **settings):
    """One of ours with another layer, or other settings of one, in the place of one of its own."""
    frames = random_frames(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = snnq.build_model("nmnist", channels=4, size=8, **settings.pop("build", {})).eval()
        if module is not None:
            functional.set_step_mode(module, "m")
            model.layers[number] = module.eval()
        for name, value in settings.items():
            setattr(model.layers[number], name, value)
        if isinstance(module, layer.Dropout):  # in the place of batch norm
            model.layers[number - 1].weight.data.mul_(8)
        functional.net_config.invalidate_reset_cache(model)
        enliven(model, frames)
        if levels != "full":
            snnq.quantize(model, levels, ("first",))
            enliven(model, frames)
    return model, frames


def conv(inputs, **settings):
    return layer.Conv2d(inputs, 4, **({"kernel_size": 3, "padding": 1, "bias": False} | settings))


@pytest.mark.parametrize("levels", ["2bit", "full"])
@pytest.mark.parametrize(
    ("number", "module", "settings"),
    [
        (0, lambda: conv(2, bias=True), {}),
        (4, lambda: conv(4, bias=True), {}),
        (0, lambda: conv(2, kernel_size=5, padding=2), {}),
        (4, lambda: conv(4, kernel_size=1, padding=0, bias=True), {}),
        (4, lambda: conv(4, padding="same"), {}),
        (10, lambda: layer.Linear(16, 256, bias=True), {}),
        (5, lambda: layer.BatchNorm2d(4, affine=False), {}),
        (5, lambda: layer.BatchNorm2d(4, eps=0.1), {}),
        (3, lambda: layer.AvgPool2d(2, 2), {}),
        (3, lambda: layer.MaxPool2d((2, 2)), {}),
        (2, lambda: neuron.LIFNode(tau=3.0, decay_input=False), {}),
        (2, lambda: neuron.ParametricLIFNode(init_tau=3.0, decay_input=False), {}),
        (2, lambda: neuron.LIFNode(tau=3.0, v_threshold=0.7), {}),
        (6, lambda: neuron.IFNode(v_threshold=1.5), {}),
        (14, None, {"v_threshold": 0.6}),
        (5, lambda: layer.Dropout(0.5), {}),
    ],
)
def test_what_is_computed_is_what_pytorch_computes(tmp_path, levels, number, module, settings):
    model, frames = changed_network(number, module and module(), levels, **settings)
    with torch.no_grad():  # biases that matter
        for part in model.layers:
            if isinstance(part, (nn.Conv2d, nn.Linear)) and part.bias is not None:
                part.bias.copy_(torch.linspace(-0.3, 0.5, len(part.bias)))
    program = compiled(model, tmp_path, "-O1")
    _, _, rates, v = run_c(program, frames)
    expected = reference(model, frames)
    assert expected["activity"].min() > 0
    np.testing.assert_allclose(v, expected["potentials"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(rates, expected["rates"], rtol=1e-5, atol=1e-5)


class Masked(layer.Conv2d):
    def forward(self, x):
        return super().forward(x) * 0.5


@pytest.mark.parametrize(
    ("number", "module", "message"),
    [
        (4, conv(4, dilation=2, padding=2), "dilation"),
        (4, conv(4, padding_mode="circular"), "padding_mode=circular"),
        (4, conv(4, kernel_size=2, padding="same"), "padding=same"),
        (4, conv(3), "cannot be run with an input of .* to have 3 channels"),
        (4, Masked(4, 4, 3, padding=1), "Masked"),
        (4, layer.ConvTranspose2d(4, 4, 3, padding=1), "ConvTranspose2d"),
        (5, layer.BatchNorm2d(4, track_running_stats=False), "track_running_stats"),
        (5, layer.ThresholdDependentBatchNorm2d(1.0, 1.0, 4), "ThresholdDependentBatchNorm2d"),
        (5, neuron.IFNode(), "place after=IFNode"),
        (6, layer.BatchNorm2d(4), "place after=BatchNorm2d"),
        (6, layer.Dropout(0.5), "place after=BatchNorm2d of MaxPool2d"),
        (3, layer.MaxPool2d(3, 2, padding=1), "stride=2"),
        (7, layer.MaxPool2d(2, ceil_mode=True), "ceil_mode=True"),
        (7, layer.AvgPool2d(2, 2, divisor_override=3), "divisor_override=3"),
        (7, layer.MaxPool2d(2, 2, return_indices=True), "returns no tensor"),
        (2, neuron.LIFNode(v_reset=float("nan")), "v_reset=nan"),
        (2, neuron.IFNode(v_threshold=float("inf")), "v_threshold=inf"),
        (2, neuron.EIFNode(), "EIFNode"),
        (11, layer.Dropout(0.5), "place after=Linear of Linear"),
        (15, layer.VotingLayer(5), None),
        (14, layer.Dropout(0.5), None),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_what_is_not_computed_is_refused_by_name(tmp_path, number, module, message):
    module = copy.deepcopy(module)
    functional.set_step_mode(module, "m")
    model = snnq.build_model("nmnist", channels=4, size=8).eval()
    model.layers[number] = module
    if message is None:  # this one is
        export_c(model, tmp_path)
        return
    with pytest.raises(ValueError, match=f"layers..*{message}"):
        export_c(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_single_step_mode_and_other_forwards_are_refused(tmp_path):
    model = snnq.build_model("nmnist", channels=4, size=8).eval()
    functional.set_step_mode(model.layers[2], "s")
    with pytest.raises(ValueError, match="layers.2: .*step_mode=s"):
        export_c(model, tmp_path)

    class Doubled(type(model)):
        def forward(self, frames):
            return super().forward(2 * frames)

    model = snnq.build_model("nmnist", channels=4, size=8).eval()
    model.__class__ = Doubled
    with pytest.raises(ValueError, match="model: cannot be written as C: mul of Doubled"):
        export_c(model, tmp_path)


def test_a_parametrization_after_the_quantizer_is_refused(tmp_path):
    model = snnq.quantize(snnq.build_model("nmnist", channels=4, size=8), "binary").eval()

    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    parametrize.register_parametrization(model.layers[4], "weight", Doubled())
    with pytest.raises(ValueError, match="layers.4: its weight in evaluation is not"):
        export_c(model, tmp_path)
