import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.model import parametric_lif_net
from torch import nn

import snnq
from snnq.networks import kernels
from snnq.networks.fused import Fused, FusedSequential

NODES = {
    "plif": lambda **o: neuron.ParametricLIFNode(1.7, **o),
    "lif": lambda **o: neuron.LIFNode(3.0, **o),
    "if": lambda **o: neuron.IFNode(**o),
}
POOLS = {"max": layer.MaxPool2d, "average": layer.AvgPool2d, "none": None}
MEMORY = {"channels last": -1, "channels first": 2}  # where in memory the channels are, of 5


def node(kind="plif", **options):
    settings = {"v_reset": 0.0, "surrogate_function": surrogate.ATan(), "detach_reset": True}
    return NODES[kind](**settings | options)


def block(channels, kind="plif", pool="max", norm=True, seed=0, **options):
    """Batch norm, neuron and pooling of SpikingJelly, one by one."""
    layers = [layer.BatchNorm2d(channels)] if norm else []
    layers += [node(kind, **options)]
    layers += [POOLS[pool](2, 2)] if POOLS[pool] else []
    made = nn.Sequential(*layers)
    functional.set_step_mode(made, "m")
    generator = torch.Generator().manual_seed(seed)
    for parameter in made[0].parameters() if norm else ():
        parameter.data.uniform_(0.5, 1.5, generator=generator)
    return made


def images(shape, seed, memory="channels first"):
    x = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 0.5
    place = MEMORY[memory]
    return x.movedim(2, place).contiguous().movedim(place, 2)


def passes(model, x, towards):
    """Spikes and last potentials, then gradients by the input and each parameter."""
    functional.reset_net(model)
    x = x.clone().requires_grad_()
    spikes = model(x)
    loss = (spikes * towards.to(spikes)).sum()
    found = torch.autograd.grad(loss, [x, *model.parameters()])
    return spikes.detach(), *(gradient.detach() for gradient in found)


def both(shape, kind, pool, memory, norm, training, seed):
    """Spikes, gradients and last potentials, fused and of the layers in float64, and their scale."""
    expected = block(shape[2], kind, pool, norm, seed).train(training).double()
    ours = snnq.fuse(block(shape[2], kind, pool, norm, seed).train(training))
    x = images(shape, seed, memory)
    towards = torch.randn(expected(x.double()).shape, generator=torch.Generator().manual_seed(1))
    found = *passes(ours, x, towards), ours[norm].v.detach()
    wanted = *passes(expected, x.double(), towards.double()), expected[norm].v.detach()
    return found, wanted, float(x.norm() * towards.norm())


def assert_near(found, wanted, scale):
    for one, other in zip(found[1:-1], wanted[1:-1]):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=3e-6 * scale)
    torch.testing.assert_close(found[-1].double(), wanted[-1], rtol=1e-4, atol=1e-5)


shapes = st.tuples(*(st.integers(1, most) for most in (5, 3, 6, 9, 9))).filter(
    lambda shape: np.prod(shape) > shape[2]  # batch norm needs more than one value
)


@given(
    shape=shapes,
    kind=st.sampled_from(list(NODES)),
    pool=st.sampled_from(list(POOLS)),
    memory=st.sampled_from(list(MEMORY)),
    norm=st.booleans(),
    training=st.booleans(),
    tile=st.sampled_from([(2**12, 2**15), (8, 2**15), (8, 16)]),
    seed=st.integers(0, 2**31),
)
def test_spikes_and_gradients_are_those_of_the_layers_in_float64(
    shape, kind, pool, memory, norm, training, tile, seed
):
    assume(pool == "none" or min(shape[3:]) > 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "TILE", tile[0])
        patch.setattr(kernels, "MOST", tile[1])
        found, wanted, scale = both(shape, kind, pool, memory, norm, training, seed)
    # No potential within rounding of the threshold.
    assume(torch.equal(found[0].double(), wanted[0]))
    assert_near(found, wanted, scale)


def test_almost_every_spike_is_that_of_float64():
    """The test above passes over cases with potentials so near to the threshold."""
    x = images((6, 8, 16, 17, 17), 0)
    wanted = block(16).double()(x.double())
    assert (snnq.fuse(block(16))(x) != wanted).float().mean() < 1e-5


