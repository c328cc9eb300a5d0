"""The training loop: what it feeds a model, what it writes down, when it stops."""

import copy
import re
import warnings

import numpy as np
import pytest
from effort import scaled

from nanoae import (
    VAE,
    Autoencoder,
    ConvergenceWarning,
    LinearAutoencoder,
    LinearVAE,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    TrainingDiverged,
    denoising,
    gradient_check,
)
from nanoae.optimizers import SGD
from nanoae.training import Monitor, train, train_full_batch


class MeanModel:
    """The smallest model there is: one vector θ, loss ``(1/n) Σ ‖x − θ‖²``. It keeps a diary.

    ``batches`` has every batch it was given; ``noise`` a draw from the generator at each call.
    """

    def __init__(self, n_features):
        self.parameters_ = np.zeros(n_features)
        self.batches, self.noise = [], []

    def loss_and_gradient(self, X, rng=None):
        self.batches.append(X.copy())  # the loop reuses its work array
        self.noise.append(rng.standard_normal())
        residual = X - self.parameters_
        return np.mean(np.sum(residual**2, axis=1)), -2 * residual.mean(axis=0)


class ScriptedModel:
    """A model whose losses are dictated, one value a call; the gradient is always 1."""

    def __init__(self, losses):
        self.parameters_ = np.zeros(1)
        self.losses = iter(losses)

    def loss_and_gradient(self, X, rng=None):
        return next(self.losses), np.ones(1)


COUNT = SGD(-1.0)  # with a gradient of 1, the parameter counts the steps


def run(model, X, seed=0, *, max_iter=3, tol=0.0, n_iter_no_change=1000, **options):
    model.history = monitor = Monitor(model.parameters_)
    monitor.max_iter, monitor.tol, monitor.n_iter_no_change = max_iter, tol, n_iter_no_change
    options = {"optimizer": SGD(0.1), "batch_size": 5, **options}
    train(model, X, np.random.default_rng(seed), monitor, **options)
    return model


def numbered(n, d=3):
    """Samples that can be told apart: row i starts with i."""
    X = np.random.default_rng(0).standard_normal((n, d))
    X[:, 0] = np.arange(n)
    return X


def orders(model, n_epochs, n):
    """Numbers of the rows in the order in which they were seen, one array an epoch."""
    return np.concatenate(model.batches)[:, 0].astype(int).reshape(n_epochs, n)


# --- batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("n, batch_size, sizes", [(23, 5, [5, 5, 5, 5, 3]), (6, 3, [3, 3]),
                                                  (4, 10, [4]), (3, 1, [1, 1, 1])])  # fmt: skip
def test_an_epoch_is_every_sample_once_in_batches_the_last_of_which_may_be_smaller(
    n, batch_size, sizes
):
    X = numbered(n)
    model = run(MeanModel(3), X, batch_size=batch_size, max_iter=2)
    assert [len(batch) for batch in model.batches] == 2 * sizes
    for order in orders(model, 2, n):
        assert sorted(order) == list(range(n))
    rows = np.concatenate(model.batches)
    np.testing.assert_array_equal(rows, X[rows[:, 0].astype(int)])  # whole rows, unharmed


def test_every_epoch_has_another_order_and_the_seed_decides_which():
    X = numbered(23)
    first, again, other = (orders(run(MeanModel(3), X, seed), 3, 23) for seed in (0, 0, 1))
    assert len({tuple(order) for order in [*first, *other]}) == 6
    np.testing.assert_array_equal(first, again)


def test_history_is_the_mean_over_samples_not_over_batches():
    X = numbered(23)
    model = run(MeanModel(3), X)
    theta, expected, unweighted = np.zeros(3), [], []
    for epoch in range(3):
        losses, sizes = [], []
        for batch in model.batches[5 * epoch : 5 * epoch + 5]:
            losses.append(np.mean(np.sum((batch - theta) ** 2, axis=1)))
            sizes.append(len(batch))
            theta = theta + 0.1 * 2 * (batch - theta).mean(axis=0)
        expected.append(np.dot(losses, sizes) / 23)
        unweighted.append(np.mean(losses))
    history = model.history.curves["loss"]
    np.testing.assert_allclose(history, expected, rtol=1e-13)  # the same sums in the same order
    np.testing.assert_allclose(model.parameters_, theta, rtol=1e-13)
    assert np.abs(np.array(unweighted) / expected - 1).max() > 1e-3  # the difference shows


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_one_full_batch_step_is_gradient_descent_by_hand(weight_decay):
    """Against matrix calculus: ∂L/∂W_d = −2(I − W_d W_e) Σ W_eᵀ, and its like for W_e."""
    X = np.random.default_rng(0).standard_normal((30, 4)) * [1, 2, 3, 4]
    options = {"solver": "sgd", "max_iter": 1, "random_state": 0, "weight_decay": weight_decay}
    start = LinearAutoencoder(2, learning_rate=1e-300, **options).fit(X)  # moves nothing
    W_e, W_d = start.encoder_weight_, start.decoder_weight_
    stepped = LinearAutoencoder(2, learning_rate=0.05, **options).fit(X)

    Sigma = np.cov(X.T, bias=True)
    E = (np.eye(4) - W_d @ W_e) @ Sigma
    eta = 0.05 / np.trace(Sigma)
    W_e_new = W_e + 2 * eta * (W_d.T @ E - weight_decay * W_e)
    W_d_new = W_d + 2 * eta * (E @ W_e.T - weight_decay * W_d)
    np.testing.assert_allclose(stepped.encoder_weight_, W_e_new, rtol=0, atol=1e-13)
    np.testing.assert_allclose(stepped.decoder_weight_, W_d_new, rtol=0, atol=1e-13)
    decay = weight_decay * (np.sum(W_e**2) + np.sum(W_d**2))
    by_hand = np.trace(E @ (np.eye(4) - W_d @ W_e).T) + decay
    assert stepped.history_["loss"] == pytest.approx([by_hand], rel=1e-13)


