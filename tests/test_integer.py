"""Networks of integers: against their formula in Python's own integers, C, and SpikingJelly."""

import math
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from test_export_any import Vgg, all_convolutions, counts, enlivened, networks
from test_export_c import GCC, SANITIZED, STRICT, compiled, in_double
from torch import nn

import snnq
from snnq.deployment.export_c import export_c, write_frames
from snnq.deployment.integer import to_integer

BITS = st.sampled_from([2, 3, 5, 8, 12, 20])


def seen_by(network, frames):
    """Spikes and potentials of each stage, [recordings, steps, y, x, channels]."""
    seen = []
    rates = network(frames.transpose(0, 1), lambda i, *found: seen.append(found))
    return rates, [[x.transpose(0, 1).movedim(2, -1).numpy() for x in found] for found in seen]


def by_formula(stage, inputs):
    """The same of one recording, from inputs [steps, y, x, channels], number by number."""
    place, (m, q) = stage.place, stage.leak
    channels, height, width = place.neurons
    of_group = channels // place.groups, place.image[0] // place.groups
    v = np.zeros((height, width, channels), object)
    spikes, potentials = [], []
    for image in inputs:
        spike = np.zeros_like(v)
        for y, x, c in np.ndindex(height, width, channels):
            group, column = divmod(c, of_group[0])
            total, row = 0, group * len(stage.weights) // place.groups
            for ky, kx, i in np.ndindex(*place.kernel, of_group[1]):
                at = y * place.stride[0] + ky - place.padding[0], x * place.stride[1] + kx - place.padding[1]
                if 0 <= at[0] < image.shape[0] and 0 <= at[1] < image.shape[1]:
                    total += int(stage.weights[row, column]) * int(image[*at, group * of_group[1] + i])
                row += 1
            f, b = int(stage.shift[c]), int(stage.offset[c])
            added = math.floor((total + b) / 2**-f) if f < 0 else total * 2**f + b
            h = v[y, x, c] - math.floor((m * v[y, x, c] + 2**q / 2 * (q > 0)) / 2**q) + added
            h = max(-(2 ** (stage.membrane_bits - 1)), min(2 ** (stage.membrane_bits - 1) - 1, h))
            fires = stage.threshold is not None and h >= stage.threshold[c]
            spike[y, x, c] = int(fires)
            v[y, x, c] = (h - stage.threshold[c] if place.soft else 0) if fires else h
        spikes.append(spike)
        potentials.append(v.copy())
    return np.array(spikes), np.array(potentials)


def pooled(stage, spikes):
    (height, width), (_, rows, columns) = stage.place.pool, stage.place.output
    out = np.zeros((len(spikes), rows, columns, spikes.shape[-1]), object)
    for t, y, x, c in np.ndindex(*out.shape):
        window = spikes[t, y * height : (y + 1) * height, x * width : (x + 1) * width, c]
        out[t, y, x, c] = window.sum() if stage.place.pool_adds else window.max()
    return out


@settings(max_examples=8)
@given(networks(), BITS, st.sampled_from([None, 1, 8]), st.integers(0, 99))
def test_what_torch_computes_is_the_formula(drawn, bits, leak_bits, seed):
    model, shape, levels = drawn
    torch.manual_seed(seed)
    frames = counts(shape, recordings=1, steps=3)
    network = integer(model, frames, levels, bits, leak_bits)
    rates, seen = seen_by(network, frames)
    inputs = frames[0].reshape(3, *network.input_shape).movedim(1, -1).numpy()
    for stage, (spikes, potentials) in zip(network.stages, seen):
        expected = by_formula(stage, inputs)
        np.testing.assert_array_equal(spikes[0], expected[0])
        np.testing.assert_array_equal(potentials[0], expected[1])
        inputs = pooled(stage, expected[0])
    last, votes = network.stages[-1], inputs
    if last.threshold is None:
        votes = expected[1][-1:]
    votes = votes.sum(0).transpose(2, 0, 1).reshape(last.place.classes, -1).sum(1)
    share = rates.sum(0)[0] if last.threshold is not None else rates.mean(0)[0]
    share = share * last.place.voters * last.place.most_spikes
    np.testing.assert_allclose(share, votes.astype(float), rtol=1e-6)


def integer(model, frames, levels, bits, leak_bits=None):
    model = enlivened(model, frames, levels)
    return to_integer(model, bits, leak_bits=leak_bits, input_shape=frames.shape[2:])


