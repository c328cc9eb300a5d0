"""A page to look at: slide β along Shannon's curve, and see what is left of the digits.

python -m figures.beta_explorer

Beside the picture it writes a page of the same name, ``beta_explorer.html``: one file, for any
browser, from the disk, without network. What the page shows is the closed form of the linear
β-VAE, computed in the page for the β of the slider; the points on its curve are trained models.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nanoae import LinearVAE, beta_sweep, datasets, theory
from nanoae import plotting as plot

NOISE_VARIANCE = 0.05
N_COMPONENTS = 40
BETAS = (0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0, 8.0, 12.0)
SHOWN = (0.2, 1.0, 5.0)  # values of β in the picture
IMAGES = 8


def main(argv: list[str] | None = None) -> None:
    parser = plot.figure_parser(
        __doc__.splitlines()[0], Path(__file__).with_suffix(".png"), data=False
    )
    args = parser.parse_args(argv)
    X, labels = datasets.load_digits()
    betas = BETAS[3::4] if args.quick else BETAS
    model = LinearVAE(
        N_COMPONENTS, noise_variance=NOISE_VARIANCE, tol=1e-3 if args.quick else 1e-5,
        random_state=0,
    )  # fmt: skip
    sweep = beta_sweep(X, betas, model=model, verbose=True)
    pca = theory.pca(X)
    optimum = [
        theory.linear_vae_optimum(pca.eigenvalues, N_COMPONENTS, b, NOISE_VARIANCE) for b in betas
    ]
    plot.print_table(
        ("beta", "R closed", "R trained", "D closed", "D trained", "active", "trained"),
        zip(
            betas, [o.rate for o in optimum], sweep.rate, [o.distortion for o in optimum],
            sweep.distortion, [o.active.sum() for o in optimum], sweep.active_units, strict=True,
        ),
    )  # fmt: skip
    originals = X[[np.flatnonzero(labels == digit)[0] for digit in range(IMAGES)]]
    noise = np.random.default_rng(1).standard_normal((IMAGES, N_COMPONENTS))
    page = args.out.with_suffix(".html")
    page.write_text(page_text(page_data(pca, originals, noise, sweep)), "utf-8")
    print(f"wrote {page}")
    plot.save(draw(pca, originals, noise, sweep), args.out)


def page_data(pca, originals, noise, sweep):
    """What the page computes from, rounded to what a grey value shows."""
    return {
        "noiseVariance": NOISE_VARIANCE,
        "eigenvalues": [float(f"{value:.5g}") for value in pca.eigenvalues],
        "mean": np.round(pca.mean, 3).tolist(),
        "axes": np.round(pca.components[:, :N_COMPONENTS].T, 3).tolist(),
        "originals": np.round(originals, 3).tolist(),
        "noise": np.round(noise, 3).tolist(),
        "trained": [
            [float(b), round(float(r), 3), round(float(d), 4)]
            for b, r, d in zip(sweep.beta, sweep.rate, sweep.distortion, strict=True)
        ],
        "betas": [BETAS[0], 1.1 * pca.eigenvalues[0] / NOISE_VARIANCE],
    }


def page_text(data):
    return PAGE.replace("DATA", json.dumps(data, separators=(",", ":")))


def reconstructions(pca, originals, theta):
    """Each axis is shrunk by ``(1 − θ/λ)₊`` (6.5b)."""
    axes, lam = pca.components[:, :N_COMPONENTS], pca.eigenvalues[:N_COMPONENTS]
    codes = (originals - pca.mean) @ axes
    return pca.mean + codes * np.maximum(1 - theta / lam, 0) @ axes.T


def samples(pca, noise, theta):
    """``W z`` with columns of the length ``√(λ − θ)₊`` (6.1)."""
    axes, lam = pca.components[:, :N_COMPONENTS], pca.eigenvalues[:N_COMPONENTS]
    return pca.mean + noise * np.sqrt(np.maximum(lam - theta, 0)) @ axes.T


def draw(pca, originals, noise, sweep):
    plot.use_style()
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10, 5))
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    ax = left.subplots()
    thetas = np.geomspace(BETAS[0] * NOISE_VARIANCE, pca.eigenvalues[0], 400)
    rate, distortion = theory.water_filling(pca.eigenvalues, thetas)
    ax.plot(rate, distortion, color=plot.BLACK, lw=1.2)
    ax.plot(sweep.rate, sweep.distortion, "o", color=plot.BLUE, ms=5, zorder=3)
    for beta in SHOWN:
        r, d = theory.water_filling(pca.eigenvalues, beta * NOISE_VARIANCE)
        ax.plot(r, d, "o", color=plot.VERMILION, ms=9, mfc="none", mew=1.6)
        ax.annotate(
            f"β = {beta:g}", (r, d), xytext=(-4, 10), textcoords="offset points",
            color=plot.VERMILION,
        )  # fmt: skip
    ax.text(
        0.97, 0.95, "line: Shannon's curve\n● linear β-VAEs, trained\n○ shown on the right",
        transform=ax.transAxes, ha="right", va="top",
    )  # fmt: skip
    ax.set(xlabel="rate  (nats per image)", ylabel="distortion  (squared error per image)")
    ax.set_title("The page's slider moves along this line")
    panels = right.subplots(2, 1, height_ratios=(4, 3))
    rows = [originals, *(reconstructions(pca, originals, b * NOISE_VARIANCE) for b in SHOWN)]
    plot.show_images(panels[0], np.concatenate(rows), IMAGES)
    drawn = [samples(pca, noise, b * NOISE_VARIANCE) for b in SHOWN]
    plot.show_images(panels[1], np.concatenate(drawn), IMAGES)
    panels[0].set_title("Reconstructions, and dimensions in use")
    panels[1].set_title("Samples of the prior, decoded")
    side = round(originals.shape[1] ** 0.5)
    active = [int(np.sum(pca.eigenvalues[:N_COMPONENTS] > b * NOISE_VARIANCE)) for b in SHOWN]
    names = [f"β = {b:g}\n{k} of {N_COMPONENTS}" for b, k in zip(SHOWN, active, strict=True)]
    for ax, words in ((panels[0], ["original", *names]), (panels[1], names)):
        for row, name in enumerate(words):
            ax.text(-1, row * (side + 1) + side / 2, name, ha="right", va="center", fontsize=9)
    return figure


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>β along Shannon's curve</title>
<style>
  body { font: 16px/1.45 system-ui, sans-serif; color: #222; margin: 0 auto; padding: 0.8rem;
         max-width: 60rem; }
  h1 { font-size: 1.3rem; margin: 0 0 0.4rem; }
  h2 { font-size: 1rem; margin: 0.6rem 0 0.2rem; }
  p { margin: 0.3rem 0; max-width: 45rem; }
  .control { position: sticky; top: 0; background: #fff; padding: 0.4rem 0;
             border-bottom: 1px solid #ccc; z-index: 1; }
  input { width: 100%; height: 2rem; margin: 0; accent-color: #D55E00; }
  .numbers { display: flex; flex-wrap: wrap; gap: 0 1.2rem; font-variant-numeric: tabular-nums; }
  .panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
            gap: 0.3rem 1.2rem; }
  svg { width: 100%; height: auto; display: block; }
  canvas { width: 100%; image-rendering: pixelated; display: block; }
  text { font: 12px system-ui, sans-serif; fill: #444; }
</style>
</head>
<body>
<h1>β along Shannon's curve</h1>
<p>Predict, then slide: which digit loses its shape first? Which dimension dies last, and at which
β? Arrow keys move the slider, Page Up and Page Down by more at once.</p>
<div class="control">
  <label for="beta">β, from faithful to blind</label>
  <input id="beta" type="range" min="0" max="200" step="1" value="78">
  <div class="numbers" role="status">
    <span>β = <output id="value" for="beta"></output></span>
    <span>rate <output id="rate" for="beta"></output> nats</span>
    <span>distortion <output id="distortion" for="beta"></output></span>
    <span><output id="active" for="beta"></output> dimensions in use</span>
  </div>
</div>
<div class="panels">
  <section><h2>Digits, and what the code keeps of them</h2>
    <canvas id="digits" role="img" aria-label="digits above their reconstructions"></canvas>
  </section>
  <section><h2>Samples: noise, decoded</h2>
    <canvas id="samples" role="img" aria-label="samples of the prior, decoded"></canvas>
  </section>
  <section><h2>Distortion against rate</h2>
    <svg id="curve" viewBox="0 0 320 220" role="img" aria-label="Shannon's curve"></svg></section>
  <section><h2>Variance of each axis; the water is βσ²</h2>
    <svg id="water" viewBox="0 0 320 220" role="img" aria-label="eigenvalues and water"></svg>
  </section>
</div>
<p>Shown is the linear β-VAE in closed form: an axis of variance λ is in use where λ &gt; βσ², its
reconstruction is shrunk by 1 − βσ²/λ, and it costs ½ log(λ/βσ²) nats. Blue points are models that
were trained. Chapter 6 derives all of it: equations (6.1) to (6.3b).</p>
<script>
"use strict";
const data = DATA;
const lam = data.eigenvalues, k = data.axes.length, side = Math.sqrt(data.mean.length);
const [low, high] = data.betas;
const element = id => document.getElementById(id);
const sum = (n, term) => { let s = 0; for (let i = 0; i < n; i++) s += term(i); return s; };
const rate = theta => sum(lam.length, i => Math.max(0, Math.log(lam[i] / theta)) / 2);
const distortion = theta => sum(lam.length, i => Math.min(theta, lam[i]));
const active = theta => sum(k, i => lam[i] > theta ? 1 : 0);
const codes = data.originals.map(
  x => data.axes.map(u => sum(u.length, j => u[j] * (x[j] - data.mean[j]))));

function image(code) {  // the mean, plus a sum of axes
  return data.mean.map((m, j) => m + sum(k, i => code[i] * data.axes[i][j]));
}

function paint(canvas, rows) {
  const across = rows[0].length, cell = side + 1;
  canvas.width = across * cell - 1;
  canvas.height = rows.length * cell - 1;
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(canvas.width, canvas.height);
  pixels.data.fill(255);
  rows.forEach((row, r) => row.forEach((picture, c) => picture.forEach((value, p) => {
    const y = r * cell + Math.floor(p / side), x = c * cell + p % side;
    const grey = Math.round(255 * (1 - Math.min(1, Math.max(0, value))));
    pixels.data.fill(grey, 4 * (y * canvas.width + x), 4 * (y * canvas.width + x) + 3);
  })));
  pen.putImageData(pixels, 0, 0);
}

const total = distortion(Infinity), most = rate(low * data.noiseVariance);
const X = r => 34 + 276 * r / most, Y = d => 190 - 170 * d / total;
const height = v => Math.max(0, 165 + 80 * Math.log10(v / lam[0]));  // two decades
const barX = i => 34 + 276 * i / k;

function curve(theta) {
  let path = "";
  for (let i = 0; i <= 200; i++) {
    const t = data.noiseVariance * low * Math.pow(high / low, i / 200);
    path += (i ? "L" : "M") + X(rate(t)).toFixed(1) + " " + Y(distortion(t)).toFixed(1);
  }
  const dots = data.trained.map(
    t => `<circle cx="${X(t[1])}" cy="${Y(t[2])}" r="3.5" fill="#0072B2"/>`).join("");
  element("curve").innerHTML =
    `<path d="M34 10V190H316" fill="none" stroke="#999"/><path d="${path}" fill="none"
     stroke="#000" stroke-width="1.4"/>${dots}<circle cx="${X(rate(theta))}"
     cy="${Y(distortion(theta))}" r="8" fill="none" stroke="#D55E00" stroke-width="3"/>
     <text x="316" y="208" text-anchor="end">rate, 0 to ${most.toFixed(0)} nats an image</text>
     <text x="40" y="16">distortion, 0 to ${total.toFixed(1)}</text>`;
}

function water(theta) {
  const bars = data.axes.map((_, i) => `<rect x="${barX(i)}" y="${190 - height(lam[i])}"
    width="${230 / k}" height="${height(lam[i])}"
    fill="${lam[i] > theta ? "#0072B2" : "#bbb"}"/>`).join("");
  const level = 190 - height(theta);
  element("water").innerHTML = `${bars}<path d="M34 ${level}H316" stroke="#D55E00"
    stroke-width="2.5"/><path d="M34 190H316" stroke="#999"/>
    <text x="316" y="208" text-anchor="end">principal axes 1 to ${k}; heights are logarithms</text>
    <text x="316" y="${Math.max(12, level - 5)}" text-anchor="end">βσ²</text>`;
}

function show() {
  const beta = low * Math.pow(high / low, element("beta").value / 200);
  const theta = beta * data.noiseVariance;
  element("value").textContent = beta.toPrecision(3);
  element("rate").textContent = rate(theta).toFixed(2);
  element("distortion").textContent = distortion(theta).toFixed(3);
  element("active").textContent = `${active(theta)} of ${k}`;
  element("beta").setAttribute("aria-valuetext",
    `β ${beta.toPrecision(3)}, ${active(theta)} dimensions in use`);
  const kept = codes.map(code => image(code.map((c, i) => c * Math.max(0, 1 - theta / lam[i]))));
  const drawn = data.noise.map(
    z => image(z.map((e, i) => e * Math.sqrt(Math.max(0, lam[i] - theta)))));
  paint(element("digits"), [data.originals, kept]);
  paint(element("samples"), [drawn.slice(0, drawn.length / 2), drawn.slice(drawn.length / 2)]);
  curve(theta);
  water(theta);
}

element("beta").addEventListener("input", show);
show();
</script>
</body>
</html>
"""


if __name__ == "__main__":
    main()