# --- when to stop ---------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, -100.0])  # a likelihood's loss may well be negative
@pytest.mark.parametrize(
    "fall, n_epochs",
    [
        (0.0, 1 + 4),  # flat: the first epoch is the best, and four in a row are no better
        (-0.5, 1 + 4),  # rising
        (0.5e-3, 2 + 4),  # falling, but see below
        (5.0, 30),  # falling by more than tol · |best|: to the end
    ],
)
def test_training_stops_when_the_loss_has_stopped_falling(fall, n_epochs, offset):
    losses = 50 + offset - fall * np.arange(30.0)
    if fall == 0.5e-3:  # one good epoch first; then by less than tol · |best| = 0.05 an epoch
        losses[1:] -= 1
    model = run(ScriptedModel(losses), numbered(5), max_iter=30, tol=1e-3, n_iter_no_change=4)
    np.testing.assert_array_equal(model.history.outcome()["history_"]["loss"], losses[:n_epochs])


def test_epochs_without_improvement_must_be_in_a_row():
    losses = [9, 9, 9, 8, 8, 8, 7, 7, 7, 7, 6]
    model = run(ScriptedModel(losses), numbered(5), max_iter=11, tol=1e-3, n_iter_no_change=3)
    assert model.history.outcome()["history_"]["loss"].tolist() == losses[:-1]


class StepDiary(SGD):
    """Gradient descent that notes after which of the model's batches a step was taken."""

    def __init__(self, model):
        super().__init__(0.1)
        self.model, self.steps = model, []

    def step(self, values, gradient):
        self.steps.append(len(self.model.batches) - 1)
        super().step(values, gradient)


def test_rows_that_are_held_out_are_never_trained_on():
    n, X, model = 40, numbered(40), MeanModel(3)
    optimizer = StepDiary(model)
    run(model, X, optimizer=optimizer, validation_fraction=0.2, max_iter=4)
    trained = [model.batches[i] for i in optimizer.steps]
    watched = [b for i, b in enumerate(model.batches) if i not in optimizer.steps]
    trained, watched = (np.concatenate(b)[:, 0].astype(int).reshape(4, -1)
                        for b in (trained, watched))  # fmt: skip
    for epoch in range(4):
        assert sorted([*trained[epoch], *watched[epoch]]) == list(range(n))
    np.testing.assert_array_equal(watched, watched[[0, 0, 0, 0]])  # the same rows each time
    assert watched.shape == (4, 8)


def test_validation_loss_is_that_of_the_held_out_rows_after_the_epoch():
    model = run(MeanModel(3), numbered(40), validation_fraction=0.2, max_iter=1)
    held_out = np.concatenate(model.batches[-2:])  # 8 rows: batches of 5 and 3
    loss = np.mean(np.sum((held_out - model.parameters_) ** 2, axis=1))
    assert model.history.outcome()["history_"]["validation_loss"] == pytest.approx(
        [loss], rel=1e-13
    )


def test_epochs_are_compared_under_the_same_noise_but_trained_under_new():
    model = run(MeanModel(3), numbered(10), validation_fraction=0.5)
    training, validation = np.array(model.noise).reshape(3, 2).T  # one batch each an epoch
    assert len(set(validation)) == 1
    assert len(set(training)) == 3


def scripted_validation(losses):
    """One training batch and one validation batch an epoch, the latter with these losses."""
    return ScriptedModel([x for loss in losses for x in (1.0, loss)])


def test_parameters_of_the_best_epoch_are_put_back():
    losses = [9, 5, 7, 4, 6, 8, 4.5, 5, 5]
    model = run(
        scripted_validation(losses), numbered(4), optimizer=COUNT, validation_fraction=0.5,
        max_iter=20, n_iter_no_change=5,
    )  # fmt: skip
    history = model.history
    assert (
        history.outcome()["history_"]["validation_loss"].tolist() == losses
    )  # 4, then five no better
    assert model.parameters_ == [4]
    assert history.kept == 3


