"""How a record lies in its file: which numbers are columns, and how the rest is made small.

A million records of 400 independent doubles are 3.3 GB, whatever packs them: random digits do not
compress. What studies plot are columns, which SQLite can query; the rest of each state (load path,
ligaments, energies, regions) is packed, as what differs from another case of the same bone and
lesions. Every number comes back bit by bit; a pack that single precision holds exactly takes half
the room, see :func:`in_kept_precision`.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sacrofem.study.case import STATES
from sacrofem.study.records import NUMBERS

#: What studies plot of a state, and the solver's own: beginnings of names behind that of the state.
PLOTTED = (
    "stiffness_",
    "load_share_",
    "rim_von_mises_",
    "micromotion_",
    "bone_at_risk_",
    "failure_load_",
    "cement_",
    "interface_",
    "equilibrium_error",
    "iterations",
    "residual",
)
#: A number of the case that is called like one of the state "lesion".
OF_CASE = ("lesion_ml",)
#: Numbers of the pack are little-endian: the short ones where they hold all of a record exactly.
SHORT, LONG = np.dtype("<f4"), np.dtype("<f8")
#: Values of :data:`DETAILS`, (d,) in their order.
Details = npt.NDArray[np.float64]


def _is_detail(name: str) -> bool:
    state, _, rest = name.partition("_")
    return state in STATES and name not in OF_CASE and not rest.startswith(PLOTTED)


#: Numbers that are packed, and those with a column of their own; both in the order of a record.
DETAILS = tuple(name for name in NUMBERS if _is_detail(name))
CORE = tuple(name for name in NUMBERS if not _is_detail(name))
#: What a base itself is packed against.
NOTHING: Details = np.zeros(len(DETAILS))


def in_kept_precision(numbers: Mapping[str, float]) -> dict[str, float]:
    """The numbers of a record with :data:`DETAILS` rounded to single precision (6e-8, a choice).

    docs/store.md has the room that either takes, measured.
    """
    with np.errstate(over="ignore"):
        return {n: float(np.float32(v)) if n in _DETAILS else v for n, v in numbers.items()}


_DETAILS = frozenset(DETAILS)


def detail_values(numbers: Mapping[str, float]) -> Details:
    """The details of a record, (d,) in the order of :data:`DETAILS`; NaN where there is none."""
    return np.array([numbers.get(name, np.nan) for name in DETAILS], np.float64)


def pack(values: Details, base: Details) -> bytes:
    """Details as what differs from those of another record, see :func:`shared_hash`.

    Bits are compared (exclusive or). Bytes of the same place of all numbers stand together, since
    sign and exponent repeat and the last digits do not; then zlib.
    """
    with np.errstate(over="ignore"):
        is_short = np.array_equal(values.astype(SHORT), values, equal_nan=True)
    width = SHORT if is_short else LONG
    planes = (_bits(values, width) ^ _bits(base, width)).reshape(len(values), width.itemsize).T
    return zlib.compress(planes.tobytes(), 6)


def unpack(packed: bytes, base: Details) -> Details:
    """Details from what differs; inverse of :func:`pack`.

    Raises:
        ValueError: These are no packed details.
    """
    try:
        raw = zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    for width in (SHORT, LONG):
        if len(raw) == width.itemsize * len(base):
            planes = np.frombuffer(raw, np.uint8).reshape(width.itemsize, len(base))
            return (planes.T.ravel() ^ _bits(base, width)).view(width).astype(np.float64)
    raise ValueError(f"{len(raw)} bytes for {len(base)} numbers")


def named_details(packed: bytes, base: bytes) -> dict[str, float]:
    """The details of a record by name, from its pack and the pack of its base.

    Raises:
        ValueError: One of the two is no pack.
    """
    values = unpack(packed, unpack(base, NOTHING))
    return {name: float(value) for name, value in zip(DETAILS, values, strict=True)}


def shared_hash(inputs: Mapping[str, Any]) -> int:
    """A number that cases with the same bone, lesions, load and materials have in common.

    Their intact and lesion states are the same but for the regions that cement reaches. The first
    of them is the base of the others. Two sets of inputs with one number cost room, nothing else.
    """
    shared = {name: value for name, value in inputs.items() if name != "procedures"}
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _bits(values: Details, width: np.dtype[Any]) -> npt.NDArray[np.uint8]:
    with np.errstate(over="ignore"):
        return values.astype(width).view(np.uint8)


def split_inputs(inputs: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Form and leaves of an input document: its JSON without values, and the values' JSON.

    The cases of a study share a few forms and most leaves, so that a record need only hold what
    differs from the first of its form, see :func:`changed_leaves`.
    """
    leaves: list[str] = []
    form = json.dumps(_emptied(inputs, leaves))
    return form, leaves


def join_inputs(form: str, leaves: list[str]) -> dict[str, Any]:
    """The input document of a form and its leaves; inverse of :func:`split_inputs`."""
    filled: dict[str, Any] = _filled(json.loads(form), iter(leaves))
    return filled


def changed_leaves(leaves: list[str], first: list[str]) -> str:
    """What differs from the first document of the form: lines of a leaf's number and its JSON."""
    pairs = enumerate(zip(leaves, first, strict=True))
    return "\n".join(f"{n} {leaf}" for n, (leaf, other) in pairs if leaf != other)


def with_changes(first: list[str], changes: str) -> list[str]:
    """Leaves of a document from those of the first of its form; see :func:`changed_leaves`."""
    leaves = list(first)
    for line in changes.split("\n") if changes else ():
        number, _, leaf = line.partition(" ")
        leaves[int(number)] = leaf
    return leaves


def _emptied(value: Any, leaves: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _emptied(value[name], leaves) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_emptied(inner, leaves) for inner in value]
    leaves.append(json.dumps(value))
    return None


def _filled(form: Any, leaves: Iterator[str]) -> Any:
    if isinstance(form, dict):
        return {name: _filled(inner, leaves) for name, inner in form.items()}
    if isinstance(form, list):
        return [_filled(inner, leaves) for inner in form]
    return json.loads(next(leaves))