def assert_c_computes_the_same(network, frames, *flags):
    rates, seen = seen_by(network, frames)
    with TemporaryDirectory() as folder:
        program = compiled(network, Path(folder), *flags)
        path, dump = Path(folder) / "frames.bin", Path(folder) / "potentials.bin"
        write_frames(path, frames)
        command = [program, "-p", dump, path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = np.fromfile(dump, np.int32).reshape(*frames.shape[:2], -1)
    potentials = [v.reshape(*v.shape[:2], -1) for _, v in seen]
    np.testing.assert_array_equal(found, np.concatenate(potentials, -1))
    lines = np.array([line.split() for line in done.stdout.splitlines()], int)
    place = network.stages[-1].place
    of_each = place.voters * place.most_spikes
    whole = rates.sum(0) if network.stages[-1].threshold is not None else rates.mean(0)
    np.testing.assert_allclose(lines[:, 2:], (whole * of_each).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(lines[:, 0], lines[:, 2:].argmax(1))


@pytest.fixture(scope="module")
def gcc(peer):
    peer("gcc", GCC)


@settings(max_examples=8)
@given(networks(), BITS, st.sampled_from([None, 4]), st.integers(0, 99))
def test_c_computes_the_same(gcc, drawn, bits, leak_bits, seed):
    model, shape, levels = drawn
    torch.manual_seed(seed)
    frames = counts(shape)
    assert_c_computes_the_same(integer(model, frames, levels, bits, leak_bits), frames, "-O0")


@pytest.mark.parametrize("levels", ["full", "ternary"])
@pytest.mark.parametrize(("model", "shape"), [(Vgg, (2, 16, 17)), (all_convolutions, (3, 9, 13))])
def test_c_never_leaves_its_types(gcc, model, shape, levels):
    """Nor its arrays; the greatest counts drive membranes to where they end."""
    torch.manual_seed(0)
    frames = counts(shape)
    frames[0, :2] = 255
    assert_c_computes_the_same(integer(model(), frames, levels, 6), frames, *SANITIZED)


def test_the_c_program_has_no_floating_point_numbers(gcc, tmp_path):
    """The compiler refuses any, without the registers for them."""
    torch.manual_seed(0)
    model = enlivened(all_convolutions(), counts((3, 9, 13)), "binary")
    for which, fits in ((to_integer(model, input_shape=(3, 9, 13)), True), (model, False)):
        export_c(which, tmp_path, input_shape=(3, 9, 13))
        command = [GCC, "-std=c99", *STRICT, "-mgeneral-regs-only", "-c", tmp_path / "net.c"]
        done = subprocess.run([*command, "-o", tmp_path / "net.o"], capture_output=True)
        assert (done.returncode == 0) is fits


def of_powers(leaky: bool, soft: bool) -> nn.Module:
    """All its numbers are small multiples of powers of two: nothing is ever rounded, or clamped."""
    generator = torch.Generator().manual_seed(1)
    reset, unit = None if soft else 0.0, (4 if soft else 2) if leaky else 16
    node = lambda: neuron.LIFNode(2.0, v_reset=reset) if leaky else neuron.IFNode(v_reset=reset)
    model = nn.Sequential(
        layer.Conv2d(2, 3, 3, padding=1), node(), layer.MaxPool2d(2), layer.Flatten(),
        layer.Linear(48, 4), node(),
    )  # fmt: skip
    for module in (model[0], model[4]):
        for values, most, unit in ((module.weight, 3, unit), (module.bias, 5, 4 * unit)):
            whole = torch.randint(-1, most + 1, values.shape, generator=generator)
            values.data = whole / unit
    model[4].weight.data[:, 6:] = 0  # no sum comes to the ends of a membrane
    functional.set_step_mode(model, "m")
    return model.eval()


@pytest.mark.parametrize("leaky", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_where_nothing_is_rounded_it_is_the_network_itself(leaky, soft):
    model, frames = of_powers(leaky, soft), counts((2, 8, 8), recordings=20, steps=5, rate=0.06)
    snnq.quantize(model, tuple(x / ((4 if soft else 2) if leaky else 16) for x in range(-3, 4)), keep=()).eval()
    for quantizer in snnq.quantizers(model).values():
        quantizer.alpha.data.fill_(1.0)
    network = to_integer(model, 20, input_shape=(2, 8, 8))
    _, seen = seen_by(network, frames)
    expected, plain = [], in_double(model)
    for module in plain:
        if isinstance(module, neuron.BaseNode):
            module.register_forward_hook(lambda *call: expected.append(call[2]))
    plain(frames.transpose(0, 1).double())
    for (spikes, _), of_model in zip(seen, expected, strict=True):
        of_model = of_model.reshape(*of_model.shape[:3], *spikes.shape[2:4])
        of_model = of_model.transpose(0, 1).movedim(2, -1).detach()
        np.testing.assert_array_equal(spikes, of_model.numpy())
    assert 0 < np.mean(seen[0][0]) < 0.5


def summing_up(hidden: int = 16) -> nn.Module:
    """Hidden neurons whose numbers are never rounded nor far below rest, and ten classes that sum up,
    with biases."""
    torch.manual_seed(0)
    model = nn.Sequential(layer.Linear(32, hidden, bias=False), neuron.IFNode(), layer.Linear(hidden, 10))
    functional.set_step_mode(model, "m")
    model[0].weight.data.add_(0.1)
    snnq.quantize(model, "binary", keep=()).eval()
    snnq.quantizers(model)["0"].alpha.data.fill_(0.25)
    return model


@pytest.mark.parametrize(("steps", "recordings"), [(8, 300), (600, 5)])
def test_a_last_layer_without_neurons_has_the_classes_of_the_network(gcc, steps, recordings):
    """Its biases are no whole numbers of weights; over many steps no sum comes to an end."""
    model, frames = summing_up(), counts((32,), recordings, steps, 0.3)
    network = to_integer(model, 20, input_shape=(32,))
    found = network(frames.transpose(0, 1)).mean(0)
    expected = in_double(model)(frames.transpose(0, 1).double()).mean(0)
    assert torch.equal(found.argmax(1), expected.argmax(1))
    unit = snnq.quantizers(model)["2"].alpha.item() / 2.0 ** int(network.stages[-1].shift[0]) / steps
    torch.testing.assert_close(found * unit, expected, rtol=0, atol=1e-5)
    assert_c_computes_the_same(network, frames, *SANITIZED)


def of_channels(weights, biases, **settings) -> nn.Module:
    """A convolution with these factors and biases of its batch norm, IF neurons, and five others."""
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False), layer.BatchNorm2d(4), neuron.IFNode(**settings),
        layer.Flatten(), layer.Linear(4 * 36, 5, bias=False), neuron.IFNode(v_threshold=0.3),
    )  # fmt: skip
    model[1].weight.data, model[1].bias.data = torch.tensor(weights), torch.tensor(biases)
    functional.set_step_mode(model, "m")
    return snnq.quantize(model, "binary", keep=()).eval()


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1e-20, -1e-25, 1e-38, 1e-42])
@pytest.mark.parametrize("bits", [5, 12, 20])
def test_channels_that_hardly_see_their_inputs_fire_by_their_biases(gcc, factor, bits):
    frames = counts((2, 6, 6), steps=12)
    model = of_channels([1.0, factor, factor, factor], [0.1, 0.25, 0.5, -0.5], v_threshold=1.0)
    network = to_integer(model, bits, input_shape=(2, 6, 6))
    _, ((spikes, _), _) = seen_by(network, frames)
    of_channel = spikes.transpose(0, 2, 3, 4, 1).reshape(-1, 4, 12)
    for channel, every in ((1, 4), (2, 2), (3, 99)):
        expected = np.arange(1, 13) % every == 0
        np.testing.assert_array_equal(of_channel[:, channel], np.broadcast_to(expected, (72, 12)))
    assert 0 < of_channel[:, 0].mean() < 1
    assert_c_computes_the_same(network, frames, *SANITIZED)


@pytest.mark.parametrize(
    ("factor", "bias", "message"),
    [
        (1.0, math.nan, "0: its scales and shifts are not all finite"),
        (math.nan, 0.0, "0: its scales and shifts are not all finite"),
        (1.0, 1e30, r"0: its sums reach .*e\+\d\d, expected at most 1.07e\+09"),
        (1e20, 0.0, r"0: its sums reach .*e\+\d\d, expected at most 1.07e\+09"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(factor, bias, message):
    model = of_channels([factor, 1.0, 1.0, 1.0], [0.0, bias, 0.1, 0.1])
    with pytest.raises(ValueError, match=message):
        to_integer(model, input_shape=(2, 6, 6))


@pytest.mark.parametrize(("threshold", "reset"), [(0.0, 0.0), (-0.5, None), (-1.0, -1.0)])
def test_a_threshold_that_is_not_above_the_reset_is_refused(threshold, reset):
    model = of_channels([1.0] * 4, [0.1] * 4, v_threshold=threshold, v_reset=reset)
    above = threshold - (reset or 0)
    with pytest.raises(ValueError, match=f"0: v_threshold of its neurons is {above:g} above .*more than 0"):
        to_integer(model, input_shape=(2, 6, 6))
