"""YAML files checked by pydantic; errors name file, line, field, value and the way out."""

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sacrofem.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class FileModel(BaseModel):
    """Base of all models of user files: unknown words are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read and validate a YAML file.

    Raises:
        InputError: The file is missing, is not YAML, or a field is unknown, missing or out of
            range; the message names the first such place.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a YAML file.")
    try:
        text = path.read_text(encoding="utf-8")
        data, tree = yaml.safe_load(text), yaml.compose(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML ({_one_line(error)}).") from error
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: fields such as '{next(iter(model.model_fields))}:' are needed, found "
            f"{type(data).__name__}."
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(_explain(error, path, data, tree, model)) from error


def _explain(
    error: ValidationError, path: Path, data: Any, tree: yaml.Node | None, model: type[BaseModel]
) -> str:
    # An unknown word first: a field that is missing is often just misspelt.
    found_errors = error.errors(include_url=False)
    first = min(found_errors, key=lambda e: e["type"] != "extra_forbidden")
    loc = first["loc"]
    field = ".".join(str(part) for part in loc) or "the file"
    where = f"{path}, line {_line(tree, loc)}, {field}"
    if first["type"] == "extra_forbidden":
        words = _fields_beside(data, loc, model)
        close = difflib.get_close_matches(str(loc[-1]), words, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"{where}: unknown word '{loc[-1]}'{hint} Allowed: {', '.join(words)}."
    if first["type"] == "missing":
        return f"{where}: this field is required."
    found = first.get("input")
    message = f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, found {found!r}"
    if first["type"] == "literal_error" and isinstance(found, str):
        words = [w.strip("' ") for w in first["ctx"]["expected"].replace(" or ", ",").split(",")]
        close = difflib.get_close_matches(found, words, n=1, cutoff=0.5)
        if close:
            message += f"; did you mean '{close[0]}'?"
            return message
    return message + "."


def _line(tree: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """Line of the deepest node on the way to a location."""
    node, line = tree, 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(part)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _fields_beside(data: Any, loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The words that are allowed where an unknown one stands."""
    current: Any = model
    for part in loc[:-1]:
        if isinstance(part, str) and hasattr(current, "model_fields"):
            current = _model_of(current.model_fields[part].annotation)
    return sorted(f.alias or name for name, f in current.model_fields.items())


def _model_of(annotation: Any) -> Any:
    """The model inside an annotation such as ``tuple[Model, ...]``."""
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if hasattr(found, "model_fields"):
            return found
    return annotation


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
