"""A network of integers as Verilog that can be simulated, synthesized and placed.

The modules in `fpga/` are the same for all networks. Written for one are `net.sv`, which puts its
layers behind each other, and the words of their memories.
"""

import hashlib
import textwrap
from dataclasses import replace
from importlib import resources
from pathlib import Path

from snnq.deployment.fpga_layer import Layer, bits, packed
from snnq.deployment.integer_network import IntegerNetwork
from snnq.deployment.stages import MOST
from snnq.system.files import write_atomically

LANES = range(1, 129)
VOTE_BITS = 16
CHECKSUMS = "memories.sha256"


def export_fpga(
    network: IntegerNetwork,
    folder: str | Path,
    *,
    lanes: int = 16,
    queue: int = 16,
    most: int = MOST,
    one_port: int | None = None,
) -> None:
    """Write Verilog that does what a network of integers does, a test bench and a Makefile.

    Parameters
    ----------
    network : IntegerNetwork
        Of `to_integer`. Its last layer has neurons.
    folder : path
        Made if it is not there. Its README.md says what the files are.
    lanes : int
        Neurons of a layer that are computed at the same time, 1 to 128: a group's neurons at a pixel
        are spread evenly over as few words as that takes.
    queue : int
        Events that may wait between two layers: a power of two, at least 2.
    most : int
        The greatest count of a pixel in a time step, 1 to 255. The sums of the first layer take
        fewer bits where it is smaller.
    one_port : int, optional
        From this number of words on, a layer's sums and membranes lie in memories that are never
        read and written in the same clock, as the large ones of iCE40 UltraPlus are. Events take up
        to twice as long there.

    Raises
    ------
    ValueError
        Another kind of network; a last layer without neurons, by its name; or numbers out of range.
    OSError
        The files cannot be written.
    """
    _refuse(network, lanes, queue, most)
    layers = layers_of(network, lanes, most, one_port)
    memories = {"votes_classes.mem": _classes(layers[-1])}
    for layer in layers:
        memories |= layer.memories
    texts = {"net.sv": _top(layers, queue), "shape.h": _shape(layers[0]), **memories}
    texts[CHECKSUMS] = "".join(
        f"{_digest(text.encode())}  {name}\n" for name, text in memories.items()
    )
    for file in (resources.files("snnq.deployment") / "fpga").iterdir():
        texts[file.name] = file.read_text()
    for name, text in texts.items():
        path = Path(folder) / name
        # What is there already keeps its time, so that make does not place the same network anew.
        if not path.is_file() or path.read_text() != text:
            write_atomically(path, lambda partial: partial.write_text(text))
    check_memories(folder)


def check_memories(folder: str | Path) -> None:
    """Compare the memories' files with the checksums beside them.

    Raises
    ------
    ValueError
        A file that is missing, truncated or changed, by its path.
    """
    for line in (Path(folder) / CHECKSUMS).read_text().splitlines():
        digest, name = line.split()
        path = Path(folder) / name
        if not path.is_file() or _digest(path.read_bytes()) != digest:
            raise ValueError(f"{path}: missing or changed since its export: export the network anew")


def _refuse(network: IntegerNetwork, lanes: int, queue: int, most: int) -> None:
    if not isinstance(network, IntegerNetwork):
        raise ValueError(f"network is a {type(network).__name__}, expected one of to_integer")
    last = network.stages[-1]
    if last.threshold is None:
        raise ValueError(f"{last.name}: a last layer without neurons, expected one that spikes")
    if lanes not in LANES:
        raise ValueError(f"lanes={lanes}: expected {LANES[0]} to {LANES[-1]}")
    if most not in range(1, MOST + 1):
        raise ValueError(f"most={most}: expected 1 to {MOST}")
    if queue < 2 or queue & (queue - 1):
        raise ValueError(f"queue={queue}: expected a power of two, at least 2")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def layers_of(
    network: IntegerNetwork, lanes: int = 16, most: int = MOST, one_port: int | None = None
) -> list[Layer]:
    """The network's stages as Verilog has them; see `export_fpga`."""
    layers, numbers = [], list(range(network.input_shape[0]))
    for i, stage in enumerate(network.stages):
        if i == 0:
            stage = replace(stage, place=replace(stage.place, most=most))
        layers.append(Layer(f"layer_{i}", stage, numbers, lanes, one_port))
        numbers = layers[-1].output_numbers
    return layers


def _classes(last: Layer) -> str:
    classes = [(channel or 0) // last.place.voters for channel in last.output_numbers]
    return packed([[of_class] for of_class in classes], [bits(last.place.classes)])


def _shape(first: Layer) -> str:
    """Of the test bench's frames, and their greatest count."""
    channels, height, width = first.place.image
    sizes = f"CHANNELS = {channels}, HEIGHT = {height}, WIDTH = {width}, MOST = {first.place.most}"
    return f"enum {{ {sizes} }};\n"


def _top(layers: list[Layer], queue: int) -> str:
    """The module `net`: wires 0 come from outside, wires i from layer i − 1."""
    first, last = layers[0], layers[-1]
    sizes = {"y": first.place.image[1], "x": first.place.image[2], "channel": len(first.numbers)}
    ports = "\n".join(
        f"    input wire [{bits(size) - 1}:0] in_{name}," for name, size in sizes.items()
    )
    tokens = [sum(map(bits, (4, *sizes.values())))]
    tokens += [
        sum(map(bits, (4, *layer.place.output[1:], len(layer.output_numbers)))) for layer in layers
    ]
    wires = "\n".join(
        f"  wire valid_{i}, ready_{i};\n  wire [{size - 1}:0] token_{i};"
        for i, size in enumerate(tokens)
    )
    instances = "\n".join(_instance(i, layer, queue) for i, layer in enumerate(layers))
    classes, end = last.place.classes, len(layers)
    votes = {"NAME": '"votes"', "CHANNELS": len(last.output_numbers), "CLASSES": classes}
    return f"""\
// Written by snnq export-fpga. Events and the ends of time steps in (kind 0; 1, after the last step
// of a recording 2), a class out.
module net (
    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [1:0] in_kind,
{ports}
    output wire out_valid,
    input wire out_ready,
    output wire [{bits(classes) - 1}:0] out_class
);
{wires}
  assign valid_0 = in_valid;
  assign in_ready = ready_0;
  assign token_0 = {{in_kind, in_y, in_x, in_channel}};

{instances}
  votes #({_parameters(votes | {"COUNT": VOTE_BITS})}
  ) votes (
      .clk, .reset, .in_valid(valid_{end}), .in_ready(ready_{end}), .in_token(token_{end}),
      .out_valid, .out_ready, .winner(out_class));
endmodule
"""


def _instance(i: int, layer: Layer, queue: int) -> str:
    def ports(side: str, wires: int) -> str:
        names = "valid", "ready", "token"
        return ", ".join(f".{side}_{name}({name}_{wires})" for name in names)

    return f"""\
  // {layer.stage.name}
  layer #({_parameters(layer.parameters | {"QUEUE": queue})}
  ) {layer.name} (
      .clk, .reset, {ports("in", i)},
      {ports("out", i + 1)});
"""


def _parameters(values: dict[str, int | str]) -> str:
    text = ", ".join(f".{name}({value})" for name, value in values.items())
    return "\n" + textwrap.fill(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
