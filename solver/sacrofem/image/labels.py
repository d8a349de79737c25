"""Names of the label numbers, as TotalSegmentator v2 gives them (Wasserthal 2023)."""

SACRUM = 25
L5 = 27
HIP_LEFT = 77
HIP_RIGHT = 78

NAMES = {SACRUM: "sacrum", L5: "vertebra L5", HIP_LEFT: "hip left", HIP_RIGHT: "hip right"}
