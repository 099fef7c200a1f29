"""Builds a frozen dataclass from the plain values of a TOML file, telling by name what does not fit."""

from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vmfm.trainer.errors import TrainerError

T = TypeVar("T")
NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", tuple: "a list", dict: "a table"}


def build(kind: type[T], values: dict[str, Any], where: str) -> T:
    """`kind(**values)`, lists becoming tuples. Raises TrainerError on a key that is unknown, missing or of another type.

    where: what the values describe, as the error's subject.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := [key for key in values if key not in known]:
        raise TrainerError(f"{where} has an unknown key {unknown[0]!r}; wanted some of {', '.join(known)}")
    required = (key for key, field in known.items() if field.default is MISSING and field.default_factory is MISSING)
    if missing := [key for key in required if key not in values]:
        raise TrainerError(f"{where} has no {missing[0]!r}")
    hints = get_type_hints(kind)
    if wrong := [key for key, value in values.items() if not _fits(value, hints[key])]:
        raise TrainerError(f"{where} has {wrong[0]} = {values[wrong[0]]!r}; wanted {_called(hints[wrong[0]])}")
    return kind(**{key: _frozen(value) for key, value in values.items()})


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, option) for option in inner)
    if origin is tuple:
        each = inner[:1] * len(value) if isinstance(value, list | tuple) and inner[-1] is ... else inner
        return isinstance(value, list | tuple) and len(value) == len(each) and all(map(_fits, value, each))
    if origin is dict:
        return isinstance(value, dict) and all(_fits(v, inner[1]) for v in value.values())
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)


def _called(hint: Any) -> str:
    options = [option for option in get_args(hint) if option is not NoneType]
    if get_origin(hint) is UnionType:
        return " or ".join(map(_called, options))
    if get_origin(hint) is tuple:
        return f"a list, each {_called(options[0])}" if options[-1] is ... else f"a list of {len(options)}"
    return NAMES.get(get_origin(hint) or hint, str(hint))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
