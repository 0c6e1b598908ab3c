"""Packed files from elsewhere: read, or refused in one line, within bounded memory."""

import json
import mmap
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import mutated

import snnq

ROOM = 2**29  # bytes that reading a small file may take at most
FIVE_LEVELS = (-2, -1, 0, 1, 2)  # in 3 bits, which could tell eight


@contextmanager
def memory_limit(room: int):
    """Allocations fail once the process has so many bytes more than now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def packed(path: Path, levels="binary") -> bytes:
    torch.manual_seed(0)
    snnq.pack(snnq.quantize(snnq.build_model("nmnist", channels=1), levels), path)
    return path.read_bytes()


def parts(content: bytes) -> tuple[dict, dict, bytes]:
    """Of a packed file: its description, its other tensors' headers, and their data."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    return json.loads(header.pop("__metadata__")["snnq"]), header, content[end:]


def whole(description, header, data: bytes) -> bytes:
    """The file with such parts, whatever they are."""
    if isinstance(header, dict):
        header = {"__metadata__": {"snnq": json.dumps(description)}} | header
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def unpack_within_limit(path: Path):
    with memory_limit(ROOM):
        return snnq.unpack(path)


def refused(path: Path, content: bytes, message: str):
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        unpack_within_limit(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and "\n" not in said
    assert message in said


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, 1500, -1])
def test_truncated_files_are_refused(length, path):
    refused(path, packed(path)[:length], "Error while deserializing header")


@pytest.mark.parametrize("claimed", [2**32 - 1, 2**32, 2**40, 2**63, 2**64 - 1, 99_000_000])
def test_length_fields_beyond_the_file_are_refused(claimed, path):
    content = packed(path)
    refused(path, claimed.to_bytes(8, "little") + content[8:], "header")


def test_files_of_another_kind_are_refused(path):
    description, header, data = parts(packed(path))
    refused(path, b"PK\x03\x04" + bytes(1000), "Error while deserializing header")
    refused(path, whole(description, [], data), "Error while deserializing header")
    text = json.dumps(header).encode()
    refused(path, len(text).to_bytes(8, "little") + text + data, "no packed network")
    header["__metadata__"] = {"snnq": "{"}
    text = json.dumps(header).encode()
    refused(path, len(text).to_bytes(8, "little") + text + data, "its description is no JSON")
    header["__metadata__"] = {"snnq": "[" * 100_000}
    text = json.dumps(header).encode()
    refused(path, len(text).to_bytes(8, "little") + text + data, "its description is no JSON")


@pytest.mark.parametrize("absent", ["net.safetensors", "."])
def test_what_is_no_file_is_named(absent, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path / absent}: no such file"):
        snnq.unpack(tmp_path / absent)


@pytest.mark.parametrize("described", [None, [], 3, "net", {}, {"version": 1}])
def test_descriptions_of_another_form_are_refused(described, path):
    _, header, data = parts(packed(path))
    refused(path, whole(described, header, data), "expected")


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5, [1]])
def test_other_versions_are_refused(version, path):
    description, header, data = parts(packed(path))
    content = whole(description | {"version": version}, header, data)
    refused(path, content, f"version {version!r} of the format, expected 1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 10**9}, "Storage size calculation overflowed"),
        ({"channels": 10**6}, "shape [1, 1, 3, 3], expected [1000000, 1000000, 3, 3]"),
        ({"channels": 10**400}, "architecture="),
        ({"channels": 10**9, "network": "vgg11"}, "architecture="),
        ({"channels": 0}, "channels=0: expected a whole number of at least 1"),
        ({"channels": "1"}, "channels='1': expected a whole number"),
        ({"channels": 1.0}, "channels=1.0: expected a whole number"),
        ({"channels": True}, "channels=True: expected a whole number"),
        ({"channels": None}, "channels=None: expected a whole number"),
        ({"size": -5}, "size=-5: expected a whole number"),
        ({"size": 10**5}, "shape [64, 64], expected [64, 625000000]"),
        ({"size": 10**9}, "Storage size calculation overflowed"),
        ({"size": 3}, "size=3: expected at least 4"),
        ({"benchmark": "mnist"}, "benchmark='mnist': expected one of nmnist"),
        ({"benchmark": ["nmnist"]}, "architecture="),
        ({"neuron": {}}, "architecture="),
        ({"neuron": "lif"}, "'layers.11.w': F32 [], expected no such tensor"),
        ({"network": "vgg11"}, "expected"),
        ({"code": "__import__('os')"}, "unexpected keyword argument 'code'"),
    ],
)
def test_absurd_architectures_are_refused_without_memory(changes, message, path):
    description, header, data = parts(packed(path))
    description["architecture"] |= changes
    refused(path, whole(description, header, data), message)


