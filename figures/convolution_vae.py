"""New images, drawn from a convolutional VAE and from a dense one of equal size.

python -m figures.convolution_vae
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from nanoae import VAE, ConvergenceWarning, Convolutional, datasets
from nanoae import plotting as plot

CHANNELS, SHOWN, COLUMNS = (8, 16), 60, 10
COLOURS = (plot.BLACK, plot.VERMILION, plot.BLUE)


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    n, epochs, k = (200, 2, 5) if args.quick else (3000, 120, 5)
    X = datasets.make_sprites(n, random_state=0).X.astype(np.float32)
    unseen = datasets.make_sprites(1000, random_state=1).X.astype(np.float32)
    networks = Convolutional((16, 16), CHANNELS)
    models = {
        "convolutional": VAE(k, architecture=networks),
        "dense": VAE(k, hidden_layer_sizes=(12,)),  # as many parameters, to 1 %
    }
    rows, drawn = [], {"the sprites they learned from": X[:SHOWN]}
    for name, model in models.items():
        model.set_params(
            likelihood="bernoulli", max_iter=epochs, batch_size=64, learning_rate=3e-3,
            n_iter_no_change=None, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a set time, not to the end
            model.fit(X)
        rate, distortion = model.rate_distortion(unseen)
        rows.append((name, len(model.parameters_), -rate - distortion, rate, distortion))
        words = f"new ones: {name} VAE, {len(model.parameters_):,} parameters"
        words += f"\nELBO of unseen ones {-rate - distortion:.1f} nats"
        drawn[words] = model.sample(SHOWN, random_state=0)
    plot.print_table(("VAE", "parameters", "ELBO, unseen", "rate", "distortion"), rows)
    plot.save(draw(drawn), args.out)


def draw(drawn):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, all_axes = plt.subplots(1, len(drawn), figsize=(12, 3.2))
    for axes, (words, images), colour in zip(all_axes, drawn.items(), COLOURS, strict=True):
        plot.show_images(axes, images, COLUMNS)
        axes.set_title(words, color=colour, fontsize=10)
    return figure


if __name__ == "__main__":
    main()
