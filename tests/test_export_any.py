"""Networks that `build_model` does not make, as C: what PyTorch computes, or a refusal by name."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron
from test_export_c import GCC, SANITIZED, STRICT, compiled, in_double, run_c
from torch import nn

import snnq
from snnq.deployment.export_c import export_c


@pytest.fixture(autouse=True)
def gcc(peer):
    peer("gcc", GCC)


def counts(shape, recordings=2, steps=4, rate=0.5) -> torch.Tensor:
    """Frames, uint8 [recordings, steps, *shape]."""
    generator = torch.Generator().manual_seed(1)
    rates = torch.full((recordings, steps, *shape), rate)
    return torch.poisson(rates, generator=generator).to(torch.uint8)


@torch.no_grad()
def enlivened(model: nn.Module, frames: torch.Tensor, levels: str = "full") -> nn.Module:
    """Weights and batch norms with which neurons fire; in evaluation, and quantized."""

    def spread(module, inputs, output):
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(0, 0.5)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            factor = 1.5 / (output.std() + 1e-3)
            for parameter in module.parameters():
                parameter.mul_(factor)
            return output * factor

    functional.set_step_mode(model, "m")
    hooks = [module.register_forward_hook(spread) for module in model.modules()]
    model.eval()(frames.transpose(0, 1).float())
    for hook in hooks:
        hook.remove()
    functional.reset_net(model)
    return model if levels == "full" else snnq.quantize(model, levels, keep=()).eval()


@torch.no_grad()
def assert_computed(model: nn.Module, frames: torch.Tensor, *flags: str) -> None:
    """The same potentials of all neurons at all steps, rates and classes as SpikingJelly's in
    float64; a spike more or less would show."""
    with TemporaryDirectory() as folder:
        export_c_shape = frames.shape[2:]
        program = compiled(model, Path(folder), *flags, input_shape=export_c_shape)
        classes, _, rates, v = run_c(program, frames)
    functional.reset_net(model)
    reference = in_double(model)
    nodes = [module for module in reference.modules() if isinstance(module, neuron.BaseNode)]
    for node in nodes:
        node.store_v_seq = True
    output = reference(frames.transpose(0, 1).double())
    expected = [above_reset(node) for node in nodes]
    if nodes:
        expected = torch.cat(expected, -1).numpy()
        np.testing.assert_allclose(v[..., : expected.shape[-1]], expected, rtol=0, atol=1e-4)
    mean = (output.mean(0) if output.ndim == 3 else output).numpy()
    np.testing.assert_allclose(rates, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mean[range(len(mean)), classes], mean.max(1), rtol=1e-4, atol=1e-4)


def above_reset(node: neuron.BaseNode) -> torch.Tensor:
    """[recordings, steps, neurons], the neurons as C has them: y, x, channel."""
    v = node.v_seq.transpose(0, 1) - (node.v_reset or 0)
    return (v.movedim(2, -1) if v.ndim == 5 else v).flatten(2)


@st.composite
def neurons(draw) -> nn.Module:
    options = {"v_reset": draw(st.sampled_from([None, 0.0, -0.3, 0.2]))}
    options["v_threshold"] = draw(st.sampled_from([1.0, 0.7]))
    if draw(st.booleans()):
        return neuron.IFNode(**options)
    options["decay_input"] = draw(st.booleans())
    kind = draw(st.sampled_from([neuron.LIFNode, neuron.ParametricLIFNode]))
    return kind(3.0, **options)


@st.composite
def blocks(draw, image: tuple[int, int, int]) -> tuple[list[nn.Module], tuple[int, int, int]]:
    """A convolution and what follows it; of torch, or of SpikingJelly."""
    channels, *sides = image
    own = draw(st.booleans())
    library = layer if own else nn
    groups = draw(st.sampled_from([1, channels]))
    padding = tuple(draw(st.integers(0, 3)) for _ in sides)
    kernel = tuple(draw(st.integers(1, min(4, s + 2 * p))) for s, p in zip(sides, padding))
    stride = tuple(draw(st.integers(1, 2)) for _ in sides)
    outputs = groups * draw(st.integers(1, 3))
    places = [(s + 2 * p - k) // d + 1 for s, p, k, d in zip(sides, padding, kernel, stride)]
    convolution = library.Conv2d(
        channels, outputs, kernel, stride, padding, groups=groups, bias=draw(st.booleans())
    )
    stateless = [convolution]
    if draw(st.booleans()):
        stateless.append(library.BatchNorm2d(outputs))
    window = tuple(draw(st.integers(1, min(2, side))) for side in places)
    pool = draw(st.sampled_from([None, library.MaxPool2d(window), library.AvgPool2d(window)]))
    pooled = [] if pool is None else [pool]
    if not own:
        stateless, pooled = [layer.SeqToANNContainer(*stateless)], pooled and [layer.SeqToANNContainer(pool)]
    if pool is not None:
        places = [side // size for side, size in zip(places, window)]
    return [*stateless, draw(neurons()), *pooled], (outputs, *places)


@st.composite
def networks(draw) -> tuple[nn.Module, tuple[int, ...], str]:
    image = tuple(draw(st.integers(1, most)) for most in (3, 8, 9))
    shape, parts = image, []
    for _ in range(draw(st.integers(0, 2))):
        block, image = draw(blocks(image))
        parts.append(nn.Sequential(*block))
    inputs, voters = math.prod(image), draw(st.integers(1, 2))
    if not parts and draw(st.booleans()):
        shape = (inputs,)
    else:
        parts.append(nn.Flatten(2))
    if draw(st.booleans()):
        parts += [layer.Linear(inputs, 7), layer.BatchNorm1d(7), draw(neurons()), layer.Dropout()]
        inputs = 7
    parts.append(nn.Linear(inputs, 3 * voters, bias=draw(st.booleans())))
    if draw(st.booleans()):
        parts.append(draw(neurons()))
    if voters > 1:
        parts.append(layer.VotingLayer(voters))
    return nn.Sequential(*parts), shape, draw(st.sampled_from(["full", "binary", "2bit"]))


@settings(max_examples=12)
@given(networks(), st.integers(0, 99))
def test_what_pytorch_computes(drawn, seed):
    model, shape, levels = drawn
    torch.manual_seed(seed)
    frames = counts(shape)
    assert_computed(enlivened(model, frames, levels), frames, *SANITIZED)
