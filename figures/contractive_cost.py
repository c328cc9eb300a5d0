"""What a step with the penalty costs, in steps without: counted, and timed.

The points are times: no two runs agree on their last digits.

python -m figures.contractive_cost
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ContractiveAutoencoder
from nanoae import plotting as plot
from nanoae.optimizers import Adam

N, D, K, PROBES = 128, 784, 20, 4
WAYS = {  # of a 784-w-20 encoder, with the arguments that lead there
    "linear code, exact (9.3)": (plot.BLUE, "o", {}),
    f"sigmoid code, {PROBES} probes (9.4)": (
        plot.GREEN, "s", {"code_activation": "sigmoid", "n_probes": PROBES},
    ),
    "sigmoid code, exact: 20 rows (9.2)": (
        plot.VERMILION, "^", {"code_activation": "sigmoid"},
    ),
}  # fmt: skip


def multiplications(w, rows=None):
    """Of the matrix products of a plain step, and of what the penalty adds to it."""
    plain = 5 * N * D * w + 6 * N * w * K
    if rows is None:  # the form, its product with the slopes, their second moments, two gradients
        return plain, 2 * w * w * (D + K) + 2 * N * w * w
    return plain, 2 * w * w * D + rows * N * (2 * w * w + 3 * w * K)


def seconds_a_step(model, X, repeats):
    """The median over steps of loss, gradient and Adam."""
    model.set_params(random_state=0).initialise(X)
    rng, optimizer, seconds = np.random.default_rng(0), Adam(1e-3), []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        _, gradient = model.loss_and_gradient(X, rng)
        optimizer.step(model.parameters_, gradient)
        seconds.append(time.perf_counter() - start)
    return np.median(seconds[1:])


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    widths, repeats = [50, 100, 200, 400, 800], 15
    if args.quick:
        widths, repeats = [20, 40], 1
    X = np.random.default_rng(0).random((N, D)).astype(np.float32)
    ratios = []
    for w in plot.progress(widths, "width"):
        shared = {"hidden_layer_sizes": (w,), "activation": "tanh"}
        plain = seconds_a_step(Autoencoder(K, **shared), X, repeats)
        ratios.append([
            seconds_a_step(ContractiveAutoencoder(K, decoder="free", **shared, **more), X, repeats)
            / plain
            for _, _, more in WAYS.values()
        ])  # fmt: skip
    ratios = np.array(ratios)
    counted = [[count(w, more) for _, _, more in WAYS.values()] for w in widths]
    names = [f"{what}, {how}" for what in ("exact", "probes", "rows") for how in ("time", "count")]
    plot.print_table(
        ["width", *names],
        ([w, *np.ravel(list(zip(*both, strict=True)))]
         for w, *both in zip(widths, ratios, counted, strict=True)),
    )  # fmt: skip
    plot.save(draw(widths, ratios), args.out)


def count(w, more):
    """Multiplications with the penalty, of those without."""
    rows = None if not more else more.get("n_probes", K)
    plain, added = multiplications(w, rows)
    return (plain + added) / plain


def draw(widths, ratios):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(7.6, 4.6))
    fine = np.geomspace(widths[0], widths[-1], 100)
    for i, (name, (colour, marker, more)) in enumerate(WAYS.items()):
        panel.plot(fine, [count(w, more) for w in fine], color=colour)
        panel.plot(widths, ratios[:, i], marker, color=colour, ms=7)
        panel.annotate(
            name, (fine[-1], count(fine[-1], more)), xytext=(10, 0), va="center",
            textcoords="offset points", color=colour, annotation_clip=False,
        )  # fmt: skip
    panel.axhline(1, color=plot.GREY, lw=0.8)
    panel.annotate("without the penalty", (widths[0], 1), xytext=(0, -11), color=plot.GREY,
                   textcoords="offset points")  # fmt: skip
    panel.text(0.02, 0.97, "lines: multiplications counted\npoints: time, one core",
               transform=panel.transAxes, va="top", color=plot.GREY)  # fmt: skip
    panel.set(
        xscale="log", yscale="log", xticks=widths, xticklabels=widths, yticks=[1, 2, 4, 8, 16],
        yticklabels=[1, 2, 4, 8, 16], xlabel=f"width w of the hidden layer in {D}-w-{K} (log)",
        ylabel="a step, in steps without penalty  (log scale)", ylim=(0.75, 20),
        title=f"What the penalty costs, batches of {N}",
    )  # fmt: skip
    panel.minorticks_off()
    panel.set_xlim(widths[0] / 1.1, widths[-1] * 1.1)
    return figure


if __name__ == "__main__":
    main()