def test_an_architecture_without_its_benchmark_is_refused(path):
    description, header, data = parts(packed(path))
    del description["architecture"]["benchmark"]
    refused(path, whole(description, header, data), "missing 1 required positional argument")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"shape": [64, 65]}, "layers.10: shape [64, 65], expected [64, 64]"),
        ({"shape": [4096]}, "shape [4096], expected [64, 64]"),
        ({"shape": None}, "shape None"),
        ({"levels": [-1.0, 0.0, 1.0]}, "'layers.10.values': F32 [2], expected F32 [3]"),
        ({"levels": [1.0, -1.0]}, "expected strictly increasing"),
        ({"levels": [1.0]}, "expected at least two levels"),
        ({"levels": [-1, 1]}, "expected a list of floats"),
        ({"levels": [-1.0, float("inf")]}, "expected finite numbers"),
        ({"levels": [-1.0, "1"]}, "expected a list of floats"),
        ({"levels": "binary"}, "expected a list of floats"),
        ({"more": 0}, "expected its levels and its shape"),
    ],
)
def test_layers_that_do_not_fit_the_network_are_refused(layer, message, path):
    description, header, data = parts(packed(path))
    description["layers"]["layers.10"] |= layer
    refused(path, whole(description, header, data), message)


@pytest.mark.parametrize("name", ["layers.99", "", "layers.4.weight", "layers"])
def test_quantized_layers_that_are_none_are_refused(name, path):
    description, header, data = parts(packed(path))
    description["layers"][name] = description["layers"].pop("layers.10")
    refused(path, whole(description, header, data), f"layer {name!r}: expected one of layers.0")


def test_a_batch_norm_is_no_quantized_layer(path):
    description, header, data = parts(packed(path))
    description["layers"]["layers.1"] = description["layers"].pop("layers.10")
    refused(path, whole(description, header, data), "layers.1: shape [64, 64], expected [1]")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("layers.10.weight", None, "no such tensor, expected U8 [512]"),
        ("layers.1.norm", None, "no such tensor, expected F32 [4, 1]"),
        ("layers.10.weight", {"shape": [2, 256]}, "U8 [2, 256], expected U8 [512]"),
        ("layers.10.weight", {"dtype": "I8"}, "I8 [512], expected U8 [512]"),
        ("layers.10.weight", {"dtype": "BF16", "shape": [256]}, "BF16 [256], expected U8 [512]"),
        ("layers.1.norm", {"dtype": "I32"}, "I32 [4, 1], expected F32 [4, 1]"),
        ("layers.0.weight", {"shape": [2, 1, 3, 3]}, "F32 [2, 1, 3, 3], expected F32 [1, 2, 3, 3]"),
        ("layers.0.weight", {"shape": [2**62, 4]}, "header"),
        ("layers.0.weight", {"data_offsets": [0, 2**50]}, "header"),
        ("layers.0.weight", {"data_offsets": [8, 0]}, "header"),
    ],
)
def test_tensors_of_another_form_are_refused(name, change, message, path):
    description, header, data = parts(packed(path))
    if change is None:
        header["layers.99.weight"] = header.pop(name)
    else:
        header[name] |= change
    refused(path, whole(description, header, data), message)


def test_a_tensor_too_many_is_refused(path):
    description, header, data = parts(packed(path))
    header["more"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(data), len(data) + 8]}
    content = whole(description, header, data + bytes(8))
    refused(path, content, "'more': F32 [2], expected no such tensor")


