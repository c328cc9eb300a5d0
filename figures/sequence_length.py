"""A code of fixed width and sequences of growing length: what is lost, and what need not be.

python -m figures.sequence_length
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import Autoencoder, ConvergenceWarning, theory
from nanoae import plotting as plot
from nanoae.network import Recurrent, Transformer

CODE = 4
LENGTHS = (4, 6, 8, 12, 16)
N_SEQUENCES = 300
NETWORKS = {
    "linear recurrent": Recurrent(width=32, cell="linear"),
    "GRU": Recurrent(width=32),
    "transformer": Transformer(width=16, n_blocks=1, n_heads=2),
}
COLOURS = (plot.BLACK, plot.BLUE, plot.VERMILION)
SHARPNESS = 6.0  # of attention that looks at all steps


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    lengths = LENGTHS[:2] if args.quick else LENGTHS
    n_iterations = 8 if args.quick else 300
    rng = np.random.default_rng(0)
    table = []
    for n_steps in plot.progress(lengths, "lengths"):
        X, unseen = white(rng, n_steps), rng.standard_normal((1000, n_steps))
        least, _ = theory.linear_autoencoder_optimum(X, CODE)
        losses = []
        for architecture in NETWORKS.values():
            model = Autoencoder(
                CODE, architecture=architecture, solver="lbfgs", max_iter=n_iterations, tol=1e-6,
                random_state=0,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                losses.append((model.fit(X).loss_, -model.score(unseen)))
        recalled = n_steps * theory.attention_recall_error(SHARPNESS, n_steps, 1)
        table.append((n_steps, least, *np.ravel(losses), float(recalled)))
    names = [f"{name[:7]}{part}" for name in NETWORKS for part in ("", ", new")]
    plot.print_table(("steps", "floor", *names, "attention"), table)
    plot.save(draw(np.array(table)), args.out)


def white(rng, n_steps):
    """Sequences of white steps: mean 0 and covariance I exactly, so the floor is T − k."""
    X = rng.standard_normal((N_SEQUENCES, n_steps))
    return np.linalg.qr(X - X.mean(axis=0))[0] * N_SEQUENCES**0.5


def draw(table):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8))
    steps, floor = table[:, 0], table[:, 1]
    fine = np.linspace(steps[0], steps[-1], 50)
    axes.plot(fine, fine - CODE, color=plot.GREY, zorder=1)
    last = steps[-1]
    axes.annotate(
        f"floor of affine decoders: T − {CODE}", (fine[25], fine[25] - CODE), xytext=(8, -10),
        textcoords="offset points", color="#555555",
    )  # fmt: skip
    for i, (name, colour) in enumerate(zip(NETWORKS, COLOURS, strict=True)):
        trained, new = table[:, 2 + 2 * i], table[:, 3 + 2 * i]
        beside = steps + 0.25 * (i - 1)  # or they would hide each other
        axes.plot(beside, new, "o", color=colour, mfc="white", ms=6)
        axes.plot(beside, trained, "o", color=colour, ms=6)
        axes.text(
            0.03, 0.94 - 0.06 * i, f"● {name}", color=colour, transform=axes.transAxes, va="center"
        )
    axes.plot(steps, table[:, -1], "s", color=plot.GREEN, ms=5)
    axes.annotate(
        "attention to all T steps\n(T numbers, no code)", (last, table[-1, -1]), xytext=(9, 4),
        textcoords="offset points", color=plot.GREEN, va="center",
    )  # fmt: skip
    assert np.allclose(floor, steps - CODE)
    axes.set(
        xlim=(steps[0] - 0.6, last * 1.3), xlabel="length T of white sequences, steps",
        ylabel="squared error a sequence",
        title=f"Through a code of {CODE} numbers (filled: in training, open: new sequences)",
    )  # fmt: skip
    axes.set_xticks(steps.astype(int))
    return figure


if __name__ == "__main__":
    main()
