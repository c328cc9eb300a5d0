"""Orbits of the smallest adversarial game, by its equations and by the package's model.

python -m figures.adversarial_orbits
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import AdversarialAutoencoder, theory
from nanoae import plotting as plot

H = 0.2
START = (0.7, 0.0)
GAMES = (  # title, γ, what the encoder pays, steps
    ("No penalty, saturating:\noutward, for every step size", 0.0, "saturating", 260),
    ("No penalty, non-saturating:\nto a circle", 0.0, "non_saturating", 500),
    ("R1, γ = 0.3:\ninward, by 0.975 a step", 0.3, "non_saturating", 160),
)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    rows, panels = [], []
    for title, gamma, match, n_steps in GAMES:
        n_steps = 40 if args.quick else n_steps
        path = by_equations(gamma, match, n_steps)
        of_model = by_model(gamma, match, n_steps)
        size = np.abs(theory.dirac_eigenvalues(H, gamma=gamma)).max()
        radius = np.linalg.norm(path, axis=1)
        rows.append((match, gamma, size, radius[0], radius[-1], np.abs(path - of_model).max()))
        panels.append((title, gamma, path, of_model))
    plot.print_table(("loss", "gamma", "|eigenvalue|", "r, start", "r, end", "difference"), rows)
    plot.save(draw(panels), args.out)


def by_equations(gamma, match, n_steps):
    path = [START]
    for _ in range(n_steps):
        path.append(theory.dirac_step(*path[-1], H, gamma=gamma, saturating=match == "saturating"))
    return np.array(path)


def by_model(gamma, match, n_steps):
    """The model with one code at its bias, a linear logit, and nothing to reconstruct."""
    X = np.zeros((2, 1))
    model = AdversarialAutoencoder(
        1, hidden_layer_sizes=(), discriminator=(), match=match, gradient_penalty=gamma,
        prior=lambda rng, n: np.zeros((n, 1)), random_state=0,
    )  # fmt: skip
    model.initialise(X)
    model.parameters_[...] = 0
    code, logit = model.encoder_.layers[0], model.discriminator_.layers[0]
    code.bias[...], logit.weight[...] = START
    path = [START]
    for _ in range(n_steps):
        model.loss_and_gradient(X)
        code.bias -= H * code.grad_bias
        logit.weight -= H * logit.grad_weight
        path.append((code.bias[0], logit.weight[0, 0]))
    return np.array(path)


def draw(panels):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.9))
    turn = np.linspace(0, 2 * np.pi, 200)
    for ax, (title, _, path, of_model) in zip(axes, panels, strict=True):
        ax.plot(*path.T, color=plot.BLUE, lw=0.8)
        ax.plot(*of_model[::5].T, "o", color=plot.VERMILION, ms=2.6)
        ax.plot(*START, "s", color=plot.BLACK, ms=6)
        ax.plot(0, 0, "+", color=plot.BLACK, ms=9)
        ax.set_title(title)
        ax.set(xlabel="code θ", aspect="equal")
        reach = 1.12 * np.abs(path).max()
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes[0].set_ylabel("weight ψ of the logit")
    r = np.sqrt(2 * H)
    axes[1].plot(r * np.cos(turn), r * np.sin(turn), color=plot.BLACK, lw=1.2, ls=(0, (4, 3)))
    axes[1].text(
        0, 0.08, "dashed: r² = 2h,\nto leading order", ha="center", va="bottom", fontsize=8
    )
    axes[2].text(
        0.98, 0.02, "line: equations\npoints: the model,\nevery fifth step",
        transform=axes[2].transAxes, ha="right", va="bottom", fontsize=8,
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
