"""Train one VAE for each β, and lay out the trade-off."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nanoae.arrays import Array
from nanoae.models import VAE
from nanoae.models.vae import LatentGaussian
from nanoae.training import progress_bar
from nanoae.validation import check_real


class BetaSweep(NamedTuple):
    """What a sweep over β found; entry i of each array belongs to ``beta[i]``.

    Attributes
    ----------
    beta : ndarray of shape (m,)
    rate : ndarray of shape (m,)
        KL(q(z|x) ‖ p(z)), nats per sample.
    distortion : ndarray of shape (m,)
        Squared error (Gaussian), or nats (Bernoulli), per sample.
    elbo : ndarray of shape (m,)
        At β = 1, nats per sample.
    active_units : ndarray of int, shape (m,)
    models : list of VAE or LinearVAE
        The trained models.

    Examples
    --------
    >>> from nanoae import LinearVAE, beta_sweep, datasets
    >>> X = datasets.make_gaussian(50, [4.0, 2.0, 0.5], exact=True, random_state=0)
    >>> sweep = beta_sweep(X, [1.0, 3.0], model=LinearVAE(2, random_state=0))
    >>> sweep.active_units.tolist()  # the level β σ² is 1, and then 3: above the second variance
    [2, 1]
    >>> sweep.models[1].beta
    3.0
    """

    beta: Array
    rate: Array
    distortion: Array
    elbo: Array
    active_units: Array
    models: list[LatentGaussian]


def beta_sweep(
    X: ArrayLike,
    betas: ArrayLike,
    *,
    model: LatentGaussian | None = None,
    executor: Executor | None = None,
    verbose: bool = False,
) -> BetaSweep:
    """Train one copy of a VAE for each β.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    betas : array-like of shape (m,)
    model : VAE or LinearVAE, optional
        All but its ``beta`` is kept; it is not changed. Default ``VAE()``.
    executor : concurrent.futures.Executor, optional
        Trains the copies side by side; the results are the same, bit for bit. On a cluster, with
        Dask: ``with Client(address) as client, client.get_executor() as executor: ...``
    verbose : bool, default False
        Show progress.

    Returns
    -------
    BetaSweep

    Raises
    ------
    ValueError, TypeError
        An argument is not usable, or what `VAE.fit` raises.

    Examples
    --------
    A larger β says less of each digit, 0.67 nats instead of 2.06, and errs by more:

    >>> from nanoae import LinearVAE, beta_sweep, datasets
    >>> X = datasets.load_digits().X[:100]
    >>> model = LinearVAE(2, noise_variance=0.1, tol=1e-4, random_state=0)
    >>> sweep = beta_sweep(X, [1.0, 4.0], model=model)
    >>> sweep.rate.round(2).tolist(), sweep.distortion.round(2).tolist()
    ([2.06, 0.67], [3.24, 3.84])
    """
    if not np.iterable(betas) or len(betas := [*betas]) == 0:
        raise ValueError(f"betas must be a list of at least one number; got {betas!r}.")
    for beta in betas:
        check_real("each of betas", beta, 0)
    betas = np.array(betas, dtype=np.float64)
    model = VAE() if model is None else model
    if not isinstance(model, LatentGaussian):
        raise TypeError(f"model must be a VAE, such as VAE(n_components=2); got {model!r}.")
    # the copies see X itself, for the names of its columns
    model._check_samples(X, minimum=2)
    params = model.get_params()
    if isinstance(params["random_state"], np.random.Generator):
        # one seed for all: a shared generator would make the results depend on the order
        params["random_state"] = int(params["random_state"].integers(2**32))
    fit_one = partial(_fit_one, X, type(model), params)
    run = map if executor is None else executor.map
    models, rows = [], []
    with progress_bar(len(betas), verbose, "β sweep") as bar:
        for fitted, row in run(fit_one, betas.tolist()):
            models.append(fitted)
            rows.append(row)
            bar.update()
    rate, distortion, elbo, active_units = (np.array(column) for column in zip(*rows, strict=True))
    return BetaSweep(betas, rate, distortion, elbo, active_units, models)


def _fit_one(
    X: ArrayLike, model_class: type[LatentGaussian], params: dict[str, object], beta: float
) -> tuple[LatentGaussian, tuple[float, float, float, int]]:
    model = model_class(**{**params, "beta": beta}).fit(X)
    rate, distortion = model.rate_distortion(X)
    return model, (rate, distortion, model.elbo(X), model.active_units(X))
