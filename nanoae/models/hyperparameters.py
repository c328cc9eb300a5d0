"""Hyper-parameters: each is a field of its class, where it is declared, explained and checked.

A model is a dataclass, and its fields are its constructor's arguments. `check_fields` holds each
to its range, and `documented` writes their meaning into the docstring of the class::

    @documented
    @dataclass(eq=False, repr=False, kw_only=True)
    class Model(...):
        beta: float = real(1.0, "Weight of the KL term.", 0)
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Collection
from dataclasses import Field, field, fields, is_dataclass
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np

from nanoae.network import Architecture
from nanoae.validation import (
    check_bool,
    check_choice,
    check_integer,
    check_layer_sizes,
    check_probability,
    check_real,
)

Class = TypeVar("Class", bound=type)


def integer(default: Any, meaning: str, minimum: int, maximum: int | None = None) -> Any:
    """An integer within a range; None is allowed where the annotation has it."""
    return anything(default, meaning, partial(check_integer, minimum=minimum, maximum=maximum))


def real(
    default: Any, meaning: str, minimum: float, maximum: float = np.inf, *, open_ends: bool = False
) -> Any:
    """A finite number within a range; None is allowed where the annotation has it."""
    check = partial(check_real, minimum=minimum, maximum=maximum, open_ends=open_ends)
    return anything(default, meaning, check)


def probability(default: float, meaning: str) -> Any:
    """A number of at least 0 and below 1."""
    return anything(default, meaning, check_probability)


def choice(default: str, meaning: str, choices: Collection[str]) -> Any:
    """One of some words."""
    words = ", ".join(f'"{word}"' for word in choices)
    return anything(default, meaning, partial(check_choice, choices=choices), f"{{{words}}}")


def flag(default: bool, meaning: str) -> Any:
    """Something that is on or off."""
    return anything(default, meaning, check_bool)


def layer_sizes(default: tuple[int, ...], meaning: str) -> Any:
    """The widths of layers."""
    return anything(default, meaning, check_layer_sizes, "tuple of int")


def networks(meaning: str) -> Any:
    """An `Architecture`, or None."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, Architecture) or not is_dataclass(value):
            raise TypeError(
                f"{name} must be None or an Architecture that is a dataclass; got {value!r}."
            )

    return anything(None, meaning, check)


def seed(draws: str) -> Any:
    """A seed. It is checked where it is made a generator of."""
    return anything(None, f"Draws {draws}.", kind="int, Generator or None")


def anything(
    default: Any,
    meaning: str,
    check: Callable[[str, Any], None] | None = None,
    kind: str | None = None,
) -> Any:
    """A field with its meaning, what raises if a value is impossible, and its kind in words."""
    return field(default=default, metadata={"meaning": meaning, "check": check, "kind": kind})


def check_fields(model: Any) -> None:
    """Raise if a hyper-parameter is impossible by itself.

    Raises
    ------
    ValueError, TypeError
    """
    for name, declared in _declared(type(model)).items():  # type: ignore[arg-type]
        check, value = declared.metadata["check"], getattr(model, name)
        may_be_none = declared.default is None or "None" in str(declared.type)
        if check is not None and not (value is None and may_be_none):
            check(name, value)


@cache
def _declared(cls: type) -> dict[str, Field[Any]]:
    """Each field as it is explained: a class may give an inherited one another default only.

    The class's own come first, then those of the classes that it derives from.
    """
    found: dict[str, Field[Any]] = {}
    for base in cls.__mro__:
        for name in inspect.get_annotations(base):
            declared = vars(base).get("__dataclass_fields__", {}).get(name)
            if declared is not None and declared.metadata:
                found.setdefault(name, declared)
    return found


def documented(cls: Class) -> Class:
    """Class decorator: write a section "Parameters" into the docstring, before "Attributes"."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    defaults = {its_field.name: its_field.default for its_field in fields(cls)}
    lines = ["Parameters", "----------"]
    for name, declared in _declared(cls).items():
        kind = declared.metadata["kind"] or str(declared.type).replace(" | ", " or ")
        default = repr(defaults[name]).replace("'", '"')
        lines.append(f"{name} : {kind}, default {default}")
        lines += textwrap.wrap(
            declared.metadata["meaning"], 95, initial_indent="    ", subsequent_indent="    "
        )
    before, attributes, after = doc.partition("Attributes\n------")
    section = "\n".join(lines)
    cls.__doc__ = f"{before.rstrip()}\n\n{section}\n\n{attributes}{after}"
    return cls
