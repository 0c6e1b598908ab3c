"""Level indices at their real width: 1 bit for two levels, five ternary ones to a byte, and so on.

Indices of 2^(b−1) < n ≤ 2^b levels are a stream of b bits each, least significant first, and bit j
of the stream is bit j mod 8, from the least significant, of byte ⌊j/8⌋; with b = 3, 5, 6 or 7 an
index may cross the border of a byte. Three levels go five to a byte instead, as Σ_k index_k 3^k.
What the last byte has room for beyond the last index is zero.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BYTE = 8
TERNARY_PER_BYTE = 5  # 3⁵ = 243 ≤ 256
MOST_LEVELS = 256


def weight_bytes(weights: int, levels: int) -> int:
    """Bytes that so many weights of so many levels take, packed.

    Three levels go five to a byte, others in ⌈log₂ levels⌉ bits each.
    """
    if levels == 3:
        return math.ceil(weights / TERNARY_PER_BYTE)
    return math.ceil(weights * _width(levels) / BYTE)


def pack_levels(indices: Tensor, levels: int) -> Tensor:
    """Indices of so many levels, of any shape and integer type, as uint8 [weight_bytes].

    Raises
    ------
    ValueError
        More than 256 levels, or an index that is none of 0 to levels − 1.
    """
    _refuse_unless_bytes(levels)
    # As Python's numbers: a byte compared with 256 is compared with 0.
    if indices.numel() and not 0 <= indices.min().item() <= indices.max().item() < levels:
        raise ValueError(
            f"indices from {indices.min()} to {indices.max()}: expected 0 to {levels - 1}"
        )
    return bytes_of(codes_of(indices, levels), levels)


def unpack_levels(packed: Tensor, levels: int, count: int) -> Tensor:
    """The first so many indices that `pack_levels` packed: uint8 [count].

    Raises
    ------
    ValueError
        More than 256 levels.
    """
    _refuse_unless_bytes(levels)
    codes = codes_in(packed, levels, count)
    return _of_bytes(codes)[:count] if levels == 3 else codes


def code_width(levels: int) -> int:
    """Bits of a code, see `codes_of`."""
    return BYTE if levels == 3 else _width(levels)


def codes_of(indices: Tensor, levels: int) -> Tensor:
    """What is stored: of three levels a byte for five indices, of others the index; uint8 [codes]."""
    indices = indices.flatten().to(torch.uint8)
    if levels != 3:
        return indices
    groups = _padded(indices, TERNARY_PER_BYTE)
    return (groups * _powers_of_3(indices)).sum(1, dtype=torch.uint8)


def levels_of(codes: Tensor, levels: int, count: int) -> Tensor:
    """The indices, int64 [count], that a reader finds in any codes: beyond the last level the last;
    in a byte of 243 or more those of its remainder by 243."""
    if levels == 3:
        return _of_bytes(codes)[:count].long()
    return codes[:count].long().clamp(max=levels - 1)


def bytes_of(codes: Tensor, levels: int) -> Tensor:
    """Codes one after another, or masks of their bits: uint8 [weight_bytes]."""
    return codes if levels == 3 else _regroup(codes, _width(levels), BYTE)


def codes_in(packed: Tensor, levels: int, count: int) -> Tensor:
    """The codes that `bytes_of` so many weights holds."""
    return packed if levels == 3 else _regroup(packed, BYTE, _width(levels))[:count]


def _width(levels: int) -> int:
    """Bits of an index: ⌈log₂ levels⌉."""
    return (levels - 1).bit_length()


def _regroup(values: Tensor, width: int, into: int) -> Tensor:
    """The bits of values that have `width` each, as values of `into` bits each."""
    places = torch.arange(BYTE, dtype=torch.uint8, device=values.device)
    bits = (values[:, None] >> places[:width]) & 1  # [values, width]
    return (_padded(bits.flatten(), into) << places[:into]).sum(1, dtype=torch.uint8)


def _padded(values: Tensor, group: int) -> Tensor:
    """In rows of `group`, the last filled up with zeros."""
    return F.pad(values, (0, -len(values) % group)).view(-1, group)


def _of_bytes(codes: Tensor) -> Tensor:
    """The indices of three levels in bytes, five in each."""
    return (codes[:, None] // _powers_of_3(codes) % 3).flatten()


def _powers_of_3(like: Tensor) -> Tensor:
    return (3 ** torch.arange(TERNARY_PER_BYTE, device=like.device)).to(like.dtype)


def _refuse_unless_bytes(levels: int) -> None:
    if not 2 <= levels <= MOST_LEVELS:
        raise ValueError(f"{levels} levels: expected 2 to {MOST_LEVELS}, a byte for each index")
