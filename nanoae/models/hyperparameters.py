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
from dataclasses import field, fields
from functools import partial
from typing import Any, TypeVar

import numpy as np

from nanoae.network import Architecture
from nanoae.validation import (
    check_bool,
    check_choice,
    check_integer,
    check_layer_sizes,
    check_real,
)

Class = TypeVar("Class", bound=type)


def integer(default: Any, meaning: str, minimum: int, maximum: int | None = None) -> Any:
    """An integer within a range; None is allowed where it is the default."""
    return anything(default, meaning, partial(check_integer, minimum=minimum, maximum=maximum))


def real(
    default: Any, meaning: str, minimum: float, maximum: float = np.inf, *, open_ends: bool = False
) -> Any:
    """A finite number within a range; None is allowed where it is the default."""
    check = partial(check_real, minimum=minimum, maximum=maximum, open_ends=open_ends)
    return anything(default, meaning, check)


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
        if not isinstance(value, Architecture):
            raise TypeError(f"{name} must be None or an Architecture; got {value!r}.")

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
    for its_field in fields(model):
        check, value = its_field.metadata["check"], getattr(model, its_field.name)
        if check is not None and not (value is None and its_field.default is None):
            check(its_field.name, value)


def documented(cls: Class) -> Class:
    """Class decorator: write a section "Parameters" into the docstring, before "Attributes".

    The class's own fields come first, then those of the classes that it derives from. A class may
    give one of these another default, and says no more of it.
    """
    present, lines = {its_field.name: its_field for its_field in fields(cls)}, ["Parameters"]
    lines.append("-" * len(lines[0]))
    for base in cls.__mro__:
        for name in inspect.get_annotations(base):
            declared = vars(base).get("__dataclass_fields__", {}).get(name)
            if declared is None or not declared.metadata or name not in present:
                continue
            its_field = present.pop(name)
            its_field.metadata = declared.metadata
            kind = declared.metadata["kind"] or str(declared.type).replace(" | ", " or ")
            default = repr(its_field.default).replace("'", '"')
            lines.append(f"{name} : {kind}, default {default}")
            meaning = textwrap.fill(declared.metadata["meaning"], 91)
            lines += textwrap.indent(meaning, " " * 4).split("\n")
    section = textwrap.indent("\n".join(lines), " " * 4).lstrip()
    before, attributes, after = (cls.__doc__ or "").partition("Attributes\n    ------")
    cls.__doc__ = f"{before}{section}\n\n    {attributes}{after}"
    return cls
