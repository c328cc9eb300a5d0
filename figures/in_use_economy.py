"""A table of the economy: its first factor, what that is made of, and unusual quarters.

python -m figures.in_use_economy
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import LinearVAE, datasets, theory
from nanoae import plotting as plot

FACTORS = 3
# National Bureau of Economic Research: peak and trough, in quarters
RECESSIONS = (
    (1960.25, 1961.0), (1969.75, 1970.75), (1973.75, 1975.0), (1980.0, 1980.5),
    (1981.5, 1982.75), (1990.5, 1991.0), (2001.0, 2001.75), (2007.75, 2009.25),
)  # fmt: skip
EVENTS = {1975.25: "tax rebate", 1980.25: "credit controls", 2008.75: "the crash"}


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X, names, quarters = datasets.load_economy()
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    _, U, lam = theory.pca(Z)
    model = LinearVAE(
        FACTORS, noise_variance=float(lam[FACTORS:].mean()), random_state=0,
        tol=1e-4 if args.quick else 1e-10,
    ).fit(Z)  # fmt: skip
    codes = model.encode(Z)[0]
    first = int(np.argmax(np.abs(codes.T @ (Z @ U[:, 0]))))  # the VAE has an order of its own
    up = np.sign(U[names.index("realgdp"), 0])
    factor = up * Z @ U[:, 0]
    code = codes[:, first] * np.sign(codes[:, first] @ factor)
    code *= np.linalg.norm(factor) / np.linalg.norm(code)
    raw = theory.pca(X).components[:, 0]
    raw *= np.sign(raw[names.index("realgdp")])
    surprise = -theory.ppca_log_likelihood(
        Z, np.zeros(len(names)), U[:, :FACTORS], lam[:FACTORS], float(lam[FACTORS:].mean())
    )
    print("first axis: of standardised columns, and of columns as they come")
    plot.print_table(
        ("standardised", "as it comes", "series"), zip(up * U[:, 0], raw, names, strict=True)
    )
    print("\nthe most unusual quarters, and minus their log-likelihood")
    order = np.argsort(-surprise)[:6]
    plot.print_table(("quarter", "surprise"), [(str(quarters[i]), surprise[i]) for i in order])
    plot.save(draw(quarters, factor, code, names, up * U[:, 0], raw, surprise), args.out)


def draw(quarters, factor, code, names, scaled, raw, surprise):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10.5, 5.4))
    grid = figure.add_gridspec(2, 2, width_ratios=(2.1, 1), height_ratios=(1.4, 1))
    top, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    side = figure.add_subplot(grid[:, 1])
    for ax in (top, below):
        for start, end in RECESSIONS:
            ax.axvspan(start, end, color="#dddddd", lw=0)
        ax.set_xlim(quarters[0], quarters[-1])
    top.plot(quarters, factor, color=plot.BLUE)
    top.plot(quarters[::3], code[::3], "o", color=plot.VERMILION, ms=3)
    top.text(1991.5, 3.9, "first factor of PCA", color=plot.BLUE)
    top.text(1991.5, 3.1, "code of a linear VAE, rescaled", color=plot.VERMILION)
    top.text(1984.2, -5.2, "grey: recessions (NBER)", color="#555555")
    top.set(
        ylabel="first factor",
        title="Ten series, quarter by quarter: one factor is the business cycle",
    )
    below.plot(quarters, surprise, color=plot.BLACK, lw=1)
    for quarter, text in EVENTS.items():
        i = int(np.flatnonzero(quarters == quarter)[0])
        below.annotate(
            text, (quarter, surprise[i]), xytext=(-6, 0), textcoords="offset points",
            ha="right", va="center",
        )  # fmt: skip
    below.set(
        ylabel="−log p  (nats)", title="What the likelihood calls unusual", xlabel="year",
        ylim=(None, surprise.max() * 1.08),
    )  # fmt: skip
    places = np.arange(len(names))[::-1]
    side.barh(places + 0.2, scaled, 0.38, color=plot.BLUE)
    side.barh(places - 0.2, raw, 0.38, color=plot.ORANGE)
    side.set_yticks(places, names)
    side.text(0.98, 0.2, "standardised", color=plot.BLUE, ha="right", transform=side.transAxes)
    side.text(0.98, 0.16, "as it comes", color=plot.ORANGE, ha="right", transform=side.transAxes)
    side.grid(axis="y", visible=False)
    side.set_axisbelow(True)
    side.set(title="First axis: with and without a scale", xlabel="entry of the axis")
    return figure


if __name__ == "__main__":
    main()
