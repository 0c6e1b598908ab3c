"""Which modules of a network are its neurons, and how often each fires, against their own notes."""

import importlib.util

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

import snnq


class Surrogate(nn.Module):
    def forward(self, v):
        return (v >= 0).to(v)


class WithState(nn.Module):
    """A neuron as norse has them, given its state by the caller; it notes its spikes."""

    def __init__(self):
        super().__init__()
        self.surrogate, self.notes = Surrogate(), []

    def forward(self, x, state=None):
        v = x if state is None else 0.8 * state + x
        spikes = self.surrogate(v - 1)
        self.notes.append(spikes)
        return spikes, v * (1 - spikes)


class Recurrent(WithState):
    """With weights of its own, for more neurons than inputs, which may then be spikes alone."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(2 * torch.rand(4, 3))

    def forward(self, x, state=None):
        return super().forward(x @ self.weights.T, state)


class Twice(nn.Module):
    """The same neurons in two places, each time with all time steps at once."""

    def __init__(self):
        super().__init__()
        self.node = neuron.IFNode(step_mode="m")

    def forward(self, x):
        return self.node(self.node(x))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_neurons_in_as_many_places_as_there_are_steps_have_the_shape_of_one_recording(steps):
    model, frames = Twice(), torch.full((steps, 5, 4), 1.0)
    rates = snnq.neuron_rates(model, frames)
    assert torch.equal(rates["node"], torch.ones(4, dtype=torch.float64))


class Looping(nn.Module):
    """Step by step through time, with modules that make spikes of spikes, or nothing of anything."""

    def __init__(self, cell):
        super().__init__()
        self.linear, self.cell = nn.Linear(6, 3 if isinstance(cell, Recurrent) else 4), cell
        self.pool, self.dropout, self.norm = Pool(), layer.Dropout(), Nothing()
        self.head = nn.Linear(4, 2)

    def forward(self, frames):
        state, outputs = None, []
        for frame in frames:
            x = self.linear(frame)
            x = (x > 0).to(x) if isinstance(self.cell, Recurrent) else x
            spikes, state = self.cell(x=x, state=state)
            outputs.append(self.head(self.dropout(self.pool(spikes)) + self.norm(spikes - 0.5)))
        return torch.stack(outputs)


class Pool(nn.Module):
    def forward(self, x):
        return x.clamp(max=1)


class Nothing(nn.Module):
    def forward(self, x):
        return 0 * x


def inputs(steps=3, recordings=5):
    return torch.poisson(torch.full((steps, recordings, 6), 1.0))


@pytest.mark.parametrize("cell", [WithState, Recurrent])
@pytest.mark.parametrize(("steps", "recordings"), [(3, 5), (4, 4), (1, 4), (2, 1), (5, 4), (4, 5)])
def test_neurons_are_known_by_what_they_do(cell, steps, recordings):
    """Also where there are as many of them as there are steps, or recordings."""
    torch.manual_seed(0)
    model, frames = Looping(cell()).eval(), inputs(steps, recordings)
    nn.init.constant_(model.linear.bias, 1)
    ((name, rates),) = snnq.neuron_rates(model, frames).items()
    expected = torch.stack(model.cell.notes).double().mean((0, 1))
    assert name == "cell" and expected.max() > 0
    torch.testing.assert_close(rates, expected, rtol=1e-12, atol=0)
    assert snnq.firing_rates(model, frames)["cell"] == pytest.approx(expected.mean().item())
    assert not any(module._forward_hooks for module in model.modules())


def test_what_is_no_neuron_by_its_class_has_no_spikes_beside_it():
    """Quantizers of which all levels are -1, 0 or 1 are none either."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), neuron.LIFNode(step_mode="m"), layer.Dropout())
    snnq.quantize(model, "ternary", keep=())
    model[0].parametrizations.weight[0].alpha.data.fill_(1)
    assert list(snnq.firing_rates(model, 9 * inputs())) == pytest.approx([0.5], abs=0.4)
    assert snnq.neuron_rates(model, inputs())["1"].shape == (4,)