@pytest.mark.parametrize(
    ("levels", "name", "place", "value", "message"),
    [
        # Of the 3-bit indices of the first byte, the first becomes 7.
        (FIVE_LEVELS, "layers.10.weight", 0, b"\xff", "expected indices of 5 levels"),
        ("ternary", "layers.10.weight", 5, b"\xf3", "expected indices of 3 levels"),
        # 4096 = 5 · 819 + 1 weights: the last byte has one, and 3 is the second place.
        ("ternary", "layers.10.weight", -1, b"\x03", "expected indices of 3 levels, then zeros"),
        # 9 weights: one in the second byte.
        ("binary", "layers.4.weight", -1, b"\x02", "expected indices of 2 levels, then zeros"),
        ("binary", "layers.4.values", 0, b"\0\0\xc0\x7f", "layers.4.values: expected finite"),
        ("binary", "layers.0.weight", 0, b"\0\0\x80\x7f", "layers.0.weight: expected finite"),
        ("binary", "layers.4.values", 0, bytes(8), "layers.4.values: expected numbers that are"),
    ],
)
def test_numbers_that_cannot_be_are_refused(levels, name, place, value, message, path):
    description, header, data = parts(packed(path, levels))
    start, end = header[name]["data_offsets"]
    place += start if place >= 0 else end
    data = data[:place] + value + data[place + len(value) :]
    refused(path, whole(description, header, data), message)


ABSURD = (
    *(None, True, False, -1, 0, 1, 2, 3, 34, 35, 10**6, 10**9, 2**31, 2**63, 2**64, 10**400),
    *(0.5, 1e308, float("inf"), float("nan"), [], {}, [[]], [-1.0, 1.0], "", "nmnist", "vgg11"),
    *("lif", "F32", "U8", "F8_E4M3", "layers.4", "\ud800", "\x1b[2J", "\n", "x" * 5000),
)


def inner(tree) -> list:
    return [(tree, key) for key in (tree if isinstance(tree, dict) else range(len(tree)))]


def change_somewhere(tree, rng: np.random.Generator) -> None:
    """One entry of nested lists and dicts replaced, removed or renamed, in place."""
    places = inner(tree)
    for container, key in places:  # grows while it is walked
        if isinstance(container[key], (dict, list)):
            places += inner(container[key])
    container, key = places[rng.integers(len(places))]
    absurd, kind = ABSURD[rng.integers(len(ABSURD))], rng.integers(4)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[repr(absurd)[:40]] = container.pop(key)
    else:
        container[key] = absurd


def with_other_fields(content: bytes, rng: np.random.Generator) -> bytes:
    description, header, data = parts(content)
    for _ in range(rng.integers(1, 4)):
        change_somewhere(description if rng.random() < 0.7 else header, rng)
    return whole(description, header, data)


def with_a_flipped_bit(content: bytes, rng: np.random.Generator) -> bytes:
    """Of the header."""
    bit = rng.integers(8 * (8 + int.from_bytes(content[:8], "little")))
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def with_other_data(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        changed[-rng.integers(1, len(parts(content)[2]))] = rng.integers(256)
    return bytes(changed)


FUZZERS = [mutated, with_other_fields, with_a_flipped_bit, with_other_data]


@pytest.mark.parametrize("fuzzed", FUZZERS)
@pytest.mark.parametrize("levels", [FIVE_LEVELS, "ternary"])
def test_mutated_files_are_read_or_refused(fuzzed, levels, path, pytestconfig):
    mutations = pytestconfig.getoption("mutations") // 8
    content, rng, count = packed(path, levels), np.random.default_rng(0), 0
    frames = torch.ones(1, 1, 2, 34, 34)
    with memory_limit(ROOM):
        for _ in range(mutations):
            path.write_bytes(fuzzed(content, rng))
            try:
                model = snnq.unpack(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
                count += 1
            else:
                assert model(frames).shape == (1, 10)
    # One byte of another value is no five ternary weights in 13 of 256 cases: a tenth of the files.
    assert mutations / 20 < count <= mutations


def test_the_limit_on_memory_holds():
    # Of the system: freed memory that torch keeps for itself may be as large.
    with memory_limit(ROOM), pytest.raises(OSError, match="memory"):
        mmap.mmap(-1, 4 * ROOM)