def test_best_epoch_is_kept_even_if_better_by_less_than_tol():
    losses = [10, 9.999, 9.998]
    model = run(
        scripted_validation(losses), numbered(4), optimizer=COUNT, validation_fraction=0.5,
        tol=0.1, n_iter_no_change=2,
    )  # fmt: skip
    assert model.parameters_ == [3]


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_two_samples_are_enough_to_hold_one_out(fraction):
    model = run(MeanModel(3), numbered(2), validation_fraction=fraction)
    assert [len(batch) for batch in model.batches] == [1, 1] * 3


# --- weight decay ---------------------------------------------------------------------------

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
MODELS = {
    "linear": LinearAutoencoder(2, random_state=0),
    "tied": TiedAutoencoder(2, random_state=0),
    "mlp": Autoencoder(2, **SMALL),
    "vae": VAE(2, noise_variance="learned", **SMALL),
}


@pytest.mark.parametrize("name", MODELS)
def test_weight_decay_acts_on_every_weight_once_and_on_no_bias(name):
    X = np.random.default_rng(0).standard_normal((20, 5))
    model = copy.deepcopy(MODELS[name]).fit(X)
    values = model.parameters_
    values[...] = np.random.default_rng(1).standard_normal(values.shape)  # biases not at 0
    plain_loss, gradient = model.loss_and_gradient(X, np.random.default_rng(2))
    plain_gradient = gradient.copy()
    model.weight_decay = 0.7
    loss, gradient = model.loss_and_gradient(X, np.random.default_rng(2))
    model.weight_decay = 0.0

    networks = [model.encoder_] if name == "tied" else [model.encoder_, model.decoder_]
    layers = [layer for network in networks for layer in network.layers]
    squares = sum(np.sum(layer.weight**2) for layer in layers)
    assert loss - plain_loss == pytest.approx(0.7 * squares, rel=1e-12)

    difference = gradient - plain_gradient
    n_weights = sum(layer.weight.size for layer in layers)
    is_weight = np.zeros(len(values), bool)
    for layer in layers:  # the layer's weights are views: mark their places through them
        saved = layer.weight.copy()
        layer.weight[...] = np.nan
        is_weight |= np.isnan(values)
        layer.weight[...] = saved
    assert is_weight.sum() == n_weights
    scale = np.abs(plain_gradient).max()  # the difference of two gradients of this size
    np.testing.assert_allclose(
        difference, np.where(is_weight, 1.4 * values, 0), rtol=0, atol=1e-14 * scale
    )


# --- when it goes wrong ---------------------------------------------------------------------


def test_divergence_names_the_epoch_and_keeps_what_was_before_it():
    losses = [3.0, 3.0, 2.0, 2.0, np.nan, 0.0]  # two batches an epoch: NaN in the third
    model = ScriptedModel(losses)
    with pytest.raises(TrainingDiverged, match=r"epoch 3\b.*learning_rate"):
        run(model, numbered(10), optimizer=COUNT, max_iter=9)
    assert model.history.outcome()["history_"]["loss"].tolist() == [3, 2]
    assert model.parameters_ == [4]  # two epochs of two steps
    assert next(model.losses) == 0.0  # and not a batch more


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_divergence_on_the_held_out_rows_keeps_the_best_epoch(bad):
    model = scripted_validation([5, 2, 3, bad])
    with pytest.raises(TrainingDiverged, match="epoch 4"):
        run(
            model, numbered(4), optimizer=COUNT, validation_fraction=0.5,
            max_iter=9,
        )  # fmt: skip
    assert model.parameters_ == [2] and model.history.kept == 1


def test_gradient_that_overflows_in_the_last_batch_is_noticed_though_its_loss_was_finite():
    class Overflow(SGD):
        def step(self, values, gradient):
            values += np.inf

    with pytest.raises(TrainingDiverged, match="epoch 1"):
        run(model := ScriptedModel([1.0]), numbered(5), optimizer=Overflow(0.1))
    assert model.parameters_ == [0]


def full_batch(theta):
    monitor = Monitor(theta)
    monitor.max_iter, monitor.tol = 50, 1e-9
    return monitor


def test_divergence_in_full_batch_training_keeps_the_last_iteration():
    theta = np.array([-1.2, 1.0])
    calls, reported = [], []

    class Rosenbrock:
        parameters_ = theta

        def loss_and_gradient(self):
            x, y = theta
            calls.append(theta.copy())
            if len(calls) >= 15:  # and no shorter step finds a loss, either
                return np.nan, np.zeros(2)
            g = np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])
            loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
            reported.append(loss)
            return loss, g

    model, monitor = Rosenbrock(), full_batch(theta)
    with pytest.raises(TrainingDiverged, match="iteration") as info:
        train_full_batch(model.loss_and_gradient, monitor)
    losses = monitor.curves["loss"]
    assert f"iteration {len(losses) + 1}: scale the data; " in str(info.value)
    assert 1 < len(losses) < 15
    x, y = theta
    assert losses[-1] == (1 - x) ** 2 + 100 * (y - x * x) ** 2  # the parameters are its own


