"""Sequences of unequal length as rows of one table, and back.

A row has room for the longest sequence, step after step; behind the end of a shorter one stands
NaN. So a set of sequences is an array like any other: batches, weights, checkpoints and files
need to know nothing of it. What does is the networks, which look away from what is not there, and
the loss, which does not count it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nanoae.arrays import Array, Moments


class Sequences(NamedTuple):
    """How sequences stand in the rows of a table.

    Attributes
    ----------
    features_per_step : int, default 1
        p. A row of T steps has ``T p`` columns.
    n_tokens : int, optional
        If steps are tokens, whole numbers from 0 on: how many there are.
    n_steps : int, optional
        T of the rows made of sequences, if none of them is longer.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.sequences import Sequences
    >>> two = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])]
    >>> rows = Sequences(features_per_step=2).rows(two)
    >>> rows.tolist()
    [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, nan, nan]]
    >>> Sequences(2).like(rows, rows, two)[1].tolist()
    [[5.0, 6.0]]
    """

    features_per_step: int = 1
    n_tokens: int | None = None
    n_steps: int | None = None

    def rows(
        self, X: Any, n_columns: int | None = None, name: str = "X", model: str = "the model"
    ) -> Any:
        """A list of ``(T_i, p)`` arrays, or one ``(n, T, p)`` array, as rows ``(n, T p)``.

        With one feature a step, and for tokens, the axis of features may be left out. NaN behind
        an end is for arrays: in a list each sequence ends where it ends. Anything else is returned
        as it is.

        Parameters
        ----------
        X : list of ndarray, or ndarray
        n_columns : int, optional
            Columns that the fitted model expects; by default as many as the longest one needs.
        name, model : str
            What to call the two in a message.

        Raises
        ------
        ValueError
            A sequence is empty, has other features, or has more steps than there are columns; or
            one of a list holds NaN.
        """
        p = self.features_per_step
        is_array = isinstance(X, np.ndarray) and X.ndim == 3
        listed = list(X) if is_array else _listed(X)
        if listed is None:
            return X
        given = [_array(sequence, i, name) for i, sequence in enumerate(listed)]
        if given[0].ndim == 0 or (p > 1 and all(s.ndim == 1 for s in given)):  # rows already
            return X
        for i, sequence in enumerate(given):
            if sequence.dtype.kind not in "biuf":
                raise ValueError(
                    f"{name} must hold real numbers; its sequence {i} is of {sequence.dtype}."
                )
            n_features = sequence.shape[1] if sequence.ndim == 2 else 1
            if sequence.ndim not in (1, 2) or n_features != p or len(sequence) == 0:
                raise ValueError(
                    f"{name} must have sequences of the shape (steps, {p}), with a step at least; "
                    f"its sequence {i} is of the shape {sequence.shape}."
                )
        longest = max(range(len(given)), key=lambda i: len(given[i]))
        width = p * (self.n_steps or len(given[longest])) if n_columns is None else n_columns
        if p * len(given[longest]) > width:
            raise ValueError(
                f"{name} has a sequence of {len(given[longest])} steps, number {longest}, but "
                f"{model} has room for {width // p}; cut it, or fit with an architecture that has "
                f"n_steps={len(given[longest])}."
            )
        are_rows = all(s.shape == (width,) for s in given)  # a table of one feature a step
        for i, sequence in enumerate(given):
            if not (is_array or are_rows) and np.isnan(sequence).any():
                raise ValueError(
                    f"{name} has NaN in its sequence {i}, first at step "
                    f"{np.argwhere(np.isnan(sequence))[0, 0]}; impute such values, or cut the "
                    "sequence where it ends."
                )
        dtype = np.float32 if all(s.dtype == np.float32 for s in given) else np.float64
        table = np.full((len(given), width), np.nan, dtype)
        for row, sequence in zip(table, given, strict=True):
            row[: sequence.size] = sequence.ravel()
        return table

    def filled(self, rows: Array, name: str, first_row: int) -> Array:
        """The rows with 0 for what is not there.

        Raises
        ------
        ValueError
            NaN stands elsewhere than behind the end of a sequence, a row has no step, its steps
            are no whole ones, or what should be a token is none.
        """
        p = self.features_per_step
        if rows.shape[1] % p:
            raise ValueError(
                f"{name} must have a multiple of {p} columns, features_per_step={p} of each step; "
                f"got {rows.shape[1]}."
            )
        there = ~np.isnan(rows)
        lengths = there.sum(axis=1)
        right = (np.arange(rows.shape[1]) < lengths[:, None]) == there
        bad = ~right.all(axis=1) | (lengths == 0) | (lengths % p > 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"{name} may have NaN behind the end of a sequence only, which has a step at "
                f"least, and whole steps of {p}; row {first_row + row} has {lengths[row]} "
                f"value(s), and NaN first in column {np.argmin(there[row])}."
            )
        filled = np.where(there, rows, 0)
        if self.n_tokens is not None:
            is_token = (filled == np.floor(filled)) & (filled >= 0) & (filled < self.n_tokens)
            if not is_token.all():
                place = np.unravel_index(np.argmin(is_token), rows.shape)
                raise ValueError(
                    f"{name} must hold tokens, whole numbers from 0 to {self.n_tokens - 1}; got "
                    f"{rows[place]:g} at row {first_row + place[0]}, step {place[1]}."
                )
        return filled

    def steps(self, rows: Array) -> tuple[Array, Array]:
        """What the networks see: steps ``(…, T, p)``, and which are there, ``(…, T)``."""
        steps = rows.reshape(*rows.shape[:-1], -1, self.features_per_step)
        there = ~np.isnan(steps[..., 0])
        return np.where(there[..., None], steps, 0), there

    def outputs(self, n_columns: int) -> tuple[int, ...]:
        """Shape of what a decoder makes of a code: a row, or logits of each token of it."""
        return (n_columns,) if self.n_tokens is None else (n_columns, self.n_tokens)

    def n_values(self, rows: Array) -> Array:
        """How many values each row has, ``(n,)``."""
        return np.sum(~np.isnan(rows), axis=1)

    def unfolded(self, rows: Array) -> Array:
        """Rows as an array ``(n, T, p)``, or ``(n, T)`` of tokens."""
        if self.n_tokens is not None:
            return rows
        return rows.reshape(len(rows), -1, self.features_per_step)

    def like(self, rows: Array, given_rows: Array, X: Any) -> Any:
        """``rows``, cut where ``given_rows`` end, in the form in which X was handed in."""
        there, listed = ~np.isnan(given_rows), _listed(X)
        if listed is not None:
            cut = [row[:n] for row, n in zip(rows, there.sum(axis=1), strict=True)]
            if np.ndim(listed[0]) == 2:
                cut = [row.reshape(-1, self.features_per_step) for row in cut]
            elif self.features_per_step > 1:
                return np.where(there, rows, np.nan)
            return cut
        if not there.all():
            rows = np.asarray(np.where(there, rows, np.nan), given_rows.dtype)
        if np.ndim(X) != 3:
            return rows
        return rows.reshape(len(rows), -1, self.features_per_step)[:, : np.shape(X)[1]]

    def moments(self, rows: Array, weights: Array | None = None) -> Moments:
        """Number, mean and scatter of samples, of each step over those that have it.

        Of tokens, those of their indicators, ``T n_tokens`` numbers of 0 and 1: the mean is how
        often each token stands at each step.
        """
        if self.n_tokens is None:
            moments = Moments.of_nothing(rows.shape[1])
            moments.add(self._with_means(rows, weights), weights)
            return moments
        moments = Moments.of_nothing(rows.shape[1] * self.n_tokens)
        for start in range(0, len(rows), 1024):
            part = slice(start, start + 1024)
            indicators = rows[part, :, None] == np.arange(self.n_tokens)  # NaN is none of them
            of_part = None if weights is None else weights[part]
            moments.add(indicators.reshape(len(indicators), -1), of_part)
        return moments

    def _with_means(self, rows: Array, weights: Array | None) -> Array:
        """The rows with the column's mean for what is not there: so all have as many values."""
        there = ~np.isnan(rows)
        w = np.ones(len(rows)) if weights is None else weights
        n = np.maximum(w @ there, np.finfo(float).tiny)  # of a column without any: mean 0
        return np.where(there, rows, w @ np.where(there, rows, 0) / n)


def _listed(X: Any) -> list[Any] | None:
    """What may be a list of sequences, or came as an array of objects; None if it is neither."""
    is_list = isinstance(X, (list, tuple))
    is_list |= isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    return list(X) if is_list and len(X) > 0 else None


def _array(sequence: Any, i: int, name: str) -> Array:
    try:
        return np.asarray(sequence)
    except ValueError:
        raise ValueError(
            f"{name} must have sequences of equal steps, but those of its sequence {i} differ in "
            "length."
        ) from None
