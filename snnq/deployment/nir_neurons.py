"""Spiking neurons as nodes of the Neuromorphic Intermediate Representation, NIR.

NIR's neurons live in continuous time (Pedersen et al., Nature Communications 2024):

    τ v' = −v + R x,   a spike where v > v_threshold, and then v = 0.

Simulators take Euler steps of dt, v ← v + dt/τ (R x − v). With τ = dt·τ_s and R = 1 that is
SpikingJelly's h = v + (x − v)/τ_s, for PLIF with τ_s = 1/σ(w). Three things are left to say:

- SpikingJelly spikes where h ≥ v_threshold, NIR where v > v_threshold. Written is the greatest
  float32 below the threshold: the spikes are the same also where a potential reaches it exactly.
- Where the input does not decay, h = v − v/τ_s + x, R would be τ_s. A neuron that is reset to 0
  spikes as before when its R and its threshold are divided by the same number: R = 1 and
  v_threshold/τ_s are written, since importers ignore R (norse) or want it to be 1. A neuron that
  is reset to another potential is written as one whose potentials all are that much lower.
- IF, h = v + x, is v' = R x with R = 1/dt.
"""

import nir
import numpy as np
from spikingjelly.activation_based import neuron

from snnq.deployment.nir_export import DT

NEURONS = (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)


def neurons(node: neuron.BaseNode, shape: tuple[int, ...]) -> nir.NIRNode:
    """What one of `NEURONS` is in NIR, for inputs of a shape."""
    below = np.nextafter(np.float32(node.v_threshold - node.v_reset), -np.float32(np.inf))
    threshold = float(below)
    if isinstance(node, neuron.IFNode):
        return nir.IF(r=np.full(shape, 1 / DT), v_threshold=np.full(shape, threshold))
    of_plif = isinstance(node, neuron.ParametricLIFNode)
    tau = 1 / float(node.w.detach().double().sigmoid()) if of_plif else float(node.tau)
    return _lif(shape, tau, threshold if node.decay_input else threshold / tau)


def any_spike(shape: tuple[int, ...]) -> nir.NIRNode:
    """A neuron that spikes at once where its input, a sum of spikes, is not 0.

    With τ_s = 2 one spike brings it to 1/2, and without any it stays at 0; its threshold is 1/4.
    NIR's own `Threshold` is read by no importer.
    """
    return _lif(shape, 2.0, 0.25)


def _lif(shape: tuple[int, ...], tau: float, threshold: float) -> nir.NIRNode:
    """With τ in time steps."""
    ones = np.ones(shape)
    return nir.LIF(tau * DT * ones, ones, 0 * ones, threshold * ones, 0 * ones)