def test_full_batch_training_from_which_no_step_leads_on_says_so():
    class OnlyAtZero:
        parameters_ = np.zeros(1)

        def loss_and_gradient(self):
            return (3.0 if self.parameters_ == 0 else np.nan), np.ones(1)

    model = OnlyAtZero()
    monitor = full_batch(model.parameters_)
    train_full_batch(model.loss_and_gradient, monitor)
    assert monitor.curves["loss"] == [3.0] and model.parameters_ == 0
    assert re.match("stopped at iteration 1, .*tol=1e-09: .*no step", monitor.warning)


def test_learning_rate_that_is_too_large_leaves_a_finite_model():
    X = np.random.default_rng(0).standard_normal((50, 4))
    model = Autoencoder(2, solver="sgd", learning_rate=0.2, random_state=0, max_iter=50,
                        hidden_layer_sizes=(8,), batch_size=50)  # fmt: skip
    with pytest.raises(TrainingDiverged) as info:
        model.fit(100 * X)
    n_iter = model.n_iter_
    assert f"epoch {n_iter + 1}:" in str(info.value)
    assert len(model.history_.get("loss", ())) == n_iter
    assert np.isfinite(model.parameters_).all() and np.isfinite(model.loss_)
    model.set_params(learning_rate=1e-3).fit(X)  # and it can be trained again
    assert model.loss_ < np.mean(np.sum(X**2, axis=1))


SOLVERS = {  # every way through the loop
    "lbfgs": LinearAutoencoder(2, random_state=0),
    "alternating": LinearAutoencoder(2, solver="alternating", random_state=0),
    "tied": TiedAutoencoder(2, random_state=0),
    "mlp": Autoencoder(2, batch_size=8, **SMALL),
    "mlp-full-batch": Autoencoder(2, solver="lbfgs", activation="tanh", **SMALL),
    "vae-linear": LinearVAE(2, random_state=0),
    "vae-early-stopping": VAE(2, early_stopping=True, **SMALL),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_interrupted_model_is_usable_and_its_parameters_go_with_its_history(name, monkeypatch):
    X = np.random.default_rng(0).standard_normal((40, 5)) @ np.diag([1, 2, 3, 4, 5]) + 1
    model = copy.deepcopy(SOLVERS[name]).set_params(max_iter=100)
    original, parameters = model.loss_and_gradient, []

    def impatient(*args):
        parameters.append(model.parameters_.copy())
        if len(parameters) == 13:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(model, "loss_and_gradient", impatient)
    with pytest.warns(ConvergenceWarning, match=rf"{type(model).__name__} was interrupted after"):
        assert model.fit(X) is model
    monkeypatch.undo()

    losses = model.history_["loss"]
    assert model.n_iter_ == len(losses) > 1
    assert np.isfinite(model.reconstruct(X)).all()
    if name == "vae-early-stopping":
        assert model.loss_ == losses[np.argmin(model.history_["validation_loss"])]
    else:
        assert model.loss_ == losses[-1]
    if name == "mlp":  # the epoch's parameters, not those of the batch that was cut short
        assert (model.parameters_ == parameters[5 * len(losses)]).all()
    elif name != "vae-early-stopping":  # the loss can be measured again
        samples = X if name in ("mlp-full-batch", "vae-linear") else X - model.mean_
        # rounding: the loss was that of another matrix with the same second moments
        assert original(samples)[0] == pytest.approx(model.loss_, rel=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        LinearAutoencoder(2, max_iter=3),
        LinearAutoencoder(2, solver="alternating", max_iter=3),
        Autoencoder(2, solver="lbfgs", max_iter=3),
        LinearVAE(2, max_iter=3),
    ],
)
def test_full_batch_solvers_say_so_when_they_stop_early(model):
    X = np.random.default_rng(0).standard_normal((40, 5))
    with pytest.warns(ConvergenceWarning, match=f"{type(model).__name__} stopped at max_iter=3"):
        model.fit(X)


