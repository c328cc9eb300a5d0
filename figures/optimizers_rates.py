"""How fast optimizers come down on a quadratic, and the floor that mini-batches leave.

python -m figures.optimizers_rates
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory
from nanoae.lbfgs import LBFGS
from nanoae.optimizers import SGD, Adam

KAPPA, AXES, STEPS = 100.0, 50, 400
RATES = np.geomspace(0.01, 0.16, 6)  # learning rates, where mini-batches leave a floor
BATCHES = {1: plot.VERMILION, 4: plot.BLUE, 16: plot.GREEN}
SAMPLES = 64


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n_steps = 500 if args.quick else 10_000
    paths = descents()
    X, y = linear_problem()
    rates = RATES[3::2] if args.quick else RATES
    floors, measured = {}, {}
    for B in plot.progress(BATCHES, "batch size"):
        floors[B] = np.array([floor(X, y, eta, B) for eta in rates])
        measured[B] = np.array([walk(X, y, eta, B, n_steps) for eta in rates])
    print(f"gradients until the distance is a thousandth of that at the start, κ = {KAPPA:g}")
    reached = {
        name: int(np.argmax(np.array(path) < 1e-3)) or "not yet" for name, path in paths.items()
    }
    plot.print_table(tuple(reached), [tuple(reached.values())])
    print("\nloss above the minimum after long: by the theory, and measured")
    plot.print_table(
        ("learning rate", *(f"B = {B}" for B in BATCHES), *(f"B = {B}" for B in BATCHES)),
        np.column_stack([rates, *floors.values(), *measured.values()]),
    )
    plot.save(draw(paths, rates, floors, measured), args.out)


def descents():
    """Distances from the minimum after each gradient, relative to that at the start."""
    rng = np.random.default_rng(0)
    c = np.geomspace(1, KAPPA, AXES)
    U = np.linalg.qr(rng.standard_normal((AXES, AXES)))[0]
    start = U @ np.ones(AXES)
    gd, momentum = theory.best_gradient_descent(1, KAPPA), theory.best_momentum(1, KAPPA)
    optimizers = {
        "gradient descent": SGD(gd.learning_rate),
        "momentum": SGD(momentum.learning_rate, momentum.momentum),
        "Adam": Adam(0.05),
    }
    paths = {}
    for name, optimizer in optimizers.items():
        theta, paths[name] = start.copy(), [1.0]
        for _ in range(STEPS):
            optimizer.step(theta, U @ (c * (U.T @ theta)))
            paths[name].append(np.linalg.norm(theta) / np.linalg.norm(start))
    theta, paths["L-BFGS"] = start.copy(), []

    def loss_and_gradient():
        paths["L-BFGS"].append(np.linalg.norm(theta) / np.linalg.norm(start))
        along = U.T @ theta
        return c @ along**2 / 2, U @ (c * along)

    LBFGS(
        loss_and_gradient, theta, max_iter=STEPS, tol=1e-6, callback=lambda loss: None
    ).minimise()
    return paths


def linear_problem():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((SAMPLES, 3)) * [1.0, 0.7, 0.5]
    return X, X @ [1.0, -1.0, 2.0] + rng.standard_normal(SAMPLES)


def floor(X, y, eta, B):
    """Where the exact second moment comes to rest, as loss above the minimum."""
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    n_steps = int(5 / (eta * np.linalg.eigvalsh(X.T @ X / len(X))[0]))
    second = theory.minibatch_moments(X, y, best, eta, B, n_steps).second
    return np.trace(X.T @ X / len(X) @ second)


def walk(X, y, eta, B, n_steps):
    """Mean loss above the minimum of one long walk, its first fifth left out."""
    rng = np.random.default_rng(2)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    optimizer, w, above = SGD(eta), best.copy(), []
    for _ in range(n_steps):
        rows = rng.permutation(len(X))[:B]
        optimizer.step(w, 2 * X[rows].T @ (X[rows] @ w - y[rows]) / B)
        above.append(np.mean((X @ (w - best)) ** 2))
    return np.mean(above[n_steps // 5 :])


def draw(paths, rates, floors, measured):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6))
    c = np.geomspace(1, KAPPA, AXES)
    colours = {
        "gradient descent": plot.VERMILION, "momentum": plot.BLUE, "Adam": plot.ORANGE,
        "L-BFGS": plot.BLACK,
    }  # fmt: skip
    labels = {  # where, and what
        "gradient descent": (120, 0.0016, "gradient descent"),
        "momentum": (88, 2e-6, "best momentum"),
        "Adam": (190, 0.25, "Adam, η = 0.05"),
        "L-BFGS": (14, 2e-5, "L-BFGS"),
    }
    for name, path in paths.items():
        left.plot(np.arange(len(path))[::6], path[::6], "o", ms=3.5, color=colours[name])
        x, height, text = labels[name]
        left.text(x, height, text, color=colours[name])
    t = np.arange(STEPS + 1)
    for name, best in (
        ("gradient descent", theory.best_gradient_descent(1, KAPPA)),
        ("momentum", theory.best_momentum(1, KAPPA)),
    ):
        factors = [theory.momentum_factor(c, best.learning_rate, best.momentum, int(s)) for s in t]
        left.plot(t, np.sqrt(np.mean(np.square(factors), axis=1)), color=colours[name])
    left.set(
        yscale="log", ylim=(3e-7, 8), xlim=(-5, 305), xlabel="gradients",
        ylabel="distance from the minimum, relative to the start  (log)",
        title=f"Quadratic, κ = {KAPPA:g}: points measured, lines (1.11), (1.12)",
    )  # fmt: skip
    for B, colour in BATCHES.items():
        right.plot(rates, floors[B], color=colour)
        right.plot(rates, measured[B], "o", color=colour, ms=5)
        right.annotate(
            f"B = {B}", (rates[-1], floors[B][-1]), xytext=(8, 0), textcoords="offset points",
            color=colour, va="center",
        )  # fmt: skip
    ticks = (0.01, 0.02, 0.04, 0.08, 0.16)
    right.set(xscale="log", yscale="log", xlim=(rates[0] / 1.15, rates[-1] * 1.7))
    right.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    right.minorticks_off()
    right.set(
        xlabel="learning rate  (log)", ylabel="loss above its minimum, after long  (log)",
        title="Batches of B of 64: points measured, lines (1.13b)",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