@given(
    shape=shapes,
    kind=st.sampled_from(list(NODES)),
    memory=st.sampled_from(list(MEMORY)),
    seed=st.integers(0, 2**31),
)
def test_spikes_are_spikingjellys_to_the_bit_where_the_batch_norm_is(shape, kind, memory, seed):
    theirs, ours = block(shape[2], kind, "none"), block(shape[2], kind, "none")
    for norm in (theirs[0], ours[0]):
        norm.eval()
        norm.eps = 0.0
        norm.running_var.fill_(4)
        norm.running_mean.fill_(0.25)
        norm.weight.data.fill_(1.0)
        norm.bias.data.fill_(0.125)
    x = images(shape, seed, memory)
    assert torch.equal(snnq.fuse(ours)(x), theirs(x)) and torch.equal(ours[1].v, theirs[1].v)


@given(
    steps=st.integers(1, 6),
    shape=st.sampled_from([(1,), (3, 5), (2, 3, 34, 34), (40_000,)]),
    kind=st.sampled_from(list(NODES)),
    seed=st.integers(0, 2**31),
)
def test_neurons_alone_are_spikingjellys_to_the_bit(steps, shape, kind, seed):
    x = 2 * torch.randn(steps, *shape, generator=torch.Generator().manual_seed(seed))
    towards = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    theirs, ours = (block(1, kind, "none", norm=False) for _ in range(2))
    found, expected = passes(snnq.fuse(ours), x, towards), passes(theirs, x, towards)
    assert torch.equal(found[0], expected[0]) and torch.equal(ours[0].v, theirs[0].v)
    # By w a sum of terms of either sign: where they cancel, as exact as one that does not.
    scale = float(x.norm() * towards.norm()) / x.numel() ** 0.5
    for one, other in zip(found[1:], expected[1:]):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale + 1e-6)


@pytest.mark.parametrize("memory", MEMORY)
def test_the_number_of_threads_and_the_order_in_memory_change_nothing(memory):
    x = images((4, 5, 8, 33, 34), 0, memory)
    towards = torch.randn(4, 5, 8, 16, 17, generator=torch.Generator().manual_seed(1))
    ours, found = snnq.fuse(block(8)), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(passes(copy.deepcopy(ours), x, towards))
    torch.set_num_threads(1)
    assert all(map(torch.equal, *found))
    for one, other in zip(found[0], passes(ours, images((4, 5, 8, 33, 34), 0), towards)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    assert found[0][0].movedim(2, MEMORY[memory]).is_contiguous()


@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}]
)
def test_running_statistics_move_as_torchs(options):
    ours, theirs = (layer.BatchNorm2d(3, step_mode="m", **options) for _ in range(2))
    fused = snnq.fuse(nn.Sequential(ours, node(step_mode="m")))
    for seed in range(3):
        x = images((4, 5, 3, 6, 7), seed)
        functional.reset_net(fused)
        fused(x), theirs(x)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    functional.reset_net(fused)
    expected = nn.Sequential(theirs, node(step_mode="m")).eval()(x)
    assert (fused.eval()(x) != expected).float().mean() < 1e-3


@pytest.mark.parametrize("affine", [True, False])
def test_gradients_reach_the_inputs_of_batch_norm_with_nothing_to_learn(affine):
    gradients = []
    for fuse in (snnq.fuse, nn.Module.train):
        norm = layer.BatchNorm2d(3, step_mode="m", affine=affine).requires_grad_(False)
        x = images((4, 5, 3, 6, 7), 0).requires_grad_()
        fuse(nn.Sequential(norm, node(step_mode="m")))(x).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_far_from_zero_the_variance_stays_exact():
    norm = layer.BatchNorm2d(2, step_mode="m", momentum=1.0)
    x = images((4, 5, 2, 6, 7), 0) + 1000
    snnq.fuse(nn.Sequential(norm, node(step_mode="m")))(x)
    torch.testing.assert_close(
        norm.running_var, x.double().transpose(0, 2).flatten(1).var(1).float()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"detach_reset": False},
        {"surrogate_function": surrogate.Sigmoid()},
        {"v_threshold": 0.5},
        {"v_reset": None},
        {"store_v_seq": True},
        {"decay_input": False},
    ],
)
def test_other_settings_are_spikingjellys_own(change):
    x, towards = images((4, 2, 3, 6, 6), 0), torch.ones(4, 2, 3, 3, 3)
    theirs, ours = block(3, **change), snnq.fuse(block(3, **change))
    assert Fused.of(list(ours)) is None and Fused.of(list(ours)[1:]) is None
    assert all(map(torch.equal, passes(ours, x, towards), passes(theirs, x, towards)))


