"""How wide a code: what error, likelihood and evidence say, and which rules are right.

python -m figures.in_use_width
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import plotting as plot
from nanoae import theory

TRUE, D = 4, 20
SPECTRA = {
    "clear": np.array([10, 8, 6, 4, *[1] * (D - TRUE)], float),
    "weak": np.array([10, 5, 2.5, 1.6, *[1] * (D - TRUE)], float),
}
CASES = (("clear", 40), ("clear", 200), ("weak", 200), ("weak", 2000))  # spectrum, samples
KS = np.arange(1, D - 1)
RULES = {
    "Minka's evidence": plot.BLUE,
    "BIC": plot.GREEN,
    "likelihood of other samples": plot.VERMILION,
    "elbow of the error": plot.GREY,
}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n_problems = 4 if args.quick else 50
    curves = {kind: criteria(SPECTRA[kind], 200, 1) for kind in SPECTRA}
    shares = []
    for kind, n in plot.progress(CASES, "cases"):
        chosen = [choices(criteria(SPECTRA[kind], n, seed)) for seed in range(n_problems)]
        shares.append(np.mean(np.array(chosen) == TRUE, axis=0))
    print(f"how often each rule finds the {TRUE} planted dimensions, {n_problems} problems")
    rows = [(f"{kind}, {n}", *share) for (kind, n), share in zip(CASES, shares, strict=True)]
    plot.print_table(("case", *RULES), rows)
    plot.save(draw(curves, np.array(shares)), args.out)


def criteria(spectrum, n, seed):
    """Of each k: error of training, error and likelihood of others, evidence, BIC."""
    rng = np.random.default_rng(seed)
    X, others = rng.standard_normal((2, n, D)) * np.sqrt(spectrum)
    mean, U, lam = theory.pca(X)
    away = others - mean
    table = {"error": np.array([lam[k:].sum() for k in range(D)])}
    table["other error"] = np.array(
        [np.mean(np.sum((away - away @ U[:, :k] @ U[:, :k].T) ** 2, axis=1)) for k in range(D)]
    )
    table["evidence"] = np.array([theory.minka_log_evidence(lam, n, int(k)) / n for k in KS])
    fit = np.array([theory.probabilistic_pca(lam, int(k)).log_likelihood for k in KS])
    table["BIC"] = fit - np.log(n) / (2 * n) * (D * KS - KS * (KS - 1) / 2)
    table["training likelihood"] = fit
    table["other likelihood"] = np.array(
        [
            theory.ppca_log_likelihood(others, mean, U[:, :k], lam[:k], lam[k:].mean()).mean()
            for k in KS
        ]
    )
    return table


def choices(table):
    chord = np.linspace(table["error"][0], table["error"][-1], D)
    rules = (table[name] for name in ("evidence", "BIC", "other likelihood"))
    return [*(KS[np.argmax(rule)] for rule in rules), np.argmax(chord - table["error"])]


def draw(curves, shares):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), width_ratios=(1, 1, 1.2))
    table = curves["weak"]
    axes[0].plot(range(D), table["error"], "o-", color=plot.GREY, ms=4)
    axes[0].plot(range(D), table["other error"], "o-", color=plot.BLACK, ms=4)
    axes[0].text(5.4, 16.6, "samples not seen", color=plot.BLACK)
    axes[0].text(2.6, 9.2, "training", color=plot.GREY)
    axes[0].set(
        xlabel="width of the code k", ylabel="squared error a sample", xticks=range(0, D, 4),
        title="PCA, weak: the error only falls",
    )  # fmt: skip
    for name, text, colour, height in (
        ("training likelihood", "training", plot.GREY, 0.02),
        ("other likelihood", "samples not seen", plot.VERMILION, 0.12),
    ):
        axes[1].plot(KS, table[name], "o-", color=colour, ms=4)
        axes[1].text(KS[-1], table[name][-1] + height, text, color=colour, ha="right", va="bottom")
        best = KS[np.argmax(table[name])]
        axes[1].plot(best, table[name].max(), "o", ms=11, mfc="none", color=colour)
    axes[1].set(
        xlabel="width of the code k", ylabel="log-likelihood  (nats a sample)",
        xticks=range(2, D, 4), title="The likelihood of others has a maximum",
    )  # fmt: skip
    axes[1].margins(y=0.12)
    places = np.arange(len(CASES))
    for i, (name, colour) in enumerate(RULES.items()):
        axes[2].bar(places + 0.2 * (i - 1.5), 100 * shares[:, i], 0.17, color=colour)
        axes[2].text(0.02, 0.985 - 0.055 * i, name, color=colour, transform=axes[2].transAxes,
                     va="top", fontsize=9)  # fmt: skip
    labels = [f"{kind}\n{n} samples" for kind, n in CASES]
    axes[2].set_xticks(places, labels)
    axes[2].set(
        ylim=(0, 132), yticks=range(0, 101, 25), ylabel="right, of all problems  (%)",
        title=f"Which rules find the {TRUE} planted dimensions",
    )  # fmt: skip
    axes[2].grid(axis="x", visible=False)
    axes[2].set_axisbelow(True)
    return figure


if __name__ == "__main__":
    main()