# --- progress -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")  # 40 steps
@pytest.mark.parametrize("name", SOLVERS)
def test_verbose_shows_a_bar_on_stderr_and_silence_is_silent(name, capsys):
    X = np.random.default_rng(0).standard_normal((40, 5)) @ np.diag([1, 2, 3, 4, 5])
    model = copy.deepcopy(SOLVERS[name])
    model.set_params(max_iter=1000 if isinstance(model, LinearAutoencoder) else 40).fit(X)
    assert capsys.readouterr() == ("", "")
    quiet = model.parameters_.copy()
    model.set_params(verbose=True).fit(X)
    out, err = capsys.readouterr()
    assert out == ""
    assert type(model).__name__ in err and f"{model.n_iter_}/" in err
    assert "loss" in err
    np.testing.assert_array_equal(model.parameters_, quiet)  # looking changes nothing


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
def test_the_bar_of_what_goes_on_begins_where_the_last_one_ended(capsys, tmp_path):
    X = np.random.default_rng(0).standard_normal((40, 5))
    model = Autoencoder(2, verbose=True, random_state=0)
    for part in (1, 2, 3):
        model.partial_fit(X)
        bar = capsys.readouterr().err
        assert f"{part - 1}/{part}" in bar and f"{part}/{part}" in bar and "loss" in bar

    class Dies(Autoencoder):
        steps = 5  # an epoch each

        def loss_and_gradient(self, X, rng=None):
            Dies.steps -= 1
            if not Dies.steps:
                raise RuntimeError
            return super().loss_and_gradient(X, rng)

    model = Dies(2, max_iter=8, verbose=True, random_state=0)
    with pytest.raises(RuntimeError):
        model.fit(X, checkpoint=tmp_path / "run.npz", checkpoint_every=2)
    assert "4/8" in capsys.readouterr().err
    model.fit(X, checkpoint=tmp_path / "run.npz")
    bar = capsys.readouterr().err
    assert "4/8" in bar and "8/8" in bar and "0/8" not in bar


def test_a_loss_under_way_is_not_compared_with_its_final_form():
    """β warms up, so the loss rises at first; nothing before the last step counts as a best."""
    X = np.random.default_rng(0).standard_normal((40, 4))
    model = VAE(
        2, beta=8.0, beta_warmup=15, n_iter_no_change=5, max_iter=60, tol=0.02, random_state=0
    ).fit(X)
    assert model.n_iter_ > 15 + 5
    weights = []

    class Spy(VAE):
        def loss_and_gradient(self, X, rng=None):
            weights.append(self._beta_factor)
            return super().loss_and_gradient(X, rng)

    Spy(2, beta_warmup=3, max_iter=6, batch_size=40, random_state=0).fit(X)
    assert weights == [0.25, 0.5, 0.75, 1, 1, 1]
    with pytest.warns(
        ConvergenceWarning, match="0 epochs"
    ):  # and whatever ends training, β counts in full again

        class Interrupted(VAE):
            def loss_and_gradient(self, X, rng=None):
                raise KeyboardInterrupt

        interrupted = Interrupted(2, beta_warmup=3, max_iter=6, random_state=0)
        interrupted.fit(X)
    assert interrupted._beta_factor == 1


def test_a_loss_that_stands_still_is_no_improvement_for_tol_0_either():
    model = run(ScriptedModel([3.0] * 20), numbered(5), max_iter=20, n_iter_no_change=4)
    assert len(model.history) == 1 + 4


def test_of_equally_good_epochs_the_first_is_kept():
    model = run(
        scripted_validation([9, 4, 4, 4]), numbered(4), optimizer=COUNT, validation_fraction=0.5,
        max_iter=4,
    )  # fmt: skip
    assert model.parameters_ == [2] and model.history.kept == 1


@pytest.mark.parametrize("n, fraction, n_held_out", [(8, 0.01, 1), (8, 0.25, 2), (8, 0.99, 7)])
def test_as_many_rows_are_held_out_as_the_fraction_says_but_not_none_and_not_all(
    n, fraction, n_held_out
):
    model = run(
        MeanModel(3), numbered(n), batch_size=n, validation_fraction=fraction, max_iter=1,
    )  # fmt: skip
    assert [len(batch) for batch in model.batches] == [n - n_held_out, n_held_out]


@pytest.mark.parametrize("model", [
    Autoencoder(2, n_iter_no_change=3), VAE(2, n_iter_no_change=3),
    SparseAutoencoder(2, n_iter_no_change=3), LinearAutoencoder(2, solver="adam", max_iter=200),
    SparseCoding(2),
])  # fmt: skip
def test_models_stop_as_many_epochs_after_the_last_improvement_as_they_say(model):
    X = np.random.default_rng(0).standard_normal((100, 4))  # 200 steps are 2 epochs
    model = copy.deepcopy(model).set_params(tol=0.9999, random_state=0)
    if hasattr(model, "n_iter_no_change"):
        model.set_params(batch_size=1)
    model.fit(X)
    patience = {LinearAutoencoder: 100, SparseCoding: 10}.get(type(model), 3)
    assert model.n_iter_ == 1 + patience  # no epoch divides the loss by 10,000


