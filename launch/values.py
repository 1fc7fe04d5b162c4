"""Whether a plain config value fits the annotation of the constructor argument that it is for."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}
PLAIN = (int, float, bool, str, type(None))


def hints_of(target: type) -> dict[str, Any]:
    """Give the annotations of a constructor's arguments; empty where they cannot be evaluated."""
    try:
        if is_dataclass(target):
            return get_type_hints(target)
        return get_type_hints(inspect.getattr_static(target, "__init__"))
    except NameError:  # a name that is imported for type checkers alone
        return {}


def field_names(target: type) -> dict[str, str]:
    """Give the fields that have another key in the config, by that key.

    A field says so where its key is a word that its class needs for a method.
    """
    own = fields(target) if is_dataclass(target) else ()
    return {field.metadata["key"]: field.name for field in own if "key" in field.metadata}


def value_class(hint: Any) -> type | None:
    """Give the class of a mapping's values, where they are components; else None."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin not in (dict, Mapping) or not inspect.isclass(arguments[-1]):
        return None
    found: type = arguments[-1]
    return found if is_dataclass(found) else None


def fits(value: object, hint: Any) -> bool:
    """Tell whether a value of a config may be given for an argument annotated with `hint`.

    A list stands for a tuple; a whole number is a number, true and false are not. Annotations of
    other kinds accept everything.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in arguments)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin in (list, tuple, Sequence):
        if isinstance(value, str) or not isinstance(value, list | tuple):
            return False
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            pairs = zip(value, arguments, strict=False)
            return len(value) == len(arguments) and all(fits(v, a) for v, a in pairs)
        return not arguments or all(fits(v, arguments[0]) for v in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in PLAIN:
        return isinstance(value, hint)
    if inspect.isclass(hint) and origin is None and hint is not Any:
        return isinstance(value, hint)
    return True


def describe(hint: Any) -> str:
    """Say in words what `fits` accepts."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(each) for each in arguments)
    if origin is Literal:
        return ", ".join(str(each) for each in arguments)
    if origin in (list, tuple, Sequence):
        what = dict.fromkeys(a for a in arguments if a is not Ellipsis)
        return "a list" + (f", each {' or '.join(map(describe, what))}" if what else "")
    if origin in (dict, Mapping) or hint is dict:
        return "keys with values"
    if hint in NAMES:
        return NAMES[hint]
    if inspect.isclass(hint) or isinstance(hint, TypeVar):
        return f"a {hint.__name__}"
    return str(hint)


def as_tuples(value: object, hint: Any) -> object:
    """Turn lists into tuples where the annotation says tuple, so that components stay hashable."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        hint = next((each for each in arguments if fits(value, each)), None)
        return value if hint is None else as_tuples(value, hint)
    if origin is tuple and isinstance(value, list):
        inner = arguments[0] if arguments else Any
        return tuple(as_tuples(each, inner) for each in value)
    return value
