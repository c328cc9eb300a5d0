"""The two networks of a masked autoencoder: one reads what is visible, one fills in the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanoae.arrays import Array
from nanoae.network.attention import LayerNorm, Positions, TransformerBlock
from nanoae.network.dense import Dense
from nanoae.network.layer import Layer
from nanoae.network.mlp import Sequential


class ToPatches(Layer):
    """Rows as patches: a sample of any number of axes, cut into equal parts along each.

    Parameters
    ----------
    size : sequence of int
        (H, W), or one number for each axis that there is.
    patch_size : int
        Of which each number in ``size`` is a multiple.
    n_channels : int, default 1
        c, the numbers of a pixel, which stand together in rows and in patches.

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import ToPatches
    >>> ToPatches((2, 4), 2)(np.array([[1, 2, 3, 4, 5, 6, 7, 8]])).tolist()
    [[[1, 2, 5, 6], [3, 4, 7, 8]]]
    """

    def __init__(self, size: Sequence[int], patch_size: int, n_channels: int = 1) -> None:
        self._cut, self._order = _cut(size, patch_size, n_channels)
        n_patches = math.prod(n // patch_size for n in size)
        self._n_features = math.prod(size) * n_channels
        super().__init__((self._n_features,), (n_patches, self._n_features // n_patches))

    def __call__(self, x: Array) -> Array:
        """Patches ``(…, N, p)`` of rows ``(…, d)``."""
        parts = x.reshape(-1, *self._cut).transpose(0, *(1 + axis for axis in self._order))
        return parts.reshape(*x.shape[:-1], *self.shape_out)

    def forward(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """The same."""
        return self(x)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Back into rows."""
        return self.inverse(grad_y) if input_gradient else None

    def inverse(self, patches: Array) -> Array:
        """Rows ``(…, d)`` of patches ``(…, N, p)``."""
        parts = patches.reshape(-1, *(self._cut[axis] for axis in self._order))
        rows = parts.transpose(0, *(1 + np.argsort(self._order)))
        return rows.reshape(*patches.shape[:-2], self._n_features)


