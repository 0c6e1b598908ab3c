"""A stage of integers as `fpga/layer.sv` has it: its sizes, and the words of its memories."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnq.deployment.integer_stage import Integers, IntegerStage
from snnq.deployment.stage import Stage

Numbers = list[int | None]  # the channel that each number of an event stands for


@dataclass(frozen=True, eq=False)
class Layer:
    """What `layer.sv` is told about one stage.

    A group's neurons at one pixel are `chunks` words of `lanes`: neuron k of a group is lane
    k mod lanes of chunk ⌊k / lanes⌋. Words lie line by line, pixel by pixel, group by group. Only
    neurons in whole pooled windows are there.

    Attributes
    ----------
    name : str
        Of the instance and of its memories' files.
    stage : IntegerStage
    numbers : list of int or None
        Channels of the input, by the numbers that events have for them.
    most_lanes : int
    one_port : int, optional
        Words from which on memories have one port.
    """

    name: str
    stage: IntegerStage
    numbers: Numbers
    most_lanes: int
    one_port: int | None = None

    @property
    def place(self) -> Stage:
        return self.stage.place

    @property
    def chunks(self) -> int:
        return -(-self.place.rows.shape[1] // self.most_lanes)

    @property
    def lanes(self) -> int:
        return -(-self.place.rows.shape[1] // self.chunks)

    @property
    def pixel(self) -> int:
        """Words of all groups."""
        return self.place.groups * self.chunks

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the neurons that are there."""
        _, height, width = self.place.output
        return height * self.place.pool[0], width * self.place.pool[1]

    @property
    def words(self) -> int:
        """Of sums, and of membranes."""
        height, width = self.sides
        return height * width * self.pixel

    @cached_property
    def neurons(self) -> list[Numbers]:
        """Channels, or None where there is no neuron: [words of a pixel][lanes]."""
        of_group, slots = self.place.rows.shape[1], self.chunks * self.lanes
        channels = np.full((self.place.groups, slots), None)
        channels[:, :of_group] = np.arange(len(self.stage.shift)).reshape(-1, of_group)
        return channels.reshape(-1, self.lanes).tolist()

    @property
    def output_numbers(self) -> Numbers:
        """A number is the word's, and then the lane's in as many bits as lanes need."""
        numbers = np.full((2 ** bits(self.pixel), 2 ** bits(self.lanes)), None)
        numbers[: self.pixel, : self.lanes] = self.neurons
        return numbers.ravel().tolist()

    @cached_property
    def codes(self) -> tuple[int, int, Integers]:
        """base, step and codes of the weights base + step · code, in the order of `Stage.rows`."""
        weights = self.stage.weights
        base = int(weights.min())
        step = int(np.gcd.reduce(weights - base, axis=None)) or 1
        return base, step, (weights - base) // step

    @cached_property
    def parameters(self) -> dict[str, int | str]:
        """Of the module."""
        return {"NAME": f'"{self.name}"', **self._geometry(), **self._numbers()}

    def _geometry(self) -> dict[str, int]:
        place = self.place
        down, across = self._weights_between
        most = max(count for axis in (0, 1) for _, count, *_ in self._axis(axis))
        return {
            "CHANNELS": len(self.numbers),
            "LINES": place.image[1],
            "COLUMNS": place.image[2],
            "GROUPS": place.groups,
            "CHUNKS": self.chunks,
            "LANES": self.lanes,
            "OUT_LINES": place.output[1],
            "OUT_COLUMNS": place.output[2],
            "POOL_DOWN": place.pool[0],
            "POOL_ACROSS": place.pool[1],
            "POOL_ADDS": int(place.pool_adds),
            "ROWS": len(place.rows) * self.chunks,
            "COUNT": bits(most + 1),
            "DOWN": place.stride[0] * down,
            "ACROSS": place.stride[1] * across,
        }

    def _numbers(self) -> dict[str, int]:
        stage, (base, step, codes) = self.stage, self.codes
        least, most = stage.sums
        up = max(stage.shift.max(), 0)
        reached = (max(most, -least) << up) + np.abs(stage.offset).max()
        return {
            "CODE": bits(codes.max() + 1),
            "BASE": base,
            "STEP": step,
            "SUM": signed_bits(min(least, base), most),
            "MEMBRANE": stage.membrane_bits,
            "OFFSET": signed_bits(stage.offset.min(), stage.offset.max()),
            "INPUT": signed_bits(-reached, reached),
            "UP": bits(up + 1),
            "DOWNWARDS": bits(max(-stage.shift.min(), 0) + 1),
            "LEAK": stage.leak[0],
            "LEAK_BITS": stage.leak[1],
            "SOFT": int(self.place.soft),
            "ONE_PORT": int(self.one_port is not None and self.words >= self.one_port),
        }

    @property
    def memories(self) -> dict[str, str]:
        """The files' texts, by name."""
        sizes = self.parameters
        addresses = bits(sizes["ROWS"]), bits(self.words)
        of_axis = (1, sizes["COUNT"], *addresses)
        of_neuron = [sizes[name] for name in ("UP", "DOWNWARDS", "OFFSET", "MEMBRANE")]
        words = {
            "channels": packed(map(self._channel, self.numbers), addresses),
            "lines": packed(self._axis(0), of_axis),
            "columns": packed(self._axis(1), of_axis),
            "weights": packed(self._weights(), [sizes["CODE"]] * self.lanes),
            "neurons": packed(self._settings(), of_neuron * self.lanes),
        }
        return {f"{self.name}_{what}.mem": text for what, text in words.items()}

    @property
    def _weights_between(self) -> tuple[int, int]:
        """Words from a line of the kernel to the next, and from a column."""
        across = self.place.image[0] // self.place.groups * self.chunks
        return self.place.kernel[1] * across, across

    def _channel(self, channel: int | None) -> tuple[int, int]:
        """Where its weights, and the sums that it reaches, begin."""
        if channel is None:
            return 0, 0
        place = self.place
        group, of_group = divmod(channel, place.image[0] // place.groups)
        rows_of_group = len(place.rows) // place.groups
        return (group * rows_of_group + of_group) * self.chunks, group * self.chunks

    def _axis(self, axis: int) -> Iterable[tuple[int, int, int, int]]:
        """Of each line or column of the input: whether it reaches neurons, of how many lines or
        columns more than one, and where the first of them has its weights and its sums."""
        place, side = self.place, self.sides[axis]
        stride, kernel, padding = (of[axis] for of in (place.stride, place.kernel, place.padding))
        words = self.pixel * (self.sides[1] if axis == 0 else 1)
        for at in range(place.image[1 + axis]):
            first = max(0, -(-(at + padding - kernel + 1) // stride))
            last = min(side - 1, (at + padding) // stride)
            if first > last:
                yield 0, 0, 0, 0
            else:
                weights = (at + padding - first * stride) * self._weights_between[axis]
                yield 1, last - first, weights, first * words

    def _weights(self) -> Iterable[list[int]]:
        """A word for each row and chunk, the last lane on top."""
        _, _, codes = self.codes
        lacking = self.chunks * self.lanes - codes.shape[1]
        filled = np.pad(codes, ((0, 0), (0, lacking)))
        return filled.reshape(-1, self.lanes)[:, ::-1].tolist()

    def _settings(self) -> Iterable[list[int]]:
        """What each neuron is set to; where there is none, a threshold that no membrane reaches."""
        stage = self.stage
        for word in self.neurons:
            settings = []
            for channel in reversed(word):
                like = channel or 0
                f, b = int(stage.shift[like]), int(stage.offset[like])
                threshold = stage.most + 1 if channel is None else int(stage.threshold[like])
                settings += [max(f, 0), max(-f, 0), b, threshold]
            yield settings


def bits(values: int) -> int:
    """Of a number from 0 to values − 1, at least one."""
    return max(1, (int(values) - 1).bit_length())


def signed_bits(least: int, most: int) -> int:
    """Of two's complement."""
    return max(int(most).bit_length(), (~int(least)).bit_length() if least < 0 else 0) + 1


def packed(words: Iterable[Sequence[int]], widths: Sequence[int]) -> str:
    """Hexadecimal words, a line each, of fields of these widths in bits, the first on top."""
    digits = -(-sum(widths) // 4)
    lines = []
    for fields in words:
        word = 0
        for field, width in zip(fields, widths, strict=True):
            word = word << width | field & ((1 << width) - 1)
        lines.append(f"{word:0{digits}x}\n")
    return "".join(lines)