@pytest.mark.parametrize(
    "pool", [(3, 2), (2, 1), (2, 2, 1), (2, 2, 0, 1, True), (2, 2, 0, 1, False, True)]
)
def test_a_pooling_of_other_windows_is_not_fused(pool):
    kernel, stride, *rest = pool
    options = dict(zip(("padding", "dilation", "return_indices", "ceil_mode"), rest))
    layers = [*block(3, pool="none"), layer.MaxPool2d(kernel, stride, step_mode="m", **options)]
    assert Fused.of(layers).pool is None


def test_hooks_see_the_layers_one_by_one():
    ours, seen = snnq.fuse(block(3)), []
    x = images((4, 2, 3, 6, 6), 0)
    ours[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    pooled = ours(x)
    assert seen[0].shape == x.shape and torch.equal(ours[2](seen[0]), pooled)


def test_a_second_pass_goes_on_where_the_first_ended():
    x = images((6, 2, 3, 6, 6), 0)
    theirs, ours = block(3, norm=False), snnq.fuse(block(3, norm=False))
    for part in (x[:2], x[2:]):
        assert torch.equal(ours(part), theirs(part))


@given(seed=st.integers(0, 2**31), kind=st.sampled_from(list(NODES)))
def test_gradients_pass_from_chunk_to_chunk_as_in_spikingjelly(seed, kind):
    """The first chunk's potentials reach the second's spikes, and its loss the first's inputs."""
    x = 1.5 * torch.randn(6, 40, generator=torch.Generator().manual_seed(seed)) + 0.3
    towards = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    results = []
    for model in (block(1, kind, "none", False), snnq.fuse(block(1, kind, "none", False))):
        inputs = x.clone().requires_grad_()
        model(inputs[:3])
        loss = (model(inputs[3:]) * towards[3:]).sum() + (model[0].v * towards[0]).sum()
        results.append(torch.autograd.grad(loss, [inputs, *model.parameters()]))
    for theirs, ours in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_last_potential_alone_has_a_gradient():
    results = []
    for model in (block(3), snnq.fuse(block(3))):
        x = images((4, 2, 3, 6, 6), 0).requires_grad_()
        model(x)
        results.append(torch.autograd.grad(model[1].v.square().sum(), x)[0])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_second_derivatives_are_refused():
    """They are not computed, and without a word they would be taken for zero."""
    x = images((4, 2, 3, 6, 6), 0).requires_grad_()
    (by_x,) = torch.autograd.grad(snnq.fuse(block(3))(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        by_x.sum().backward()


def test_double_precision_is_spikingjellys_own():
    x = images((4, 2, 3, 6, 6), 0).double()
    assert torch.equal(snnq.fuse(block(3).double())(x), block(3).double()(x))


def test_half_precision_is_computed_in_full():
    x = images((4, 2, 3, 6, 6), 0).bfloat16()
    ours = snnq.fuse(block(3))
    assert torch.equal(ours(x), snnq.fuse(block(3))(x.float())) and ours[1].v.dtype == torch.float32


def test_one_value_per_channel_has_no_variance():
    with pytest.raises(ValueError, match="more than one value per channel"):
        snnq.fuse(block(3, pool="none"))(torch.ones(1, 1, 3, 1, 1))


def test_a_network_of_spikingjelly_fused_and_back():
    torch.manual_seed(0)
    options = {"detach_reset": True, "surrogate_function": surrogate.ATan()}
    net = parametric_lif_net.NMNISTNet(4, neuron.ParametricLIFNode, **options).eval()
    functional.set_step_mode(net, "m")
    x, names = torch.poisson(torch.full((3, 2, 2, 34, 34), 0.3)), list(net.state_dict())
    results = []
    for change in (lambda model: model, snnq.fuse, snnq.unfuse):
        assert change(net) is net and list(net.state_dict()) == names
        functional.reset_net(net)
        results.append(net(x))
    assert torch.equal(results[0], results[2])
    torch.testing.assert_close(results[0], results[1])
    assert not any(isinstance(module, FusedSequential) for module in net.modules())


def test_build_models_networks_are_fused_unless_told():
    x = torch.poisson(
        torch.full((3, 4, 2, 34, 34), 0.3), generator=torch.Generator().manual_seed(0)
    )
    models = []
    for fused in (True, False):
        torch.manual_seed(0)
        models.append(snnq.build_model("nmnist", channels=4, fused=fused).eval())
    assert [type(model.layers) for model in models] == [FusedSequential, nn.Sequential]
    assert models[0].architecture == models[1].architecture
    torch.testing.assert_close(models[0](x), models[1](x))
