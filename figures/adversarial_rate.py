"""What a VAE's rate is made of as β grows, and what an adversarial autoencoder leaves out of it.

python -m figures.adversarial_rate
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import VAE, AdversarialAutoencoder, datasets, theory
from nanoae import plotting as plot

NOISE_VARIANCE = 0.05
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
N, N_DRAWS = 1200, 5


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X = datasets.load_digits().X.astype(np.float32)[: 200 if args.quick else N]
    epochs, betas = (3, BETAS[::2]) if args.quick else (150, BETAS)
    common = {
        "batch_size": 100, "learning_rate": 2e-3, "max_iter": epochs, "n_iter_no_change": None,
        "random_state": 0,
    }  # fmt: skip
    eigenvalues = theory.pca(X).eigenvalues
    rows = []
    for beta in plot.progress(betas, "β"):
        vae = VAE(2, noise_variance=NOISE_VARIANCE, beta=beta, **common).fit(X)
        linear = theory.linear_vae_optimum(eigenvalues, 2, beta, NOISE_VARIANCE).rate
        rows.append((beta, *split(*vae.encode(X)), linear))
    plot.print_table(("beta", "information", "mismatch", "I, linear"), rows)
    model = AdversarialAutoencoder(2, **common).fit(X)
    draws = model.sample_prior(len(X), random_state=1)
    distance = theory.energy_distance(model.transform(X), draws)
    print(f"adversarial: information log n = {np.log(len(X)):.3f}, energy distance {distance:.4f}")
    plot.save(draw(np.array(rows), len(X), distance), args.out)


def split(mu, log_var):
    """I(x; z) of these n samples, and KL(q(z) ‖ p), by a few draws a sample."""
    rng = np.random.default_rng(0)
    mu, log_var = mu.astype(np.float64), log_var.astype(np.float64)
    information = mismatch = 0.0
    for _ in range(N_DRAWS):
        eps = rng.standard_normal(mu.shape)
        z = mu + np.exp(log_var / 2) * eps
        own = -0.5 * np.sum(eps**2 + log_var, axis=1)
        others = -0.5 * np.sum((z[:, None] - mu) ** 2 * np.exp(-log_var) + log_var, axis=2)
        top = others.max(axis=1)
        aggregate = top + np.log(np.mean(np.exp(others - top[:, None]), axis=1))
        information += np.mean(own - aggregate) / N_DRAWS
        mismatch += np.mean(aggregate + 0.5 * np.sum(z**2, axis=1)) / N_DRAWS
    return information, mismatch


def draw(rows, n, distance):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, (ax, beside) = plt.subplots(
        1, 2, figsize=(8.4, 4.0), sharey=True, gridspec_kw={"width_ratios": [4, 1.3]}
    )
    beta, information, mismatch, linear = rows.T
    ax.fill_between(beta, 0, information, color=plot.SKY, alpha=0.6, lw=0)
    ax.fill_between(beta, information, information + mismatch, color=plot.ORANGE, lw=0)
    ax.plot(beta, information, "o", color=plot.BLUE, ms=5)
    ax.plot(beta, information + mismatch, "o", color=plot.VERMILION, ms=4)
    ax.plot(beta, linear, color=plot.BLACK, ls=(0, (4, 3)))
    ax.text(beta[0] * 1.1, 3.2, "information I(x; z)", color=plot.BLUE)
    middle = len(beta) // 2
    ax.annotate(
        "mismatch KL(q(z)‖p)", (beta[1], information[1] + 0.6 * mismatch[1]),
        xytext=(beta[middle - 1] * 2, information[0] + 0.1), color=plot.VERMILION,
        arrowprops={"arrowstyle": "-", "color": plot.VERMILION},
    )  # fmt: skip
    ax.text(beta[0] * 1.1, 1.2, "dashed: linear VAE,\nall of it information (13.5a)")
    ax.set(xscale="log", xlabel="β", ylabel="nats per sample", ylim=(0, None))
    ax.set_title("A VAE pays for both")
    ax.set_xlim(beta[0], beta[-1])
    beside.bar([0], [np.log(n)], color=plot.SKY, alpha=0.6, width=0.7)
    beside.text(0, np.log(n) / 2, "I = log n,\nfree of\ncharge", ha="center", va="center")
    beside.set(xticks=[], xlim=(-0.7, 0.7))
    beside.set_title("adversarial")
    beside.set_xlabel(f"charged: mismatch only\n(energy distance {distance:.3f})")
    return figure


if __name__ == "__main__":
    main()
