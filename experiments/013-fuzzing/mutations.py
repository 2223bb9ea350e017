"""Seeded damage to the bytes of a file: blind, in its text, and in the structure of JSON, gzip and zip."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator

_NUMBERS = (b"0", b"-1", b"1", b"2", b"255", b"65536", b"2147483648", b"1000000000000", b"9" * 40, b"1e400",
            b"nan", b"-0.5", b"true", b"null", b"''")  # fmt: skip
_WORDS = (b">f8", b"<f2", b"|O", b"<c16", b"<i4", b"T", b"F", b"../..", b"/etc/passwd", b"\xff\xfe", b"\x00")
_INTEGERS = (0, 1, 2, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
_VALUES = (
    None,
    True,
    [],
    {},
    "",
    "x",
    "../../x",
    -1,
    0,
    3,
    2**31,
    10**12,
    10**40,
    1e308,
    -0.5,
    [[]],
    {"a": None},
    [1] * 5,
)


def generator(*key: int) -> Rng:
    """Random numbers that follow from the key alone."""
    return np.random.Generator(np.random.PCG64(list(key)))


def mutate(data: bytes, rng: Rng) -> bytes:
    """One to four changes; in half of the cases within what is packed or structured, where it is."""
    if rng.random() < 0.5:
        for inside in (_in_json, _in_gzip, _in_zip):
            try:
                return inside(data, rng)
            except (ValueError, OSError, EOFError, zipfile.BadZipFile):
                continue
    for _ in range(rng.integers(1, 5)):
        data = _BLIND[rng.integers(len(_BLIND))](data, rng)
    return data


def _place(data: bytes, rng: Rng) -> int:
    """Anywhere; every other time near the beginning, where headers are."""
    end = min(len(data), 512) if rng.random() < 0.5 else len(data)
    return int(rng.integers(end)) if end else 0


def _flip(data: bytes, rng: Rng) -> bytes:
    found = bytearray(data or b"\0")
    for _ in range(rng.integers(1, 9)):
        found[_place(found, rng)] ^= 1 << int(rng.integers(8))
    return bytes(found)


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: _place(data, rng)]


def _insert(data: bytes, rng: Rng) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.bytes(int(rng.integers(1, 65))) + data[at:]


def _delete(data: bytes, rng: Rng) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 2881)) :]


def _repeat(data: bytes, rng: Rng) -> bytes:
    at, length = _place(data, rng), int(rng.integers(1, 2881))
    return data[: at + length] + data[at : at + length] * int(rng.integers(1, 4)) + data[at + length :]


def _integer(data: bytes, rng: Rng) -> bytes:
    size, order = int(rng.choice([1, 2, 4, 8])), ("little", "big")[rng.integers(2)]
    value = _INTEGERS[rng.integers(len(_INTEGERS))] % 2 ** (8 * size)
    at = _place(data, rng)
    return data[:at] + value.to_bytes(size, order) + data[at + size :]


def _number(data: bytes, rng: Rng) -> bytes:
    """Another number in the place of one that stands there in digits, or a word of a header."""
    head = data[:4096]
    found = list(re.finditer(rb"-?\d+(\.\d+)?([eE]-?\d+)?", head)) or list(re.finditer(rb"\w+", head))
    if not found:
        return _flip(data, rng)
    one = found[rng.integers(len(found))]
    options = _NUMBERS if rng.random() < 0.8 else _WORDS
    new = options[rng.integers(len(options))]
    if rng.random() < 0.5:  # columns of a header stay in place
        new = new.rjust(one.end() - one.start())
        return data[: max(one.end() - len(new), 0)] + new + data[one.end() :]
    return data[: one.start()] + new + data[one.end() :]


def _nest(data: bytes, rng: Rng) -> bytes:
    at = _place(data, rng)
    return (
        data[:at] + (b"[", b"(", b"{'a':")[rng.integers(3)] * int(rng.choice([10, 1000, 100_000])) + data[at:]
    )


_BLIND: tuple[Callable[[bytes, Rng], bytes], ...] = (
    _flip, _flip, _cut, _insert, _delete, _repeat, _integer, _number, _number, _number, _nest,
)  # fmt: skip


def _in_json(data: bytes, rng: Rng) -> bytes:
    """Values and names changed, at any depth; files of several lines are changed in one of them."""
    if data[:1] not in b"{[" or not data:
        raise ValueError("no JSON")
    lines = data.splitlines()
    try:
        parts, chosen = [json.loads(data)], 0
    except json.JSONDecodeError:
        parts = [json.loads(line) for line in lines]
        chosen = int(rng.integers(len(parts)))
    for _ in range(rng.integers(1, 4)):
        parts[chosen] = _changed(parts[chosen], rng)
    return b"\n".join(json.dumps(part).encode() for part in parts) + b"\n"


def _changed(value, rng: Rng):
    if rng.random() < 0.7 and isinstance(value, dict) and value:
        name = list(value)[rng.integers(len(value))]
        rest = {key: item for key, item in value.items() if key != name}
        what = rng.random()
        if what < 0.15:
            return rest
        if what < 0.25:
            return rest | {str(_VALUES[rng.integers(len(_VALUES))]): value[name]}
        return value | {name: _changed(value[name], rng)}
    if rng.random() < 0.7 and isinstance(value, list) and value:
        at = int(rng.integers(len(value)))
        return value[:at] + ([] if rng.random() < 0.3 else [_changed(value[at], rng)]) + value[at + 1 :]
    return _VALUES[rng.integers(len(_VALUES))]


def _in_gzip(data: bytes, rng: Rng) -> bytes:
    return gzip.compress(mutate(gzip.decompress(data), rng), mtime=0)


def _in_zip(data: bytes, rng: Rng) -> bytes:
    """One member changed, with the right checksum; now and then compressed or renamed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at, packed = int(rng.integers(len(members))), io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for number, (name, content) in enumerate(members):
            changed = number == at
            archive.writestr(
                "../x.npy" if changed and rng.random() < 0.2 else name,
                mutate(content, rng) if changed else content,
            )
    return packed.getvalue()
