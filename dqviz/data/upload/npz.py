"""numpy's .npz, read by hand: the container's declared sizes first, then a strict header, then plain numbers.

numpy's own reader is not used: it evaluates headers as Python literals, allocates what they declare, and can be asked
to unpickle. Here an object array cannot even be described.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib

import numpy as np

from dqviz.data.arrays import Array, Arrays
from dqviz.data.upload.declared import NAMES, Declared, check_name, check_sizes, check_total
from dqviz.errors import BadInput

LONGEST_HEADER = 10_000
HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=][a-zA-Z]\d{0,3})',\s*'fortran_order':\s*(True|False),"
    rb"\s*'shape':\s*\(([0-9, ]{0,200})\),?\s*\}\s*"
)
PLAIN = re.compile(r"[<>|=](b1|[iu][1248]|f[248])")
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError,
          NotImplementedError)  # fmt: skip
"""What zipfile raises on damaged bytes: it promises BadZipFile only."""


def read_npz(content: bytes) -> Arrays:
    """Arrays of the file by name. Raises BadInput in one sentence."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [check_member(info) for info in archive.infolist()]
            check_members(members)
            declared = {info: read_header(archive, info) for info in members}
            check_sizes(declared.values())
            return {array.name: read_array(archive, info, array) for info, array in declared.items()}
    except BROKEN as error:
        raise BadInput("The .npz file is damaged: it cannot be unpacked.") from error


def check_member(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    name = info.filename
    check_name(name.removesuffix(".npy") if name.endswith(".npy") else name)
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadInput("The .npz file is encrypted or packed in a way that numpy does not write.")
    return info


def check_members(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > len(NAMES) or len({info.filename for info in members}) < len(members):
        raise BadInput("The .npz file holds the same array twice.")
    check_total(sum(info.file_size for info in members))


def read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Declared:
    """The array's description; its size must be what the container declares."""
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as member:
        text, start = header_text(name, member.read(LONGEST_HEADER + 12))
    match = HEADER.fullmatch(text)
    if match is None or not PLAIN.fullmatch(match[1].decode()):
        raise BadInput(f"{name} is not a plain array of numbers or booleans.")
    shape = tuple(int(size) for size in match[3].decode().replace(" ", "").split(",") if size)
    array = Declared(name, np.dtype(match[1].decode()), shape, match[2] == b"True")
    if array.size_bytes != info.file_size - start:
        raise BadInput(f"{name} is damaged: its header declares {array.size_bytes} bytes, but other bytes follow.")
    return array


def header_text(name: str, begin: bytes) -> tuple[bytes, int]:
    """The header's text and where the numbers begin (npy formats 1.0 to 3.0)."""
    if begin[:6] != b"\x93NUMPY" or len(begin) < 12 or begin[6] not in (1, 2, 3):
        raise BadInput(f"{name} is not a numpy array.")
    size, at = (int.from_bytes(begin[8:10], "little"), 10) if begin[6] == 1 else (
        int.from_bytes(begin[8:12], "little"), 12)  # fmt: skip
    if size > LONGEST_HEADER or len(begin) < at + size:
        raise BadInput(f"{name} has a damaged header.")
    return begin[at : at + size], at + size


def read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, array: Declared) -> Array:
    with archive.open(info) as member:
        member.read(info.file_size - array.size_bytes)
        content = member.read(array.size_bytes)
        if len(content) != array.size_bytes or member.read(1):
            raise BadInput(f"{array.name} is damaged: it does not hold what its header declares.")
    return array.array(content)
