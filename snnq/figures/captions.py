"""What each figure of a study shows: how its caption begins. `catalogue` adds of what it is."""

ABLATION = "ablation_"
SHOWS = {
    "quantizer_staircase": "The quantizer's soft output at four temperatures, and its hard one"
    " (dotted), for weights spread evenly from −1 to 1.",
    "quantizer_slope": "The quantizer's true slope at four temperatures, for weights spread evenly"
    " from −1 to 1.",
    "quantizer_soft_to_hard": "How far the soft output is from the hard one, in steps between"
    " levels: mean over 20,000 normally distributed weights.",
    "quantizer_trained_weights": "The weights of each quantized layer after training (grey) on their"
    " staircase: hard, as evaluation sees it, and soft (dashed).",
    "frontier": "Test accuracy after the last epoch against the bytes of the network.",
    "accuracy_against_bits": "Test accuracy after the last epoch by level set.",
    "accuracy_against_operations": "Test accuracy after the last epoch against synaptic operations"
    " whose input and weight are not zero, and the energy of their arithmetic alone, in float32.",
    "hard_and_soft": "Test accuracy by epoch with hard weights, and with soft ones as training sees"
    " them.",
    "weights_in_transition": "Weights that lie between two levels as training sees them. Of lines on"
    " each other the narrower is in front.",
    "weights_in_training": "Where the weights of each quantized layer are on the staircase as"
    " training goes on, in units of the greatest level; dotted the thresholds.",
    "protocol": "Points of test accuracy that other choices of epoch, split or augmentation bring"
    " to a network of the same kind, each interval by itself. The best epoch on the test is never the"
    " worse one, however far its interval reaches.",
    "bytes_by_layer": "Bytes of each layer that holds numbers, packed.",
    "operations_by_layer": "Synaptic operations whose input and weight are not zero, and the energy"
    " of their arithmetic alone, in float32: few bits save none of it.",
    "accuracy_against_faults": "Points of accuracy lost where bits of the stored weights flip, against"
    " flipped bits per weight: mean and s.d. over draws. Grey: what the number of test samples leaves"
    " open, the 95 % interval of the accuracy without faults. Where all bits are signs and these are"
    " protected, nothing flips.",
    "firing_distance_by_layer": "Earth mover's distance of the firing rates to those of full"
    " precision, in spikes per neuron and time step; grey: of full precision to itself.",
    "accuracy_by_epoch": "Test accuracy by epoch with hard weights, all level sets of a width together,"
    " on an axis on which half of the errors is as far everywhere.",
    "difference_beside_published": "Accuracy of low-bit networks minus that of full precision from the"
    " same source, published (filled) and of this study.",
    "accuracy_beside_published": "Accuracies that others published (filled) and those of this study,"
    " with 95 % intervals where the number of test samples is known.",
    "confusions": "Test samples of each class that are taken for each class, in full precision and with"
    " the fewest levels, and the difference.",
    "weights_on_levels": "Effective weight against latent weight before training with levels and after"
    " it; grey the latent weights, beside each panel the effective ones, dashed the levels.",
    "scales_by_epoch": "The scales α and β of each layer as training goes on.",
    "network": "The network's layers with weights and what follows each, from the input down.",
    "spikes_and_membranes": "When neurons fire while two networks see the same recording, and the"
    " membrane potential of one neuron of each layer in both; dashed the threshold.",
    ABLATION: "Points of test accuracy that each change brings against the recipe in the first"
    " line, whose accuracy is there: each run (small points), and mean and 95 % confidence interval of"
    " the paired difference, over seeds and test samples, each by itself. An interval that reaches the"
    " edge goes on; an arrow has the mean of what lies beyond it.",
}


def whole(name: str, of: str) -> str:
    """A figure's caption, of what it shows, where that is written here, and what it is of."""
    shown = SHOWS.get(ABLATION if name.startswith(ABLATION) else name, "")
    of = of and f"{of[0].upper()}{of[1:].removesuffix('.')}."
    return f"{shown} {of}".strip()
