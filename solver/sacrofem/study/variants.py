"""Variants of a scenario: values put at dotted paths, each distinct part validated once."""

import copy
import difflib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError

from sacrofem.errors import InputError
from sacrofem.study.scenario import Scenario
from sacrofem.study.yaml_file import FileModel

#: Names the place of a field at a point, for a reader: file, line and field.
Place = Callable[[str, int], str]
_PLAIN = (int, float, str, type(None))


class _Given(dict[str, Any]):
    """A nested value of a study file: it may leave out fields, unlike the base written in full."""


def variants(
    base: Scenario, columns: Mapping[str, Sequence[Any]], folder: Path, place: Place
) -> list[Scenario]:
    """The base with the values of each point at their paths; ``*`` is every entry of a list.

    Variants share the parts that are equal, so a hundred thousand fit into memory.

    Args:
        base: Scenario with absolute paths.
        columns: Values by dotted path, one a point.
        folder: What relative file names in the values are relative to.
        place: Where a wrong value stands.

    Raises:
        InputError: A path does not lead to a field, two paths lead to the same one, a value does
            not fit its field, or a file that is named does not exist.
    """
    _check_overlap(tuple(columns), place)
    with _no_garbage_collection():
        return _variants(base, columns, folder, place)


def _variants(
    base: Scenario, columns: Mapping[str, Sequence[Any]], folder: Path, place: Place
) -> list[Scenario]:
    data = base.model_dump(mode="json")
    parts: dict[str, list[Any]] = {}
    for field in columns:
        part = field.split(".")[0]
        if part not in data:
            raise InputError(f"{place(field, 0)}: {_no_field(part, data)}")
        inside = {f: values for f, values in columns.items() if f.split(".")[0] == part}
        if part not in parts:
            parts[part] = _part(part, data[part], inside, folder, place)
    kept = {name: getattr(base, name) for name in Scenario.model_fields}
    found = []
    for number, row in enumerate(zip(*parts.values(), strict=True)):
        try:
            found.append(Scenario.model_validate(kept | dict(zip(parts, row, strict=True))))
        except ValidationError as error:
            raise _wrong(error, (), columns, number, place) from error
    return found


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """All that is made here stays: the collector would walk it again and again, half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def field_value(base: Scenario, path: str) -> Any:
    """What stands in a scenario at a dotted path; ``*`` where all entries agree.

    Raises:
        ValueError: The path leads to no field, or the entries of a list differ.
    """
    found = _at(base.model_dump(mode="json"), path.split("."))
    if any(value != found[0] for value in found):
        raise ValueError(f"'{path}' is not the same in all entries; name one by its number")
    return found[0]


def overlap(first: str, second: str) -> bool:
    """Whether two dotted paths lead to the same field, or one to a field inside the other."""
    # As far as the shorter one goes: it may lead to what holds the other.
    steps = zip(first.split("."), second.split("."), strict=False)
    return all(a == b or "*" in (a, b) for a, b in steps)


def _part(
    name: str, base: Any, columns: Mapping[str, Sequence[Any]], folder: Path, place: Place
) -> list[Any]:
    """One top-level field of every variant."""
    field = Scenario.model_fields[name]
    annotation: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    # A whole lesion first, what varies inside it after.
    order = sorted(columns, key=lambda path: path.count("."))
    ways = {path: path.split(".") for path in order}
    work = {name: copy.deepcopy(base)}
    known: dict[tuple[Any, ...], Any] = {}
    found = []
    for number, row in enumerate(zip(*(columns[path] for path in order), strict=True)):
        # Values of a list are shared by the points, so the identity of a nested one will do.
        key = tuple(v if isinstance(v, _PLAIN) else id(v) for v in row)
        if key not in known:
            for path, value in zip(order, row, strict=True):
                whole = _with_files(value, ways[path][-1], folder, path, number, place)
                _put(work, ways[path], whole, path, number, place)
            try:
                known[key] = adapter.validate_python(work[name])
            except ValidationError as error:
                raise _wrong(error, (name,), columns, number, place) from error
        found.append(known[key])
    return found


def _put(data: Any, way: list[str], value: Any, path: str, number: int, place: Place) -> None:
    step, rest = way[0], way[1:]
    if isinstance(data, list):
        entries: Sequence[Any] = range(len(data))
        if step != "*":
            if not (step.isdecimal() and int(step) < len(data)):
                raise InputError(
                    f"{place(path, number)}: '*' or a number below {len(data)} is needed, found "
                    f"'{step}'."
                )
            entries = [int(step)]
    elif isinstance(data, dict) and (step in data or (isinstance(data, _Given) and not rest)):
        entries = [step]
    else:
        raise InputError(f"{place(path, number)}: {_no_field(step, data)}")
    for entry in entries:
        if rest:
            _put(data[entry], rest, value, path, number, place)
        else:
            data[entry] = value


def _at(data: Any, way: list[str]) -> list[Any]:
    if not way:
        return [data]
    step, rest = way[0], way[1:]
    if isinstance(data, list) and step == "*":
        return [value for entry in data for value in _at(entry, rest)]
    if isinstance(data, list) and step.isdecimal() and int(step) < len(data):
        return _at(data[int(step)], rest)
    if isinstance(data, dict) and step in data:
        return _at(data[step], rest)
    raise ValueError(_no_field(step, data))


def _no_field(step: str, data: Any) -> str:
    if isinstance(data, list) and step.isdecimal():
        return f"there is no entry '{step}', only {len(data)}."
    if data is None:
        return f"'{step}' is no field here: what it would stand in is null; give it as a whole."
    if not isinstance(data, dict | list):
        return f"'{step}' is no field here; allowed: nothing below a value."
    words = [str(word) for word in data] if isinstance(data, dict) else ["*"]
    close = difflib.get_close_matches(step, words, n=1, cutoff=0.5)
    hint = f" did you mean '{close[0]}'?" if close else ""
    return f"'{step}' is no field here;{hint} allowed: {', '.join(words)}."


def _check_overlap(fields: tuple[str, ...], place: Place) -> None:
    for i, field in enumerate(fields):
        for other in fields[:i]:
            if field.count(".") == other.count(".") and overlap(field, other):
                raise InputError(
                    f"{place(field, 0)}: '{other}' leads to the same field; a field varies once."
                )


@cache
def _file_fields(model: Any = Scenario) -> frozenset[str]:
    """Names of the fields that hold file names."""
    names = set()
    for name, field in model.model_fields.items():
        types = _types_in(field.annotation)
        if Path in types:
            names.add(name)
        for inner in types:
            if isinstance(inner, type) and issubclass(inner, FileModel):
                names |= _file_fields(inner)
    return frozenset(names)


def _types_in(annotation: Any) -> set[Any]:
    return {annotation}.union(*(_types_in(inner) for inner in get_args(annotation)))


def _with_files(value: Any, name: str, folder: Path, path: str, number: int, place: Place) -> Any:
    """A value of the field ``name``, its file names absolute; nested values are copied."""
    if isinstance(value, dict):
        return _Given({k: _with_files(v, k, folder, path, number, place) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return [_with_files(v, name, folder, path, number, place) for v in value]
    if not isinstance(value, str) or name not in _file_fields():
        return value
    file = (folder / value).resolve()
    if not file.is_file():
        raise InputError(
            f"{place(path, number)}: no such file, found '{value}', which is {file}; file names "
            "are relative to the study file."
        )
    return str(file)


def _wrong(
    error: ValidationError,
    inside: tuple[str, ...],
    columns: Mapping[str, Sequence[Any]],
    number: int,
    place: Place,
) -> InputError:
    """What does not fit at a point, by the varied field that brought it where one can be told."""
    first = error.errors(include_url=False)[0]
    loc = ".".join(str(part) for part in (*inside, *first["loc"])) or "the scenario"
    # Unions put words of their own into the location; a field that leads there still matches.
    # The most deeply nested one brought the value.
    to = [field for field in columns if overlap(field, loc)]
    field = max(to or columns, key=lambda f: (f.count("."), f))
    beside = "" if to and field.count(".") <= loc.count(".") else f" at {loc}"
    message = first["msg"].removeprefix("Value error, ")
    found = first.get("input")
    text = f", found {found!r}" if isinstance(found, _PLAIN) else ""
    hint = _nearest(first, found)
    return InputError(
        f"{place(field, number)}: {message[0].lower()}{message[1:]}{text}{beside} "
        f"(point {number}){hint}."
    )


def _nearest(error: Any, found: Any) -> str:
    if error["type"] != "literal_error" or not isinstance(found, str):
        return ""
    words = [w.strip("' ") for w in error["ctx"]["expected"].replace(" or ", ",").split(",")]
    close = difflib.get_close_matches(found, words, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