def test_what_none_stands_for():
    """As the docstrings say."""
    X = np.random.default_rng(0).standard_normal((20, 4))
    for model, params in [
        (LinearAutoencoder(2, solver="adam", max_iter=5), {"learning_rate": 0.003}),
        (LinearAutoencoder(2, solver="sgd", max_iter=5), {"learning_rate": 0.1}),
        (Autoencoder(2, hidden_layer_sizes=(), solver="lbfgs"), {"tol": 1e-6}),
        (Autoencoder(2, hidden_layer_sizes=(3,), learning_rate=0.1), {"tol": 1e-5}),
        (Autoencoder(2, hidden_layer_sizes=(), tol=0.0, n_iter_no_change=999), {"max_iter": 200}),
        (SparseAutoencoder(2, max_iter=5), {"sparsity": 0.3}),
        (SparseAutoencoder(2, max_iter=5, penalty="kl"), {"sparsity": 0.05}),
    ]:
        default = model.set_params(random_state=0).fit(X)
        told = copy.deepcopy(default).set_params(**params).fit(X)
        np.testing.assert_array_equal(default.parameters_, told.parameters_)
        np.testing.assert_array_equal(default.history_["loss"], told.history_["loss"])


def test_tol_decides_when_full_batch_training_of_a_deep_model_ends():
    X = np.random.default_rng(0).standard_normal((20, 4))
    model = Autoencoder(2, hidden_layer_sizes=(), solver="lbfgs", random_state=0)
    n_iter = [model.set_params(tol=tol).fit(X).n_iter_ for tol in (1e-1, 1e-4, 1e-8)]
    assert n_iter[0] < n_iter[1] < n_iter[2]


def test_error_of_a_diverged_training_says_what_is_kept():
    with pytest.raises(TrainingDiverged, match="from before that epoch are kept"):
        run(ScriptedModel([np.nan]), numbered(5))


@pytest.mark.parametrize("beta_warmup", [0, 5])
def test_patience_begins_with_the_first_epoch_at_full_beta(beta_warmup):
    X = np.random.default_rng(0).standard_normal((100, 4))
    model = VAE(
        2, beta_warmup=beta_warmup, n_iter_no_change=3, tol=0.9999, batch_size=1, random_state=0
    ).fit(X)
    assert model.n_iter_ == beta_warmup + 1 + 3


@pytest.mark.parametrize("name", ["lbfgs", "alternating"])
def test_warnings_point_to_the_line_that_called(name):
    X = np.random.default_rng(0).standard_normal((40, 5))
    model = copy.deepcopy(SOLVERS[name]).set_params(max_iter=2)
    for method in (model.fit, model.partial_fit):
        with pytest.warns(ConvergenceWarning) as record:
            method(X)
        assert record[0].filename == __file__


def test_the_warning_of_mean_shift_points_to_the_line_that_called():
    with pytest.warns(ConvergenceWarning) as record:
        denoising.mean_shift(np.tanh, [[1.0]], max_iter=1)
    assert record[0].filename == __file__


# --- what is said at the end ------------------------------------------------------------------


@pytest.mark.parametrize("n_rows, epochs", [(20, 200), (100, 67), (1000, 7), (10_000, 3)])
def test_patience_is_two_hundred_steps_at_least(n_rows, epochs):
    """An epoch of a few steps is no evidence: on small data patience counts steps."""
    X = np.random.default_rng(0).standard_normal((n_rows, 2))
    model = Autoencoder(
        1, hidden_layer_sizes=(), n_iter_no_change=3, tol=0.9999, batch_size=34, max_iter=201,
        random_state=0,
    ).fit(X)  # fmt: skip
    assert model.n_iter_ == 1 + max(3, epochs)
    assert model.set_params(n_iter_no_change=None, max_iter=250).fit(X[:100]).n_iter_ == 250


def standardised_flowers():
    """Three clouds of 50 rows and 4 columns each, of unit variance: as small as tables come."""
    rng = np.random.default_rng(0)
    centres = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    X = np.repeat(centres, 50, axis=0) + [0.5, 0.3, 0.4, 0.2] * rng.standard_normal((150, 4))
    return (X - X.mean(axis=0)) / X.std(axis=0)


def test_a_vae_with_defaults_does_not_stop_by_luck_on_a_small_table():
    X = standardised_flowers()
    null = 0.5 * 4 * (np.log(2 * np.pi) + 1)
    for seed in range(20):
        assert VAE(2, random_state=seed).fit(X).loss_ < null - 0.2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("model, X", [
    (Autoencoder(1, hidden_layer_sizes=(5,), activation="tanh", max_iter=20), "far"),
    (Autoencoder(1, loss="bernoulli", max_iter=2, learning_rate=1e-6), "bits"),
    (Autoencoder(1, max_iter=20), "equal"),
    (Autoencoder(2, max_iter=20), "tiny"),
    (VAE(1, max_iter=20), "small"),
    (VAE(2, max_iter=20), "small"),
    (SparseAutoencoder(4, sparsity=1e3, max_iter=5), "small"),
], ids=repr)  # fmt: skip
def test_what_is_no_better_than_the_mean_is_said_to_be(model, X):
    rng = np.random.default_rng(0)
    data = {
        "far": rng.standard_normal((50, 3)) * [1, 2, 3] + 50,
        "bits": (rng.random((50, 3)) > 0.3).astype(float),
        "equal": np.tile([1.0, 2.0, 3.0], (9, 1)),
        "tiny": 1e-8 * rng.standard_normal((50, 3)),
        "small": 0.1 * rng.standard_normal((50, 3)),
    }[X]
    model = copy.deepcopy(model).set_params(random_state=0)
    with pytest.warns(ConvergenceWarning, match="no better than to answer every .*mean: its loss"):
        model.fit(data)