class Ladder(nn.Module):
    """A neuron behind another layer, all steps at once, and what is no neuron: its first output is 0
    or 1, its later ones 0 or 2."""

    def __init__(self):
        super().__init__()
        self.linear, self.inner = nn.Linear(6, 4), nn.Sequential(nn.ReLU(), AllSteps())
        self.doubles = Doubles()

    def forward(self, frames):
        spikes = self.inner(self.linear(frames) + 1)
        return torch.stack(
            [self.doubles(step - 0.5, number > 0) for number, step in enumerate(spikes)]
        )


class AllSteps(nn.Module):
    def forward(self, x):
        return (x.cumsum(0) > 1).to(x)


class Doubles(nn.Module):
    def forward(self, x, twice):
        return (1 + twice) * (x > 0).to(x)


def test_no_container_is_a_neuron_nor_what_makes_other_numbers_than_spikes():
    torch.manual_seed(0)
    model, frames = Ladder(), inputs()
    expected = (model.linear(frames) + 1).relu().cumsum(0).gt(1).double().mean((0, 1))
    ((name, rates),) = snnq.neuron_rates(model, frames).items()
    torch.testing.assert_close(rates, expected)
    assert name == "inner.1" and 0 < rates.mean() < 1


class Shared(nn.Module):
    """A neuron without a state that serves two layers of other widths, one of them twice."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.fires = nn.Linear(6, 4), nn.Linear(4, 3), WithState()

    def forward(self, frames):
        (first, _), outputs = self.fires(self.one(frames)), []
        for step in first:
            outputs.append(self.fires(self.two(step))[0])
        return torch.stack(outputs)


def test_a_neuron_that_serves_several_layers():
    torch.manual_seed(0)
    model = Shared()
    for linear in (model.one, model.two):
        nn.init.constant_(linear.bias, 0.9)
    ((name, rates),) = snnq.neuron_rates(model, inputs()).items()
    first, *others = model.fires.notes
    expected = torch.cat([of.double().mean((0, 1)) for of in (first, torch.stack(others))])
    torch.testing.assert_close(rates, expected, rtol=1e-12, atol=0)
    table = snnq.costs(model, inputs()).set_index("layer")
    assert table.loc["fires", "neuron_steps"] == 3 * (4 + 3)
    assert name == "fires" and rates.shape == (7,) and rates.max() > 0


@pytest.mark.parametrize("kind", ["Leaky", "RLeaky", "Synaptic"])
def test_snntorchs_neurons(peer, kind):
    """From rest for each recording, whatever was before, and counted where they return a state."""
    peer("snntorch", importlib.util.find_spec("snntorch"))
    import snntorch

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            options = {"all_to_all": True, "linear_features": 4} if kind == "RLeaky" else {}
            options |= {"alpha": 0.7} if kind == "Synaptic" else {}
            self.linear = nn.Linear(6, 4)
            self.node = getattr(snntorch, kind)(beta=0.8, init_hidden=True, **options)
            self.out = nn.Linear(4, 2)
            self.last = snntorch.Leaky(beta=0.5, init_hidden=True, output=True)

        def forward(self, frames):
            return torch.stack([self.last(self.out(self.node(self.linear(x))))[0] for x in frames])

    torch.manual_seed(0)
    model, notes = Network().eval(), []
    nn.init.constant_(model.linear.bias, 1)
    frames = inputs()
    expected = torch.cat([snnq.predict(model, [(x, 0)])[0] for x in frames.transpose(0, 1)])
    model.node.register_forward_hook(lambda _, __, spikes: notes.append(spikes))
    rates = snnq.neuron_rates(model, frames)
    assert list(rates) == ["node", "last"] and rates["node"].max() > 0
    torch.testing.assert_close(rates["node"], torch.stack(notes).double().mean((0, 1)))
    torch.testing.assert_close(rates["last"], expected.double().mean(0))
    recurrent = ["node.recurrent"] * (kind == "RLeaky")
    found = snnq.operations(model, frames).set_index("layer")["operation"]
    assert found.to_dict() == {"linear": "MAC", "out": "AC"} | dict.fromkeys(recurrent, "AC")
