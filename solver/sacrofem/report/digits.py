"""Numbers as text: fixed digits, a dash where there is none."""

import math

#: What stands in place of a number that is missing or not finite.
DASH = "-"


def is_number(value: float | None) -> bool:
    """Whether a value of a summary is a finite number."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, digits: int) -> str:
    """A number with a fixed number of digits after the point."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    # "-0.0" would claim a sign that the digits do not show.
    return text.lstrip("-") if float(text) == 0.0 else text


def signed(value: float | None, digits: int) -> str:
    """A change: a number that always shows its sign."""
    text = fixed(value, digits)
    return text if text == DASH or text.startswith("-") or float(text) == 0.0 else f"+{text}"


def percent(value: float | None, digits: int = 1) -> str:
    """A part of one as a percentage, without the sign ``%``."""
    return fixed(None if value is None else 100.0 * value, digits)


def change_percent(value: float | None, base: float | None) -> float | None:
    """Change of a value against a base in percent."""
    if value is None or base is None or base == 0.0:
        return None
    return 100.0 * (value / base - 1.0)


def typographic(text: str) -> str:
    """A number for print: a dash for what is missing, a true minus sign."""
    if text == DASH:
        return "\u2013"
    return "\u2212" + text[1:] if text[:1] == "-" and text[1:2].isdigit() else text
