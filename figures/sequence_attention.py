"""Where the letters of a name look: the attention of a trained encoder.

python -m figures.sequence_attention
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nanoae import Autoencoder, datasets
from nanoae import plotting as plot
from nanoae.network import Transformer, TransformerBlock

NAME = "christina"
CODE = 16


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    data = datasets.load_names()
    X = [x.astype(np.float32) for x in data.X[:: 40 if args.quick else 1]]
    model = Autoencoder(
        CODE, architecture=Transformer(n_blocks=1, vocabulary_size=27, n_steps=12),
        loss="categorical", learning_rate=2e-3, max_iter=1 if args.quick else 20,
        n_iter_no_change=None, random_state=0, verbose=True,
    ).fit(X)  # fmt: skip
    tokens = np.array([data.alphabet.index(letter) for letter in f"{NAME}."])
    maps = attention_of(model, tokens)
    lags = np.subtract.outer(np.arange(len(tokens)), np.arange(len(tokens)))
    rows = []
    for head, P in enumerate(maps):
        entropy = -np.sum(P * np.log(np.maximum(P, 1e-30)), axis=1).mean()
        shares = [np.mean(np.sum(P * (lags == lag), axis=1)) for lag in (0, 1, -1)]
        rows.append((head + 1, *shares, entropy))
    plot.print_table(("head", "itself", "letter before", "letter after", "entropy"), rows)
    print(f"all alike would be an entropy of {np.log(len(tokens)):.3g} nats")
    plot.save(draw(maps, f"{NAME}."), args.out)


def attention_of(model, tokens):
    """Attention ``(heads, T, T)`` of the first block, between the letters that are there."""
    rows = np.full((1, model.n_features_in_), np.nan, model.parameters_.dtype)
    rows[0, : len(tokens)] = tokens
    model.encoder_.forward(rows)
    block = next(part for part in model.encoder_.layers if isinstance(part, TransformerBlock))
    return block.attention.attention[0, :, : len(tokens), : len(tokens)]


def draw(maps, name):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(maps), figsize=(10, 3.5))
    for head, (axes, P) in enumerate(zip(panels, maps, strict=True)):
        axes.imshow(P, cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        axes.set_xticks(range(len(name)), name, family="monospace")
        axes.set_yticks(range(len(name)), name if head == 0 else [""] * len(name),
                        family="monospace")  # fmt: skip
        axes.tick_params(length=0)
        axes.set(title=f"head {head + 1}", xlabel="looks at")
    panels[0].set_ylabel("letter")
    figure.suptitle(
        "The four heads of one block: each row is what a letter sees, and sums to 1 (dark: much)",
        x=0.01, ha="left", fontsize=11,
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