@pytest.mark.filterwarnings("error")
def test_what_the_mean_costs_is_what_a_model_without_a_code_loses():
    """A decoder of bias alone, at its best: the mean, or its logits."""
    rng = np.random.default_rng(0)
    X = rng.random((30, 3)) * [1, 0.5, 0.2]
    for loss, answer in (
        ("squared_error", lambda m: m),
        ("bernoulli", lambda m: np.log(m / (1 - m))),
    ):
        model = Autoencoder(1, hidden_layer_sizes=(), loss=loss)
        model.initialise(X)
        model.parameters_[...] = 0
        model.decoder_.layers[0].bias[...] = answer(X.mean(axis=0))
        assert model._null_loss() == pytest.approx(model.loss_and_gradient(X)[0], rel=1e-12)
        assert np.abs(model.decoder_.layers[0].grad_bias).max() < 1e-15
    for noise_variance in (0.3, "learned"):
        vae = VAE(1, hidden_layer_sizes=(), noise_variance=noise_variance)
        vae.initialise(X)
        for layer in (*vae.encoder_.layers, *vae.decoder_.layers):
            layer.weight.fill(0), layer.bias.fill(0)
        vae.decoder_.layers[0].bias[...] = X.mean(axis=0)
        loss, gradient = vae.loss_and_gradient(X, rng)
        assert vae._null_loss() == pytest.approx(loss, rel=1e-12)
        if noise_variance == "learned":
            assert abs(gradient[-1]) < 1e-12


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise_variance", [0.1, 100.0, "learned"])
def test_what_was_found_exactly_is_not_called_no_better_than_the_mean(noise_variance):
    """Not where it is better, nor where the mean is the best there is."""
    X = np.random.default_rng(0).standard_normal((50, 4)) @ np.diag([3, 2, 1, 1]) + 5
    model = LinearVAE(2, noise_variance=noise_variance, random_state=0).fit(X)
    assert model.loss_ < model._null_loss() + 1e-6
    assert (model.active_units(X) == 0) == (noise_variance == 100)
    LinearVAE(2, noise_variance=100.0, beta=2.0, solver="adam", max_iter=400, random_state=0).fit(
        X
    )


@pytest.mark.filterwarnings("error")
def test_running_out_of_epochs_while_the_loss_still_falls_is_said():
    X = np.random.default_rng(0).standard_normal((200, 5)) @ np.diag([3, 2, 1, 1, 1])
    for model in (
        Autoencoder(2, max_iter=9), VAE(2, max_iter=10, learning_rate=0.01),
        SparseAutoencoder(5, max_iter=9),
        LinearAutoencoder(2, solver="adam", max_iter=20),
        SparseCoding(5, max_iter=2, sparsity=0.1),
    ):  # fmt: skip
        words = f"{type(model).__name__} stopped at max_iter={model.max_iter} while its loss was"
        with pytest.warns(ConvergenceWarning, match=words):
            model.set_params(random_state=0).fit(X)
    # but not where it had come to rest
    Autoencoder(2, hidden_layer_sizes=(), learning_rate=0.05, max_iter=300, n_iter_no_change=None,
                random_state=0).fit(X)  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_a_start_far_off_does_not_hide_that_the_loss_still_falls():
    X = np.random.default_rng(0).standard_normal((200, 2)) @ [[20, 10, 5, 30], [0, 10, 10, -10]]
    model = VAE(1, max_iter=200, random_state=0)
    model.initialise(X)
    with pytest.warns(ConvergenceWarning, match="VAE stopped at max_iter=200 while its loss was"):
        model.fit(X)
    loss = model.history_["loss"]
    assert loss[0] > 100 * model._null_loss() > 100 * loss[-1]


def monitor_of(curve):
    monitor = Monitor(np.zeros(1), curves={"loss": curve})
    monitor.max_iter = len(curve)
    return monitor


