"""The files that cameras write: AEDAT 2, 3.1 and 4 (iniVation), and DAT (Prophesee).

Each reader returns the events, and the sensor's (width, height) where the file states it.
"""

import faulthandler
import multiprocessing
import os
import re
import signal
import struct
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from snnq.recordings.events import BadRecording, events_of, unwrapped
from snnq.system.files import first_line

Sensor = tuple[int, int]  # width, height

FORMATS = {  # what they are called, and how they start
    ".aedat4": ("AEDAT 4", b"#!AER-DAT4.0\r\n"),
    ".dat": ("DAT", b"%"),
}
DAT_MOST = (2**14, 2**14)  # of its coordinates
NOTHING = np.empty(0, dtype=int)
DVS128, DAVIS346 = (128, 128), (346, 260)
DVS128_ADDRESSES = 2**15  # fewer bits than any other camera's
AEDAT_EVENT = 8  # bytes
CLOCK = 2**32  # µs, after which the times in DAT and AEDAT 2 start again
AEDAT3_CLOCK = 2**31
PACKET = struct.Struct("<hhiiiiii")  # header of an AEDAT 3.1 packet: type, source, size, ..., capacity
POLARITY_EVENT = 1
_in_turn = threading.Lock()  # to the decoder
_idle: list[tuple[BaseProcess, Connection]] = []  # the decoder, whenever it owes nobody an answer
os.register_at_fork(after_in_child=_idle.clear)  # it answers the process that started it


def read_decoded(path: Path) -> tuple[np.ndarray, Sensor | None]:
    """AEDAT 4 or DAT, through a decoder in a process of its own."""
    name, magic = FORMATS[path.suffix.lower()]
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise BadRecording(f"{path}: does not start as a file in {name} does")
    found = _ask(str(path.absolute()))  # the decoder stays in the directory that it was started in
    if isinstance(found, str):
        raise BadRecording(f"{path}: no readable {name} file ({found})")
    columns, sensor = found
    return events_of(path, columns), sensor


def _ask(path: str) -> tuple[dict[str, np.ndarray], Sensor | None] | str:
    """What `_decoded` finds, in the decoder's process.

    One that was not heard out, because of an interrupt say, is ended: its answer would be taken for
    that of the next file. A daemon, such as a DataLoader's worker, may have no process and decodes itself.
    """
    if multiprocessing.current_process().daemon:
        return _decoded(path)
    with _in_turn:
        process, connection = _idle.pop() if _idle else _decoder()
        try:
            connection.send(path)
            found = connection.recv()
            _idle.append((process, connection))
        except (EOFError, OSError):
            found = "its decoder gave up"
        finally:
            if not _idle:
                process.kill()
                connection.close()
    return found


