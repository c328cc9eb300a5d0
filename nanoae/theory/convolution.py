"""Convolution as a matrix, and what a linear convolutional autoencoder can reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.validation import check_integer, check_samples

Size = tuple[int, ...]


def convolution_matrix(
    weight: ArrayLike, size: Sequence[int], *, stride: int = 1, padding: int = 0,
    circular: bool = False,
) -> Array:  # fmt: skip
    """The matrix K of a convolution, written number by number from its definition (10.1).

    Parameters
    ----------
    weight : array-like of shape (c', c, k, …, k)
    size : sequence of int
        Of the image, one number an axis.
    stride, padding : int, default 1 and 0
    circular : bool, default False

    Returns
    -------
    ndarray of shape (c' · windows, c · pixels)
        Each channel in reading order, one channel after the other.

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.convolution_matrix([[[1.0, 2.0, 3.0]]], (4,), padding=1)
    array([[2., 3., 0., 0.],
           [1., 2., 3., 0.],
           [0., 1., 2., 3.],
           [0., 0., 1., 2.]])
    """
    weight, size = np.asarray(weight, dtype=np.float64), tuple(size)
    n_out, n_in, *kernel = weight.shape
    of_tap = np.moveaxis(weight, (0, 1), (-2, -1))  # for each tap a matrix (c', c)
    counts = [(n + 2 * padding - k) // stride + 1 for n, k in zip(size, kernel, strict=True)]
    K = np.zeros((*counts, *size, n_out, n_in))
    for place in product(*map(range, counts)):
        for tap in product(*map(range, kernel)):
            pixel = [i * stride + t - padding for i, t in zip(place, tap, strict=True)]
            if circular:
                pixel = [i % n for i, n in zip(pixel, size, strict=True)]
            if all(0 <= i < n for i, n in zip(pixel, size, strict=True)):
                K[(*place, *pixel)] += of_tap[tap]
    K = K.reshape(math.prod(counts), math.prod(size), n_out, n_in)
    return K.transpose(2, 0, 3, 1).reshape(n_out * math.prod(counts), n_in * math.prod(size))


def circular_singular_values(weight: ArrayLike, size: Sequence[int], *, stride: int = 1) -> Array:
    """Singular values of a circular convolution, by the FFT (10.3).

    Frequencies that differ by multiples of ``m = N/s`` end up as one, an alias class. So the
    values are those of one small matrix a class, ``(c', s^D c)``.

    Parameters
    ----------
    weight : array-like of shape (c', c, k, …, k)
        k no larger than the size.
    size : sequence of int
        Multiples of the stride.
    stride : int, default 1

    Returns
    -------
    ndarray
        In descending order.

    Examples
    --------
    Second differences on a ring of four: ``2 − 2 cos`` of the frequency, twice at ±π/2:

    >>> from nanoae import theory
    >>> values = theory.circular_singular_values([[[-1.0, 2.0, -1.0]]], (4,))
    >>> (abs(values) + 0).round(12).tolist()
    [4.0, 2.0, 2.0, 0.0]
    """
    weight, size = np.asarray(weight, dtype=np.float64), tuple(size)
    n_axes = len(size)
    spectrum = np.fft.fftn(weight, size, axes=range(2, 2 + n_axes))
    blocks = _alias_classes(spectrum, size, stride)  # (c', c, s^D, classes)
    n_out, n_in, n_aliases, n_classes = blocks.shape
    blocks = np.moveaxis(blocks, -1, 0).reshape(n_classes, n_out, n_in * n_aliases)
    values = np.linalg.svd(blocks / np.sqrt(n_aliases), compute_uv=False)
    return np.sort(values.ravel())[::-1]


def _alias_classes(spectrum: Array, size: Size, stride: int) -> Array:
    """Its last axes, one for each axis of the size, as ``(s^D, classes)``."""
    _check_strides(size, stride)
    n_axes, others = len(size), spectrum.shape[: spectrum.ndim - len(size)]
    spread = spectrum.reshape(*others, *(part for n in size for part in (stride, n // stride)))
    first = len(others)
    order = [*range(first), *range(first, spread.ndim, 2), *range(first + 1, spread.ndim, 2)]
    return spread.transpose(order).reshape(*others, stride**n_axes, -1)


def _check_strides(size: Size, stride: int) -> None:
    check_integer("stride", stride, 1)
    if any(n % stride for n in size):
        raise ValueError(f"stride must divide all sizes; got {stride} and {size}.")


class FilterBank(NamedTuple):
    """The best linear convolutional autoencoder with filters as long as the data (10.6).

    Attributes
    ----------
    loss : float
        ``(1/n) Σ ‖x − x̂‖²`` on the samples that it is for.
    axes : ndarray of shape (classes, s^D c, C)
        For each frequency of the blocks the C axes that are kept, orthonormal, complex.
    size : tuple of int
    stride, n_channels : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.random.default_rng(0).standard_normal((50, 12))
    >>> bank = theory.filter_bank(X, (12,), stride=3, n_filters=1)  # 4 numbers of 12
    >>> error = np.mean(np.sum((X - bank.reconstruct(X)) ** 2, axis=1))
    >>> bool(abs(error / bank.loss - 1) < 1e-12)
    True
    """

    loss: float
    axes: Array
    size: Size
    stride: int
    n_channels: int

    def reconstruct(self, X: ArrayLike) -> Array:
        """Reconstructions ``(n, d)`` of samples ``(n, d)``, these or others."""
        X = np.asarray(X, dtype=np.float64)
        blocks = _blocks(X, self.size, self.stride, self.n_channels)
        shape, positions = blocks.shape, range(1, blocks.ndim - 1)
        spectrum = np.fft.fftn(blocks, axes=positions, norm="ortho")
        spectrum = np.moveaxis(spectrum.reshape(len(X), -1, shape[-1]), 1, 0)
        kept = spectrum @ self.axes.conj() @ self.axes.transpose(0, 2, 1)
        kept = np.moveaxis(kept, 0, 1).reshape(shape)
        back = np.fft.ifftn(kept, axes=positions, norm="ortho").real
        return _pixels(back, self.size, self.stride, self.n_channels)


def filter_bank(
    X: ArrayLike, size: Sequence[int], *, stride: int, n_filters: int, n_channels: int = 1
) -> FilterBank:
    """The principal component filter bank of samples: the optimum of a linear convolutional
    autoencoder, circular and without biases, whose filters are as long as the data (10.6).

    The samples are cut into blocks of s numbers along each axis; of each frequency of the blocks
    the C principal components are kept.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Any samples; no mean is taken off.
    size : sequence of int
        Along each axis, multiples of the stride; ``d = size · n_channels``, channels last.
    stride : int
        s.
    n_filters : int
        C, the channels of the code.
    n_channels : int, default 1
        c, of the data.

    Returns
    -------
    FilterBank

    Raises
    ------
    TypeError, ValueError
        ``X`` is no matrix of finite numbers, or the sizes do not fit it.

    Examples
    --------
    With a stride as long as the samples it is PCA, with one of 1 the code is as long as they are:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.random.default_rng(0).standard_normal((50, 12))
    >>> X -= X.mean(axis=0)
    >>> float(theory.filter_bank(X, (12,), stride=1, n_filters=1).loss)
    0.0
    >>> loss = theory.filter_bank(X, (12,), stride=12, n_filters=4).loss
    >>> bool(abs(loss / theory.linear_autoencoder_optimum(X, 4)[0] - 1) < 1e-12)
    True
    """
    X, size = np.asarray(check_samples(X), dtype=np.float64), tuple(size)
    check_integer("n_filters", n_filters, 1)
    blocks = _blocks(X, size, stride, n_channels)
    positions = range(1, blocks.ndim - 1)
    spectrum = np.fft.fftn(blocks, axes=positions, norm="ortho")
    spectrum = np.moveaxis(spectrum.reshape(len(X), -1, blocks.shape[-1]), 1, 0)
    S = spectrum.transpose(0, 2, 1) @ spectrum.conj() / len(X)  # (1/n) Σ p̂ p̂ᴴ, a frequency each
    eigenvalues, axes = np.linalg.eigh(S)
    n_left = max(0, blocks.shape[-1] - n_filters)
    loss = float(np.sum(eigenvalues[:, :n_left]))
    return FilterBank(loss, axes[:, :, n_left:], size, stride, n_channels)


def _blocks(X: Array, size: Size, stride: int, n_channels: int) -> Array:
    """Rows ``(n, d)`` as blocks: ``(n, *positions, s^D c)``, the polyphase vectors."""
    _check_strides(size, stride)
    if math.prod(size) * n_channels != X.shape[1]:
        raise ValueError(
            f"size and n_channels must make the {X.shape[1]} features of X; got {size} and "
            f"{n_channels}."
        )
    n_axes = len(size)
    split = X.reshape(len(X), *(part for n in size for part in (n // stride, stride)), n_channels)
    order = [0, *range(1, 2 * n_axes, 2), *range(2, 2 * n_axes + 1, 2), 2 * n_axes + 1]
    return split.transpose(order).reshape(len(X), *(n // stride for n in size), -1)


def _pixels(blocks: Array, size: Size, stride: int, n_channels: int) -> Array:
    """`_blocks` undone."""
    n_axes = len(size)
    split = blocks.reshape(*blocks.shape[:-1], *[stride] * n_axes, n_channels)
    order = [0, *(axis for i in range(n_axes) for axis in (1 + i, 1 + n_axes + i)), split.ndim - 1]
    return split.transpose(order).reshape(len(blocks), -1)


class FilterBankLadder(NamedTuple):
    """Least losses for a code of the same length, from the poorest model to the richest (10.6d).

    Attributes
    ----------
    patches : float
        Filters as long as the stride: PCA of all blocks together (10.6e).
    bank : float
        Filters as long as the data (10.6).
    pca_of_shifts : float
        PCA of the samples and all their shifts by multiples of the stride.
    pca : float
        PCA of the samples.

    Examples
    --------
    >>> from nanoae import datasets, theory
    >>> X = datasets.load_digits().X
    >>> X = X - X.mean(axis=0)
    >>> ladder = theory.filter_bank_ladder(X, (8, 8), stride=4, n_filters=4)
    >>> [round(loss, 3) for loss in ladder]
    [1.952, 1.559, 1.552, 0.707]
    """

    patches: float
    bank: float
    pca_of_shifts: float
    pca: float


def filter_bank_ladder(
    X: ArrayLike, size: Sequence[int], *, stride: int, n_filters: int, n_channels: int = 1
) -> FilterBankLadder:
    """What four kinds of linear autoencoders reach with codes of the same length (10.6d).

    Parameters
    ----------
    X, size, stride, n_filters, n_channels
        As of `filter_bank`.

    Returns
    -------
    FilterBankLadder

    Examples
    --------
    On white noise there is nothing to choose between them:

    >>> import numpy as np
    >>> from nanoae import theory
    >>> X = np.sqrt(6) * np.vstack([np.eye(6), -np.eye(6)])  # of covariance I
    >>> [round(loss, 9) for loss in theory.filter_bank_ladder(X, (6,), stride=3, n_filters=1)]
    [4.0, 4.0, 4.0, 4.0]
    """
    X, size = np.asarray(check_samples(X), dtype=np.float64), tuple(size)
    bank = filter_bank(X, size, stride=stride, n_filters=n_filters, n_channels=n_channels)
    blocks = _blocks(X, size, stride, n_channels)
    patches = blocks.reshape(-1, blocks.shape[-1])
    n_kept = n_filters * math.prod(blocks.shape[1:-1])
    images = X.reshape(len(X), *size, n_channels)
    axes = tuple(range(1, 1 + len(size)))
    shifts = product(*(range(0, n, stride) for n in size))
    shifted = np.concatenate([np.roll(images, shift, axes) for shift in shifts])
    return FilterBankLadder(
        patches=_left_out(patches, n_filters) * math.prod(blocks.shape[1:-1]),
        bank=bank.loss,
        pca_of_shifts=_left_out(shifted.reshape(len(shifted), -1), n_kept),
        pca=_left_out(X, n_kept),
    )


def _left_out(X: Array, n_kept: int) -> float:
    """What the principal axes leave of rows, no mean taken off: a sum of eigenvalues."""
    eigenvalues = np.linalg.eigvalsh(X.T @ X / len(X))
    return float(np.sum(eigenvalues[: max(0, len(eigenvalues) - n_kept)]))


def filter_bank_of_spectrum(spectrum: ArrayLike, *, stride: int, n_filters: int) -> float:
    """The filter bank's loss on stationary data: each alias class keeps its largest (10.6b).

    Parameters
    ----------
    spectrum : array-like of shape (N,) or (H, W)
        Variance at each frequency, in the order of `numpy.fft`.
    stride, n_filters : int

    Returns
    -------
    float

    Examples
    --------
    Two lines that look the same after every second number: one of them is lost.

    >>> from nanoae import theory
    >>> theory.filter_bank_of_spectrum([5.0, 0.0, 3.0, 0.0], stride=2, n_filters=1)
    3.0
    """
    spectrum = np.asarray(spectrum, dtype=np.float64)
    classes = np.sort(_alias_classes(spectrum, spectrum.shape, stride), axis=0)
    return float(np.sum(classes[: max(0, len(classes) - n_filters)]))


def overlap_counts(kernel: int, stride: int, places: ArrayLike) -> Array:
    """How many windows see a place far from the borders: ``⌊k/s⌋ + [i mod s < k mod s]`` (10.5).

    So many products a transposed convolution adds up there, along one axis.

    Parameters
    ----------
    kernel, stride : int
    places : array-like of int
        i, counted from the beginning of some window.

    Returns
    -------
    ndarray of int

    Examples
    --------
    The checkerboard of a kernel of 3 at a stride of 2:

    >>> from nanoae import theory
    >>> theory.overlap_counts(3, 2, range(6)).tolist()
    [2, 1, 2, 1, 2, 1]
    """
    return kernel // stride + (np.asarray(places) % stride < kernel % stride)


def polyphase_sums(weight: ArrayLike, stride: int) -> Array:
    """Sums of every s-th weight along each axis: what becomes of a constant input (10.5c).

    Parameters
    ----------
    weight : array-like of shape (k,) or (k, k)
        Of one channel to one channel.
    stride : int

    Returns
    -------
    ndarray of shape (s,) or (s, s)

    Examples
    --------
    A kernel whose length 6 is a multiple of 3 ripples all the same:

    >>> from nanoae import theory
    >>> theory.polyphase_sums([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3).tolist()
    [5.0, 7.0, 9.0]
    """
    weight = np.asarray(weight, dtype=np.float64)
    sums = np.zeros([stride] * weight.ndim)
    for tap in np.ndindex(weight.shape):
        sums[tuple(t % stride for t in tap)] += weight[tap]
    return sums


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """How many pixels in a row an output of a stack of layers can see:
    ``1 + Σ_l (k_l − 1) Π_{i<l} s_i`` (10.7).

    Parameters
    ----------
    kernels, strides : sequence of int
        Of the layers, the one that sees the image first.

    Returns
    -------
    int

    Examples
    --------
    >>> from nanoae import theory
    >>> theory.receptive_field([3, 3], [2, 2]), theory.receptive_field([3] * 10, [1] * 10)
    (7, 21)
    """
    return 1 + sum((k - 1) * step for k, step in zip(kernels, _steps(strides), strict=True))


def receptive_field_variance(kernels: Sequence[int], strides: Sequence[int]) -> float:
    """Variance of where an output looks, as a distribution, if all weights are equal:
    ``Σ_l (k_l² − 1)/12 Π_{i<l} s_i²`` (10.7b).

    Parameters
    ----------
    kernels, strides : sequence of int

    Returns
    -------
    float
        In pixels squared.

    Examples
    --------
    A field of 21 pixels, most of whose weight lies within ±2.6 of its middle:

    >>> from nanoae import theory
    >>> round(theory.receptive_field_variance([3] * 10, [1] * 10) ** 0.5, 2)
    2.58
    """
    steps = _steps(strides)
    return sum((k**2 - 1) / 12 * step**2 for k, step in zip(kernels, steps, strict=True))


def _steps(strides: Sequence[int]) -> list[int]:
    """Pixels from one input of a layer to the next, for each layer."""
    return [math.prod(strides[:layer]) for layer in range(len(strides))]
