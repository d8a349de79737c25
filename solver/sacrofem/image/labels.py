"""Names and numbers of the structures, as TotalSegmentator v2 gives them (Wasserthal 2023)."""

import difflib
from collections.abc import Mapping, Sequence

from sacrofem.errors import InputError

SACRUM = 25
#: TotalSegmentator's separate first sacral vertebra; joined with the sacrum on reading.
S1 = 26
L5 = 27
L4 = 28
FEMUR_LEFT = 75
FEMUR_RIGHT = 76
HIP_LEFT = 77
HIP_RIGHT = 78

NAMES = {
    SACRUM: "sacrum",
    S1: "vertebra S1",
    L5: "vertebra L5",
    L4: "vertebra L4",
    FEMUR_LEFT: "femur left",
    FEMUR_RIGHT: "femur right",
    HIP_LEFT: "hip left",
    HIP_RIGHT: "hip right",
}

#: The words for the structures in recipes; the files of TotalSegmentator are named by some of them.
STRUCTURES = {
    "sacrum": SACRUM,
    "S1": S1,
    "L5": L5,
    "L4": L4,
    "hip_left": HIP_LEFT,
    "hip_right": HIP_RIGHT,
    "femur_left": FEMUR_LEFT,
    "femur_right": FEMUR_RIGHT,
}
#: TotalSegmentator's file names of the vertebrae.
ALIASES = {"vertebrae_S1": "S1", "vertebrae_L5": "L5", "vertebrae_L4": "L4"}


def structure_number(word: str, source: str) -> int:
    """The project's label number of a structure's name in a recipe or of a file.

    Raises:
        InputError: No structure has this name.
    """
    name = ALIASES.get(word, word)
    if name in STRUCTURES:
        return STRUCTURES[name]
    near = difflib.get_close_matches(word, [*STRUCTURES, *ALIASES], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InputError(
        f"{source}: {word!r} is no structure that can be used (they are {', '.join(STRUCTURES)})"
        f"{hint}"
    )


def file_numbers(
    numbers: Mapping[str, int | Sequence[int]], source: str
) -> dict[int, tuple[int, ...]]:
    """Turn a recipe's mapping into ``{label number of the project: numbers in the file}``.

    Raises:
        InputError: A name is unknown, the sacrum is not among them, a number is no whole number
            above 0, or one number stands for two structures.
    """
    table: dict[int, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for word, given in numbers.items():
        found = (given,) if isinstance(given, int) else tuple(given)
        for number in found:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise InputError(
                    f"{source}: the label number of {word} is {number!r}; whole numbers from 1 "
                    "are possible (0 is the background)."
                )
            if number in owner:
                raise InputError(
                    f"{source}: label number {number} is given to {owner[number]} and to {word}; "
                    "one number can mean one structure only."
                )
            owner[number] = word
        target = structure_number(word, source)
        table[target] = table.get(target, ()) + found
    if SACRUM not in table:
        raise InputError(
            f"{source}: no label number is given for the sacrum, only for "
            f"{', '.join(numbers) or 'nothing'}; add 'sacrum: <number>'."
        )
    return table
