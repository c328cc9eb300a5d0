"""The best discriminator, a trained one's points on it, and the divergence that it reports.

python -m figures.adversarial_discriminator
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import losses, theory
from nanoae import plotting as plot
from nanoae.network import Parameters
from nanoae.network.discriminator import Discriminator
from nanoae.optimizers import Adam

MEAN, DEVIATION = 1.5, 0.7  # of the codes
BATCH = 256


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n_steps = 200 if args.quick else 4000
    js = theory.gaussian_jensen_shannon([MEAN], [[DEVIATION**2]])
    best = theory.gaussian_log_ratio([MEAN], [[DEVIATION**2]])
    z = np.linspace(-2.5, 3.5, 21)[:, None]
    trained = {
        name: train(sizes, n_steps, z)
        for name, sizes in (("quadratic", "quadratic"), ("two layers of 32", (32, 32)))
    }
    rows = [
        (x, D, *(probabilities[i] for probabilities, _ in trained.values()))
        for i, (x, D) in enumerate(zip(z[:, 0], sigmoid(best(z)), strict=True))
    ]
    plot.print_table(("z", "D*", *trained), rows)
    print(f"JS in closed form {js:.4f}")
    for name, (_, curve) in trained.items():
        print(f"{name}: {np.mean([value for _, value in curve[-5:]]):.4f} at the end")
    plot.save(draw(trained, z, best, js), args.out)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def normal(z, mean, deviation):
    density = np.exp(-0.5 * ((z - mean) / deviation) ** 2)
    return density / (deviation * np.sqrt(2 * np.pi))


def train(sizes, n_steps, z):
    """D at z after training on fresh draws, and the JS that its loss on others stands for."""
    rng = np.random.default_rng(0)
    network = Discriminator(1, sizes)
    parameters = Parameters({"discriminator_": network})
    network.initialise(rng)
    rate = 3e-2 if sizes == "quadratic" else 3e-3
    optimizer = Adam()
    # all of both distributions: a sum over a grid, so that what is reported has no noise
    grid, dz = np.linspace(-8, 10, 2001, retstep=True)
    of_prior, of_codes = (
        normal(grid, mean, deviation) * dz * len(grid)
        for mean, deviation in ((0, 1), (MEAN, DEVIATION))
    )
    curve, looks = [], {int(x) for x in np.geomspace(1, n_steps, 20)}
    for step in range(n_steps + 1):
        if step in looks:
            a = network(grid[:, None])[:, 0]
            loss = losses.non_saturating_loss(a, of_prior)[0]
            loss -= losses.saturating_loss(a, of_codes)[0]
            curve.append((step, (np.log(4) - loss) / 2))
        optimizer.learning_rate = rate * (1 - step / (n_steps + 1))
        prior = rng.standard_normal((BATCH, 1))
        codes = MEAN + DEVIATION * rng.standard_normal((BATCH, 1))
        a = network.forward(np.vstack([prior, codes]))[:, 0]
        _, *grads = losses.discriminator_loss(a[:BATCH], a[BATCH:])
        network.backward(np.concatenate(grads)[:, None])
        optimizer.step(parameters.values, parameters.gradient)
    return sigmoid(network(z)[:, 0]), curve


def draw(trained, z, best, js):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.8))
    x = np.linspace(-3, 4, 300)[:, None]

    for mean, deviation, colour, name in (
        (0, 1, plot.BLUE, "prior p"), (MEAN, DEVIATION, plot.VERMILION, "codes q"),
    ):  # fmt: skip
        left.plot(x, normal(x, mean, deviation), color=colour)
        left.text(mean, normal(mean, mean, deviation) + 0.02, name, color=colour, ha="center")
    left.plot(x, sigmoid(best(x)), color=plot.BLACK)
    left.text(-2.9, 1.04, "D* = p/(p + q)")
    markers = {"quadratic": ("o", plot.GREEN), "two layers of 32": ("x", plot.PURPLE)}
    for name, (D, curve) in trained.items():
        marker, colour = markers[name]
        left.plot(z, D, marker, color=colour, ms=5)
        steps, values = np.transpose(curve)
        right.plot(steps, values, marker, color=colour, ms=5, label=f"trained: {name}")
    left.set(xlabel="code z", ylabel="density; probability D", ylim=(-0.03, 1.13))
    left.set_title("Trained discriminators lie on D*")
    right.axhline(js, color=plot.BLACK)
    right.set_xscale("log")
    right.text(1, js + 0.01, f"JS(p, q) = {js:.3f}")
    right.axhline(np.log(2), color=plot.GREY, ls=(0, (4, 3)))
    right.text(1, np.log(2) + 0.01, "log 2: more is a mistake", color=plot.GREY)
    right.set(xlabel="step of training", ylabel="(log 4 − loss) / 2, nats", ylim=(None, 0.76))
    right.set_title("and never report more than JS")
    right.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    main()