def test_noise_around_the_null_is_no_fall():
    rng, n_said = np.random.default_rng(0), 0
    for _ in range(200):
        n_said += bool(monitor_of(10 + 0.1 * rng.standard_normal(100)).unfinished(10.0))
    assert n_said < 20  # of 200: beyond two standard errors is one in 44
    falling = 10 - 0.01 * np.arange(100) + 0.01 * rng.standard_normal(100)
    assert monitor_of(falling).unfinished(10.0) and monitor_of(falling).unfinished()
    for last, is_said in ((0.008, False), (0.0125, True)):  # of all that it has fallen
        curve = np.repeat([1.0, last, 0.0], [1, 89, 10])
        assert bool(monitor_of(curve).unfinished()) == is_said
    # the null counts if training began above it and has come below, and not otherwise
    for null, start, is_said in ((2.0, 1e6, True), (0.5, 1e6, False), (np.inf, 1e6, False)):
        curve = np.concatenate([[start], np.linspace(1.5, 1.0, 99)])
        assert bool(monitor_of(curve).unfinished(null)) == is_said


@pytest.mark.filterwarnings("error")
def test_samples_far_from_zero_are_said_to_be():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)) @ np.diag([3, 1, 0.1]) + 100
    settings = {"max_iter": 300, "n_iter_no_change": None, "random_state": 0}
    with pytest.warns(ConvergenceWarning, match="Autoencoder was trained on .* take it off first"):
        Autoencoder(1, **settings).fit(X.astype(np.float32))
    Autoencoder(1, hidden_layer_sizes=(), learning_rate=0.05, **settings).fit(X - 100)
    for model in (SparseAutoencoder(3), LinearVAE(1), LinearAutoencoder(1)):  # take it off
        model.set_params(random_state=0).fit(X)
    # nor where it cannot be taken off: what counts is a verdict on a model that has learned a lot
    bits = np.ones((200, 3))
    bits[0, 0] = 0
    for loss, is_said in (("squared_error", True), ("bernoulli", False)):
        model = Autoencoder(1, loss=loss)
        model.initialise(bits)
        model.loss_ = 0.0
        assert bool(model._verdict(monitor_of([1.0, 0.0] + 18 * [0.0]))) == is_said


@pytest.mark.filterwarnings("error")
def test_sparse_coding_with_no_codes_says_so():
    X = 1e-9 * np.random.default_rng(0).standard_normal((40, 3))
    with pytest.warns(ConvergenceWarning, match="SparseCoding .* sparsity=0.3 is too much"):
        SparseCoding(4, random_state=0).fit(X)
    SparseCoding(4, random_state=0).fit(np.ones((9, 3)))  # the mean is all that there is


def test_a_log_variance_that_is_held_has_no_gradient():
    X = np.random.default_rng(0).standard_normal((6, 3))
    model = VAE(2, hidden_layer_sizes=(4,), activation="tanh", random_state=0)
    model.initialise(X)
    last = model.encoder_.layers[-1]
    for held, free in ((40.0, 29.0), (-40.0, -29.0)):
        last.bias[2:] = held, free
        model.loss_and_gradient(X)
        gradients = np.vstack([last.grad_weight, last.grad_bias])
        assert (gradients[:, 2] == 0).all() and (gradients[:, [0, 1, 3]] != 0).all()


@pytest.mark.filterwarnings("error")
def test_the_variance_of_a_code_cannot_run_away():
    """Pixels up to 255: once the loss was 1e70, and nothing was said."""
    X = 255 * np.random.default_rng(0).random((200, 64))
    model = VAE(2, max_iter=20, random_state=0)
    with pytest.warns(ConvergenceWarning, match="no better than .*scale the data"):
        model.fit(X)
    assert np.abs(model.encode(X)[1]).max() <= 30 and model.loss_ < 1e15
    # what lies beyond has no gradient, and the rest has its own
    assert (
        gradient_check(VAE(2, hidden_layer_sizes=(3,), activation="tanh"), X[:5, :4]).error < 1e-7
    )


def test_l_bfgs_says_so_where_a_kink_of_relu_has_stopped_it():
    """There the gradient is far from small and no step leads on: it is no rounding."""
    X = np.random.default_rng(0).standard_normal((60, 3))
    n_stopped = 0
    for seed in range(scaled(8, least=3)):
        model = Autoencoder(1, hidden_layer_sizes=(8,), solver="lbfgs", random_state=seed)
        model.initialise(X)
        start = np.abs(model.loss_and_gradient(X)[1]).max()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.fit(X)
        left = np.abs(model.loss_and_gradient(X)[1]).max() / start
        assert left <= 2e-6 or any("before it met tol" in str(w.message) for w in said)
        n_stopped += left > 2e-6
    assert n_stopped > 0


@pytest.mark.filterwarnings("error")
def test_a_vae_without_hidden_layers_names_the_exact_one():
    X = np.random.default_rng(0).standard_normal((40, 3))
    with pytest.warns(ConvergenceWarning, match="VAE has linear networks .* LinearVAE minimises"):
        VAE(1, hidden_layer_sizes=(), max_iter=2, random_state=0).fit(X)
