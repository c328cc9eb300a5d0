"""How a gradient fares over time: five recurrent matrices, and their bounds.

python -m figures.sequence_lag
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory
from nanoae.network import RNN, Parameters
from nanoae.network.recurrent import orthogonal

WIDTH = 16


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    longest = 20 if args.quick else 60
    Q = orthogonal(np.random.default_rng(0), WIDTH)
    hills = np.array([[0.9, 20.0], [0.0, 0.9]])
    some = 2.0 * np.random.default_rng(1).standard_normal(WIDTH)
    cases = [  # U, activation, first input, label and where it stands, colour
        (Q, "identity", 0.0, "orthogonal: kept for ever", (0.73, 0, -12), plot.BLUE),
        (0.8 * Q, "identity", 0.0, "0.8 orthogonal: vanishes", (0.5, 0, 14), plot.GREEN),
        (hills, "identity", 0.0, "eigenvalues 0.9, norm 20: 77-fold first", (0.29, 0, 13),
         plot.VERMILION),
        (1.5 * Q, "tanh", some, "1.5 orthogonal, tanh: held back", (0.63, 0, 55), plot.PURPLE),
        (3 * np.eye(2), "tanh", 0.5, "3 I, tanh: saturated", (0.07, 8, 0), plot.BLACK),
    ]  # fmt: skip
    curves, rows = [], []
    for U, activation, first, label, place, colour in cases:
        measured, bound = norms(U, activation, first, longest)
        curves.append((measured, bound, label, place, colour))
        rows += [
            (label.split(":")[0], lag, measured[lag], bound[lag])
            for lag in (1, 9, 19, longest - 1)
            if lag < longest
        ]
    plot.print_table(("matrix", "lag", "measured", "bound"), rows)
    plot.save(draw(curves), args.out)


def norms(U, activation, first, longest):
    """``‖∂h_T/∂h_{T−τ}‖`` for τ = 0, 1, …, by the layer's backward pass, and its bound."""
    k = len(U)
    layer = RNN(longest, k, k, activation)
    parameters = Parameters({"layer": layer})  # holds the memory
    assert parameters.values.size
    layer.weight[...], layer.recurrent_weight[...] = np.eye(k), U
    x = np.zeros((longest, k))
    x[0] = first
    states = layer.forward(np.repeat(x[None], k, axis=0))
    grad_y = np.zeros_like(states)
    grad_y[:, -1] = np.eye(k)
    # by x_t: that by h_t, times the slopes of that step, which are taken off again
    slopes = 1 - states[0] ** 2 if activation == "tanh" else np.ones_like(states[0])
    by_input = layer.backward(grad_y)[:, ::-1]
    by_state = by_input / slopes[::-1]
    measured = np.linalg.norm(by_state.swapaxes(0, 1), 2, axis=(1, 2))
    if activation == "identity":
        bound = np.array([np.linalg.norm(U, 2) ** lag for lag in range(longest)])
    else:
        bound = np.array(
            [theory.lag_bound(U, states[0, longest - lag :]) for lag in range(longest)]
        )
    return measured, bound


def draw(curves):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8))
    for measured, bound, label, (part, *offset), colour in curves:
        lags = np.arange(len(measured))
        axes.plot(lags, bound, color=colour, lw=1.2, ls=(0, (4, 2)))
        axes.plot(lags, measured, "o", color=colour, ms=3.5)
        at = int(part * lags[-1])
        axes.annotate(
            label, (at, measured[at]), xytext=offset, textcoords="offset points",
            color=colour, va="center",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set(
        xlim=(-1, len(measured)), ylim=(1e-7, 1e6),
        xlabel="lag: steps between state and loss", ylabel="norm of ∂(last state)/∂(state)",
        title="Gradients over time (points) and what bounds them (dashed)",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
