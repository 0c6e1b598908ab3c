"""The files that cameras write: AEDAT 2, 3.1 and 4 (iniVation), and DAT (Prophesee).

Each reader returns the events, and the sensor's (width, height) where the file states it.
"""

import faulthandler
import multiprocessing
import os
import struct
import threading
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from snnq.recordings.events import BadRecording, events_of
from snnq.system.files import first_line

Sensor = tuple[int, int]  # width, height

FORMATS = {  # what they are called, and how they start
    ".aedat4": ("AEDAT 4", b"#!AER-DAT4.0\r\n"),
    ".dat": ("DAT", b"%"),
}
DVS128 = (128, 128)
DVS128_ADDRESSES = 2**15  # fewer bits than any other camera's
AEDAT_EVENT = 8  # bytes
PACKET = struct.Struct("<hhiiiiii")  # header of an AEDAT 3.1 packet: type, source, size, ..., capacity
POLARITY_EVENT = 1
_in_turn = threading.Lock()  # to the decoder


def read_decoded(path: Path) -> tuple[np.ndarray, Sensor | None]:
    """AEDAT 4 or DAT, through a decoder in a process of its own."""
    name, magic = FORMATS[path.suffix.lower()]
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise BadRecording(f"{path}: does not start as a file in {name} does")
    with _in_turn:
        decoder = _decoder()
        try:
            decoder.send(str(path.absolute()))  # it stays in the directory that it was started in
            found = decoder.recv()
        except (EOFError, OSError):
            _decoder.cache_clear()
            found = "its decoder gave up"
    if isinstance(found, str):
        raise BadRecording(f"{path}: no readable {name} file ({found})")
    columns, sensor = found
    return events_of(path, columns), sensor


@lru_cache(maxsize=1)
def _decoder() -> Connection:
    """To a process of its own for the decoders, which some malformed files make abort.

    Forked, since it runs nothing but the decoders and a new one must start in milliseconds; a
    daemon, since the processes that build frames wait for all others when they end.
    """
    import faery  # noqa: F401  (once, not in every process that is forked)
    import tonic.io  # noqa: F401

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=_decode_all, args=(theirs, ours), daemon=True).start()
    theirs.close()
    return ours


def _decode_all(requests: Connection, parents: Connection) -> None:
    parents.close()  # so that the parent's end is seen here, however it comes
    _silence()
    while True:
        try:
            path = requests.recv()
        except EOFError:
            return
        requests.send(_decoded(path))


def _silence() -> None:
    """The decoders print a page for each error that they are going to raise, Python for an abort."""
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _decoded(path: str) -> tuple[dict[str, np.ndarray], Sensor | None] | str:
    """Columns and sensor, or what is wrong with the file."""
    try:
        return (_decode_dat if path.lower().endswith(".dat") else _decode_aedat4)(path)
    except BaseException as error:  # the decoders' panics are no Exception
        return first_line(error)


def _decode_aedat4(path: str) -> tuple[dict[str, np.ndarray], Sensor | None]:
    import aedat
    from tonic.io import read_aedat4

    streams = aedat.Decoder(path).id_to_stream()
    first = min((n for n, stream in streams.items() if stream["type"] == "events"), default=None)
    try:
        found = read_aedat4(path)
    except ValueError as error:
        if "need at least one array to concatenate" not in str(error):
            raise
        found = np.empty(0, dtype=[(name, int) for name in "txyp"])
    columns = {name: found[theirs] for name, theirs in zip("txyp", found.dtype.names)}
    return columns, (streams[first]["width"], streams[first]["height"])


def _decode_dat(path: str) -> tuple[dict[str, np.ndarray], Sensor | None]:
    from faery.extension import dat

    with dat.Decoder(path, (0, 0), None) as decoder:
        packets = list(decoder)
        sensor = decoder.dimensions
    names = {"t": "t", "x": "x", "y": "y", "p": "on"}
    columns = {
        name: np.concatenate([packet[theirs] for packet in packets] or [np.empty(0, int)])
        for name, theirs in names.items()
    }
    return columns, sensor if sensor and all(sensor) else None


def read_aedat(path: Path) -> tuple[np.ndarray, Sensor | None]:
    """AEDAT 2 of a DVS128 or a DAVIS346, or polarity events of AEDAT 3.1.

    The addresses are tonic's, which follows jAER; its readers of a DVS128's and of AEDAT 3.1 fail
    on the third value that its reader of headers returns.
    """
    from tonic import io

    try:
        version, start, _ = io.read_aedat_header_from_file(str(path))
        content = path.read_bytes()
        _refuse_cut(path, content, start, version)
        is_davis = b"davis346" in content[:start].lower()
        if version < 3 and is_davis:
            sensor, _, found = io.read_davis_346(str(path))
            return events_of(path, {name: found[name] for name in "xytp"}), sensor
        found = io.get_aer_events_from_file(str(path), version, start)
    except BadRecording:
        raise
    except Exception as error:  # of many kinds, of headers that are none
        raise BadRecording(f"{path}: no readable AEDAT file ({first_line(error)})") from None
    address, time = found["address"].astype(int), found["timeStamp"].astype(int)
    if version < 3:
        if address.max(initial=0) >= DVS128_ADDRESSES:
            raise BadRecording(f"{path}: expected the addresses of a DVS128 or a DAVIS346")
        x, y, p, sensor = address >> 8 & 127, address >> 1 & 127, address & 1, DVS128
    else:
        x, y, p, sensor = address >> 17 & 0x7FFF, address >> 2 & 0x7FFF, address >> 1 & 1, None
    return events_of(path, {"x": x, "y": y, "t": time, "p": p}), sensor


def _refuse_cut(path: Path, content: bytes, start: int, version: float) -> None:
    """Raises BadRecording where events do not end with the file, or are no polarity events."""
    end = start
    while version > 3 and end < len(content):
        kind, _, size, *_, capacity, _, _ = PACKET.unpack_from(content, end)
        if kind != POLARITY_EVENT or size != AEDAT_EVENT or capacity < 0:
            raise BadRecording(f"{path}: events of type {kind}, expected polarity events alone")
        end += PACKET.size + AEDAT_EVENT * capacity
    if version < 3:
        end += (len(content) - start) // AEDAT_EVENT * AEDAT_EVENT
    if end != len(content):
        raise BadRecording(f"{path}: {len(content)} bytes, expected {end} (a truncated recording)")