def _decoder() -> tuple[BaseProcess, Connection]:
    """A process of its own for the decoders, which some malformed files make abort.

    Forked, since it runs nothing but the decoders and a new one must start in milliseconds; a
    daemon, since the processes that build frames wait for all others when they end.
    """
    import faery  # noqa: F401  (once, not in every process that is forked)
    import tonic.io  # noqa: F401

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_decode_all, args=(theirs, ours), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _decode_all(requests: Connection, parents: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which comes to all processes of a terminal
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
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the decoders' panics are no Exception
        return first_line(error)


def _decode_aedat4(path: str) -> tuple[dict[str, np.ndarray], Sensor | None]:
    import aedat
    from tonic.io import read_aedat4

    streams = aedat.Decoder(path).id_to_stream()
    kinds = {number: stream for number, stream in streams.items() if stream["type"] == "events"}
    try:
        found = read_aedat4(path)
        columns = {name: found[theirs] for name, theirs in zip("txyp", found.dtype.names)}
    except ValueError as error:
        if "need at least one array to concatenate" not in str(error):
            raise
        columns = dict.fromkeys("txyp", NOTHING)
    stream = kinds[min(kinds)]  # the one that tonic takes
    return columns, (stream["width"], stream["height"])


def _decode_dat(path: str) -> tuple[dict[str, np.ndarray], Sensor | None]:
    from faery.extension import dat

    with dat.Decoder(path, DAT_MOST, None) as decoder:
        packets, sensor = list(decoder), decoder.dimensions
    columns = {
        # The last field is the sign, whatever it is called.
        name: np.concatenate([packet[packet.dtype.names[place]] for packet in packets] or [NOTHING])
        for place, name in enumerate("txyp")
    }
    columns["t"] = _dat_times(Path(path).read_bytes(), columns["t"].astype(int))
    return columns, None if sensor == DAT_MOST else sensor


def _dat_times(content: bytes, decoded: np.ndarray) -> np.ndarray:
    """Times as the file has them: to the decoder, one that falls is the latest that there was."""
    if not len(decoded):
        return decoded
    first = _after_lines(content, b"%") + 2  # behind the events' type and size
    times = np.frombuffer(content, "<u4", 2 * len(decoded), first)[::2].astype(int)
    return unwrapped(times, CLOCK) + decoded[0] - times[0]  # the header may say when time began


def read_aedat(path: Path) -> tuple[np.ndarray, Sensor | None]:
    """AEDAT 2 of a DVS128 or a DAVIS346, or polarity events of AEDAT 3.1.

    The addresses are as tonic takes them. (tonic 1.7.0's own readers fail on them, all but one, and
    leave a file open that they cannot read.)
    """
    content = path.read_bytes()
    version = re.match(rb"#!AER-DAT([23])\.", content)
    if not version:
        raise BadRecording(f"{path}: does not start as a file in AEDAT 2 or 3 does")
    start = _after_lines(content, b"#")
    if version[1] == b"3":
        address, time = _packets(path, content, start)
        x, y, p, sensor = address >> 17 & 0x7FFF, address >> 2 & 0x7FFF, address >> 1 & 1, None
        return events_of(path, {"x": x, "y": y, "t": unwrapped(time, AEDAT3_CLOCK), "p": p}), sensor
    if (len(content) - start) % AEDAT_EVENT:
        raise BadRecording(f"{path}: ends within an event (a truncated recording)")
    address, time = np.frombuffer(content[start:], ">u4").astype(int).reshape(-1, 2).T
    if b"davis346" in content[:start].lower():
        address, time = address[address >> 31 == 0], time[address >> 31 == 0]  # others are pixels
        width, height = sensor = DAVIS346
        x, y = width - 1 - (address >> 12 & 1023), height - 1 - (address >> 22 & 511)
        p = address >> 11 & 1
    elif address.max(initial=0) < DVS128_ADDRESSES:
        x, y, p, sensor = address >> 8 & 127, address >> 1 & 127, address & 1, DVS128
    else:
        raise BadRecording(f"{path}: expected the addresses of a DVS128 or a DAVIS346")
    return events_of(path, {"x": x, "y": y, "t": unwrapped(time, CLOCK), "p": p}), sensor


def _after_lines(content: bytes, mark: bytes) -> int:
    """Where the lines of a header end, each of which begins with a mark."""
    start = 0
    while content[start : start + 1] == mark:
        start = content.find(b"\n", start) + 1 or len(content)
    return start


def _packets(path: Path, content: bytes, start: int) -> np.ndarray:
    """Addresses and times, int [2, events], of AEDAT 3.1's packets."""
    found = [np.empty((0, 2), dtype=int)]
    while start < len(content):
        header, first = content[start : start + PACKET.size], start + PACKET.size
        kind, _, size, *_, capacity, _, _ = PACKET.unpack(header.ljust(PACKET.size, b"\0"))
        if kind != POLARITY_EVENT or size != AEDAT_EVENT or capacity < 0:
            raise BadRecording(f"{path}: events of type {kind}, expected polarity events alone")
        start = first + AEDAT_EVENT * capacity
        if start > len(content):
            raise BadRecording(f"{path}: {len(content)} bytes, expected {start} at least (truncated)")
        found.append(np.frombuffer(content[first:start], "<u4").astype(int).reshape(-1, 2))
    return np.concatenate(found).T
