"""The page on which β slides along Shannon's curve."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from figures import beta_explorer
from nanoae import datasets, theory

PAGE = Path(__file__).parents[1] / "figures" / "beta_explorer.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def data():
    found = re.search(r"const data = (\{.*\});", PAGE.read_text("utf-8"))
    return json.loads(found[1])


def test_is_one_small_file_that_needs_nothing_else(data):
    text = PAGE.read_text("utf-8")
    assert len(text.encode()) < 500_000
    assert not re.search(r"https?:|src=|href=|import|fetch|url\(|XMLHttp", text)
    assert text == beta_explorer.page_text(data)  # it is what the script writes
    assert 'name="viewport"' in text and '<label for="beta">' in text


def test_its_trained_models_lie_on_the_curve_that_it_draws(data):
    eigenvalues = theory.pca(datasets.load_digits().X).eigenvalues
    for beta, rate, distortion in data["trained"]:
        optimum = theory.linear_vae_optimum(
            eigenvalues, beta_explorer.N_COMPONENTS, beta, beta_explorer.NOISE_VARIANCE
        )
        # training stops at a relative tolerance of 1e-5 of the loss; the page has three decimals
        assert rate == pytest.approx(optimum.rate, rel=1e-3, abs=6e-4)
        assert distortion == pytest.approx(optimum.distortion, rel=1e-3, abs=6e-5)
    assert data["eigenvalues"] == pytest.approx(eigenvalues, rel=1e-4, abs=1e-12)


def test_what_it_shows_is_the_linear_vae_at_its_optimum():
    """Reconstruction of the best encoder and decoder, and the covariance of samples."""
    X = datasets.load_digits().X
    pca, k, theta = theory.pca(X), beta_explorer.N_COMPONENTS, 0.1
    lam = pca.eigenvalues[:k]
    W = pca.components[:, :k] * np.sqrt(np.maximum(lam - theta, 0))
    V = theory.linear_vae_encoder(W, theta)[0]
    right = pca.mean + (X[:3] - pca.mean) @ V.T @ W.T
    assert beta_explorer.reconstructions(pca, X[:3], theta) == pytest.approx(right, abs=1e-12)
    assert beta_explorer.samples(pca, np.eye(k), theta) - pca.mean == pytest.approx(W.T)


@pytest.mark.parametrize("position", [78, 200])
def test_in_a_browser(position, data, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    move = (
        f'<script>element("beta").value = {position};'
        'element("beta").dispatchEvent(new Event("input"));'
        'for (const id of ["digits", "samples"]) {'
        '  const c = element(id), p = c.getContext("2d").getImageData(0, 0, c.width, c.height);'
        '  c.dataset.grey = p.data.filter((_, i) => i % 4 === 0).join(" "); }</script>'
    )
    page = tmp_path / "page.html"
    page.write_text(PAGE.read_text("utf-8").replace("</body>", f"{move}</body>"), "utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    shown = dict(re.findall(r'<output id="(\w+)"[^>]*>([^<]*)<', done.stdout))
    low, high = data["betas"]
    beta = low * (high / low) ** (position / 200)
    optimum = theory.linear_vae_optimum(
        data["eigenvalues"], len(data["axes"]), beta, data["noiseVariance"]
    )
    assert float(shown["value"]) == pytest.approx(beta, rel=5e-3)  # three digits
    assert float(shown["rate"]) == pytest.approx(optimum.rate, abs=0.006)  # two decimals
    assert float(shown["distortion"]) == pytest.approx(optimum.distortion, abs=0.0006)
    assert shown["active"] == f"{optimum.active.sum()} of {len(data['axes'])}"
    assert len(re.findall(r'<rect x="[\d.]+"', done.stdout)) == len(data["axes"])
    assert len(re.findall(r'<circle cx="[\d.]+"', done.stdout)) == len(data["trained"]) + 1
    pca = SimpleNamespace(
        components=np.array(data["axes"]).T,
        eigenvalues=np.array(data["eigenvalues"]),
        mean=np.array(data["mean"]),
    )
    X, theta = np.array(data["originals"]), beta * data["noiseVariance"]
    kept = beta_explorer.reconstructions(pca, X, theta)
    drawn = beta_explorer.samples(pca, np.array(data["noise"]), theta)
    for name, pictures in (("digits", [*X, *kept]), ("samples", drawn)):
        grey = np.array(
            re.search(rf'id="{name}"[^>]*data-grey="([\d ]+)"', done.stdout)[1].split()
        )
        across = len(pictures) // 2
        grey = grey.astype(int).reshape(17, 9 * across - 1)
        for i, picture in enumerate(pictures):
            top, left = 9 * (i // across), 9 * (i % across)
            tile = grey[top : top + 8, left : left + 8].ravel()
            assert np.abs(tile - 255 * (1 - np.clip(picture, 0, 1))).max() <= 0.51
