"""Formulas of dependent fields: arithmetic on fields of a scenario, and nothing else.

A formula is parsed, never evaluated as Python: names, numbers, ``+ - * /``, ``min`` and ``max`` are
what there is, so that a study file from a stranger can do no more than compute a number.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

#: A dotted path; ``*`` is a part of one only between two dots, elsewhere it multiplies.
_PATH = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.(?:\w+|\*(?=\.)))*")
#: Longer ones are no formulas of a person, and deep nesting would exhaust the parser.
MAX_LENGTH = 500
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max}
_ALLOWED = "fields, numbers, + - * / ( ), min(..) and max(..)"


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes:
        text: As it stands in the file.
        names: Dotted paths that it reads, each once, in their order.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr

    def value(self, of: Mapping[str, float]) -> float:
        """The formula's value for values of its names.

        Raises:
            ValueError: It divides by zero or the value is not finite.
        """
        try:
            found = _value(self._tree, [of[name] for name in self.names])
            finite = isfinite(found)
        except (ZeroDivisionError, OverflowError) as error:
            raise ValueError(f"'{self.text}' has no value here: {error}") from None
        if not finite:
            raise ValueError(f"'{self.text}' has no value here: {found}")
        return found


def parse_formula(text: str) -> Formula:
    """Parse a formula.

    Raises:
        ValueError: It is no formula, or holds more than is allowed.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a formula has at most {MAX_LENGTH} characters, found {len(text)}")
    names: list[str] = []

    def mark(found: re.Match[str]) -> str:
        if found[0] in _FUNCTIONS:
            return found[0]
        if found[0] not in names:
            names.append(found[0])
        return f"_{names.index(found[0])}"

    try:
        # Dotted paths such as lesions.0.volume_ml are no names of Python: numbers stand for them.
        tree = ast.parse(_PATH.sub(mark, text).strip(), mode="eval").body
        _check(tree, text, len(names))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if isinstance(error, ValueError) and _ALLOWED in str(error):
            raise
        raise ValueError(f"'{text}' is no formula; allowed are {_ALLOWED}") from None
    return Formula(text, tuple(names), tree)


def _check(node: ast.AST, text: str, names: int) -> None:
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            inner = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            inner = [operand]
        case ast.Call(func=ast.Name(id=function), args=args, keywords=[]) if (
            function in _FUNCTIONS and len(args) > 1
        ):
            inner = args
        case ast.Name(id=name) if name.startswith("_") and int(name[1:]) < names:
            inner = []
        case ast.Constant(value=int() | float() as value) if not isinstance(
            value, bool
        ) and isfinite(value):
            inner = []
        case _:
            raise ValueError(f"'{text}' holds more than a formula may; allowed are {_ALLOWED}")
    for part in inner:
        _check(part, text, names)


def _value(node: ast.expr, values: list[float]) -> float:
    """Value of a checked node."""
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int | float)
        return node.value
    if isinstance(node, ast.Name):
        return values[int(node.id[1:])]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, values)
        return -inner if isinstance(node.op, ast.USub) else inner
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return _FUNCTIONS[node.func.id](*(_value(arg, values) for arg in node.args))