def _cut(
    size: Sequence[int], patch_size: int, n_channels: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A row's axes, each in two: which patch, where in it; and the order with patches first."""
    cut = [part for n in size for part in (n // patch_size, patch_size)]
    outer, inner = range(0, 2 * len(size), 2), range(1, 2 * len(size), 2)
    return (*cut, n_channels), (*outer, *inner, 2 * len(size))


class VisibleEncoder(Layer):
    """A vector for each patch that is visible, which attention has told of all the others.

    Each patch becomes a vector, a dense layer of its numbers plus one of its position. Those of
    patches that are missing are dropped *then*, so that what stays keeps its own position, and the
    blocks see the others alone. So a missing patch costs nothing and can tell nothing (12.7a).

    Parameters
    ----------
    n_patches, patch_width : int
        N and p.
    width : int
        w, of the vector of a patch.
    n_blocks, n_heads : int

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import Parameters, VisibleEncoder
    >>> encoder = VisibleEncoder(4, 2, 6, n_blocks=1, n_heads=2)
    >>> parameters = Parameters({"encoder": encoder})
    >>> encoder.initialise(np.random.default_rng(0))
    >>> x, visible = np.ones((1, 4, 2)), np.array([[3, 1]])
    >>> encoder(x, visible).shape
    (1, 2, 6)
    """

    remembers = ("places",)
    places: Array | None

    def __init__(
        self, n_patches: int, patch_width: int, width: int, *, n_blocks: int, n_heads: int
    ) -> None:
        self.embedding = Sequential(
            [Dense(patch_width, width), Positions(n_patches, width)],
            shape_in=(n_patches, patch_width),
        )
        self.blocks = _blocks(n_patches, width, n_blocks, n_heads)
        parts = {"embedding": self.embedding, "blocks": self.blocks}
        super().__init__((n_patches, patch_width), (n_patches, width), parts=parts)

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw positions of N(0, 0.2²), which drown no patches of numbers in [0, 1]; and more."""
        super().initialise(rng)
        positions = self.embedding.layers[1]
        assert isinstance(positions, Positions)
        positions.vectors *= 0.2

    def __call__(self, x: Array, visible: Array | None = None) -> Array:
        """Vectors ``(n, v, w)`` of the patches ``visible (n, v)`` of ``x (n, N, p)``, in that
        order; without it, of all."""
        return self.blocks(_kept(self.embedding(x), _places(visible, self.shape_in[0])))

    def forward(
        self,
        x: Array,
        rng: np.random.Generator | None = None,
        visible: Array | None = None,
    ) -> Array:
        """The same in training."""
        self.places = _places(visible, self.shape_in[0])
        return self.blocks.forward(_kept(self.embedding.forward(x, rng), self.places), rng)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """Back to where the vectors were taken from; the gradient at what is missing is 0."""
        grad = self.blocks.backward(grad_y)
        if self.places is not None:
            n_patches, width = self.shape_out
            grad_kept, grad = grad, np.zeros((len(grad) * n_patches, width), grad.dtype)
            grad[self.places] = grad_kept
            grad = grad.reshape(-1, n_patches, width)
        return self.embedding.backward(grad, input_gradient=input_gradient)


class FillingDecoder(Layer):
    """All patches, from the vectors of those that are visible.

    Where a patch is missing stands the mask token, one vector for all of them; a vector of the
    position is added to every patch, without which all missing ones of a sample would be the
    same (12.7c). Blocks follow, and a dense layer to the numbers of a patch.

    Parameters
    ----------
    n_patches, width_in, width, patch_width : int
        N, that of the encoder's vectors, its own w, and p.
    n_blocks, n_heads : int

    Attributes
    ----------
    mask_token, grad_mask_token : ndarray of shape (width,)

    Examples
    --------
    >>> import numpy as np
    >>> from nanoae.network import FillingDecoder, Parameters
    >>> decoder = FillingDecoder(4, 6, 2, 3, n_blocks=1, n_heads=1)
    >>> parameters = Parameters({"decoder": decoder})
    >>> decoder.initialise(np.random.default_rng(0))
    >>> h, visible = np.ones((1, 2, 6)), np.array([[3, 1]])
    >>> decoder(h, visible).shape
    (1, 4, 3)
    """

    remembers = ("places",)
    places: Array | None
    mask_token: Array
    grad_mask_token: Array

    def __init__(
        self, n_patches: int, width_in: int, width: int, patch_width: int, *,
        n_blocks: int, n_heads: int,
    ) -> None:  # fmt: skip
        self.entrance = Dense(width_in, width)
        self.positions = Positions(n_patches, width)
        self.blocks = _blocks(n_patches, width, n_blocks, n_heads)
        self.readout = Dense(width, patch_width)
        parts: dict[str, Layer] = {
            "entrance": self.entrance, "positions": self.positions, "blocks": self.blocks,
            "readout": self.readout,
        }  # fmt: skip
        super().__init__(
            (n_patches, width_in), (n_patches, patch_width),
            shapes={"mask_token": (width,)}, parts=parts,
        )  # fmt: skip

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the mask token of N(0, 1), as vectors of positions are, and all else."""
        self.mask_token[...] = rng.standard_normal(self.mask_token.shape)
        super().initialise(rng)

    def __call__(self, h: Array, visible: Array | None = None) -> Array:
        """Patches ``(n, N, p)`` of vectors ``h (n, v, w)`` of the patches ``visible (n, v)``."""
        tokens = self._filled(self.entrance(h), _places(visible, self.shape_in[0]))
        return self.readout(self.blocks(self.positions(tokens)))

    def forward(
        self,
        h: Array,
        rng: np.random.Generator | None = None,
        visible: Array | None = None,
    ) -> Array:
        """The same in training."""
        self.places = _places(visible, self.shape_in[0])
        tokens = self._filled(self.entrance.forward(h, rng), self.places)
        y = self.blocks.forward(self.positions.forward(tokens, rng), rng)
        return self.readout.forward(y, rng)

    def _filled(self, known: Array, places: Array | None) -> Array:
        """All tokens: those that are known at their places, and the mask token elsewhere."""
        if places is None:
            return known
        n_patches, width = self.shape_in[0], known.shape[-1]
        tokens = np.empty((len(known) * n_patches, width), known.dtype)
        tokens[...] = self.mask_token
        tokens[places] = known
        return tokens.reshape(-1, n_patches, width)

    def backward(self, grad_y: Array, *, input_gradient: bool = True) -> Any:
        """The mask token stands at many places, so its gradient is a sum over them (12.7b)."""
        grad = self.positions.backward(self.blocks.backward(self.readout.backward(grad_y)))
        self.grad_mask_token.fill(0)
        if self.places is not None:
            rows = grad.reshape(-1, grad.shape[-1])
            missing = np.ones(len(rows), bool)
            missing[self.places] = False
            rows[missing].sum(axis=0, out=self.grad_mask_token)
            grad = rows[self.places]
        return self.entrance.backward(grad, input_gradient=input_gradient)


def _blocks(n_patches: int, width: int, n_blocks: int, n_heads: int) -> Sequential:
    blocks = [TransformerBlock(n_patches, width, n_heads) for _ in range(n_blocks)]
    return Sequential([*blocks, LayerNorm(width)], shape_in=(n_patches, width))


def _places(visible: Array | None, n_patches: int) -> Array | None:
    """Where patches stand if those of all samples stand one behind the other, ``(n N, …)``."""
    if visible is None:
        return None
    return visible + n_patches * np.arange(len(visible))[:, None]


def _kept(tokens: Array, places: Array | None) -> Array:
    return tokens if places is None else tokens.reshape(-1, tokens.shape[-1])[places]
