"""Two ways to please the penalty: weights near 0, or units so far out that nothing moves them.

python -m figures.contractive_saturation
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import ContractiveAutoencoder, theory
from nanoae import plotting as plot

SLOPES = {
    "sigmoid": lambda a: 1 / (4 * np.cosh(a / 2) ** 2),
    "tanh": lambda a: 1 / np.cosh(a) ** 2,
}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = np.random.default_rng(3).standard_normal((12, 3))
    order = np.argsort(X[:, 0])
    half_gap = np.diff(X[order, 0]).min() / 2
    steps = np.linalg.norm(np.diff(X[order], axis=0), axis=1).sum()
    n = len(X)

    model = ContractiveAutoencoder(
        n - 1, hidden_layer_sizes=(), code_activation="sigmoid", decoder="free", contraction=1.0,
        random_state=0,
    )  # fmt: skip
    model.initialise(X)
    encoder, decoder = model.encoder_.layers[0], model.decoder_.layers[0]
    rows = []
    for sharpness in np.geomspace(1, 30, 6 if args.quick else 14) / half_gap:
        W_e, encoder.bias[...], W_d, decoder.bias[...] = theory.thermometer(X, sharpness)
        encoder.weight[...], decoder.weight[...] = W_e.T, W_d.T
        error, loss = -model.score(X), model.loss_and_gradient(X)[0]
        away = np.exp(-sharpness * half_gap)
        rows.append([sharpness, error, (steps * away) ** 2, loss - error,
                     (n - 1) * (sharpness * away) ** 2])  # fmt: skip
    plot.print_table(["sharpness", "error", "bound", "penalty", "bound"], rows)
    peaks = {name: theory.saturation_point(name) for name in SLOPES}
    plot.print_table(["activation", "threshold"], peaks.items())
    plot.save(draw(peaks, np.array(rows)), args.out)


def draw(peaks, rows):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.3))
    z = np.linspace(0, 6, 400)
    for name, colour in (("sigmoid", plot.BLUE), ("tanh", plot.VERMILION)):
        share, peak = (z * SLOPES[name](z)) ** 2, peaks[name]
        left.plot(z, share / share.max(), color=colour)
        left.plot([peak], [1], "o", color=colour, ms=7)
        left.plot([peak, peak], [0, 1], color=colour, lw=0.8, ls=":")
        above = {"sigmoid": (4, 6), "tanh": (-28, 20)}[name]
        left.annotate(
            f"{name}: {peak:.4f}", (peak, 1), xytext=above, textcoords="offset points",
            color=colour,
        )  # fmt: skip
    left.text(
        2.55, 0.72, "left of the top the penalty\ndraws the weights to 0,\nright of it they grow "
        "without\nend: the unit saturates", color=plot.GREY,
    )  # fmt: skip
    left.set(
        xlabel="|a|, the input of a unit, as all weights grow by one factor",
        ylabel="its share of the penalty (of its largest)", ylim=(0, 1.24),
        title="The penalty pushes away from the top, to both sides",
    )  # fmt: skip

    sharpness, error, error_bound, penalty, penalty_bound = rows.T
    for y, bound, colour, name, above in (
        (penalty, penalty_bound, plot.BLUE, "penalty ‖∂h/∂x‖²", 12),
        (error, error_bound, plot.VERMILION, "error ‖x − x̂‖²", -16),
    ):
        seen = y > 1e-26  # below, nothing is left of 1 − σ
        right.plot(sharpness, bound, color=colour, lw=1)
        right.plot(sharpness[seen], y[seen], "o", color=colour, ms=5)
        i = len(sharpness) // 2
        right.annotate(name, (sharpness[i], bound[i] if above > 0 else y[i]), color=colour,
                       xytext=(6 if above > 0 else -8, above), textcoords="offset points",
                       ha="left" if above > 0 else "right")  # fmt: skip
    right.set(
        xscale="log", yscale="log", ylim=(1e-28, 1e6),
        xlabel="sharpness of 11 sigmoid units between 12 samples  (log scale)",
        title="A thermometer learns noise by heart, at no penalty",
    )  # fmt: skip
    ticks = [200, 500, 1000, 2000, 5000]
    right.set_xticks(ticks, ticks)
    right.minorticks_off()
    right.text(0.03, 0.05, "lines: bounds\npoints: the model", transform=right.transAxes,
               color=plot.GREY)  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
