"""Models in files, and trainings that survive what happens to them."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import random
import signal
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_architecture import Skip
from test_estimators import MODELS, X, every_model, new, outputs

import nanoae
from nanoae import (
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    ConvergenceWarning,
    Convolutional,
    GaussianNoise,
    LearnedISTA,
    LinearAutoencoder,
    LinearVAE,
    MaskedAutoencoder,
    MaskingNoise,
    NotFittedError,
    Recurrent,
    SaltAndPepper,
    SparseAutoencoder,
    SparseCoding,
    TiedAutoencoder,
    Transformer,
    persistence,
)
from nanoae.denoising import Corruption
from nanoae.models import sparse
from nanoae.models.base import BaseAutoencoder
from nanoae.network import Architecture, FullyConnected
from nanoae.upgrade import ADDED, from_format_1, with_added

IN_PARTS = [name for name in MODELS if name != "linear-adam" or MODELS[name].batch_size is None]


# --- files -------------------------------------------------------------------------------------


def same(a, b):
    """Whether two trees of dicts and arrays are equal to the last bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.random.Generator):
        return same(a.bit_generator.state, b.bit_generator.state)
    return a == b


@every_model
def test_a_loaded_model_is_the_model_and_learns_on_as_it_would(name, tmp_path):
    model = new(name).fit(X)
    model.save(tmp_path / "model.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
    loaded = nanoae.load(tmp_path / "model.npz")
    assert type(loaded) is type(model) and repr(loaded) == repr(model)
    assert same(loaded.__getstate__(), model.__getstate__())
    assert outputs(loaded).tobytes() == outputs(model).tobytes()
    if name in IN_PARTS:
        for _ in range(2):
            model.partial_fit(X[:7]), loaded.partial_fit(X[:7])
        assert outputs(loaded).tobytes() == outputs(model).tobytes()
    assert outputs(loaded.fit(X)).tobytes() == outputs(model.fit(X)).tobytes()


def arrays_in(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        return [array for part in tree for array in arrays_in(part)]
    return [tree] if isinstance(tree, np.ndarray) else []


@pytest.mark.filterwarnings("ignore::nanoae.ConvergenceWarning")
@pytest.mark.parametrize("model", [
    LinearAutoencoder(2), VAE(2, noise_variance="learned"), LinearVAE(2, noise_variance="learned"),
    SparseAutoencoder(2), MaskedAutoencoder(),
], ids=lambda model: type(model).__name__)  # fmt: skip
def test_a_state_has_no_view_of_the_parameters(model):
    """One that was copied would no longer be a view, and so is built again."""
    model = copy.deepcopy(model).set_params(max_iter=2, random_state=0).fit(X)
    arrays = arrays_in(model.__getstate__())
    assert any(np.array_equal(array, model.parameters_) for array in arrays)
    assert not any(np.shares_memory(array, model.parameters_) for array in arrays)


@pytest.mark.parametrize("name", persistence.BIT_GENERATORS)
def test_a_generator_for_random_state_is_kept_with_its_state(name, tmp_path):
    rng = np.random.Generator(getattr(np.random, name)(5))
    model = LinearVAE(2, solver="adam", max_iter=2, random_state=rng).fit(X)
    model.save(tmp_path / "model.npz")
    loaded = nanoae.load(tmp_path / "model.npz")
    assert (loaded.sample(3) == model.sample(3)).all()


def test_set_params_after_fit_is_kept_beside_what_the_networks_were_built_with(tmp_path):
    model = Autoencoder(2, max_iter=1, random_state=0).fit(X).set_params(n_components=3)
    model.save(tmp_path / "model.npz")
    loaded = nanoae.load(tmp_path / "model.npz")
    assert loaded.n_components == 3 and loaded.transform(X).shape == (len(X), 2)


def test_a_class_of_ones_own_is_found(tmp_path):
    class Mine(LinearAutoencoder):
        pass

    Mine(2, random_state=0).fit(X).save(tmp_path / "model.npz")
    assert type(nanoae.load(tmp_path / "model.npz")) is Mine


def test_only_a_fitted_model_can_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        VAE().save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_what_no_file_can_hold_is_named(tmp_path):
    class Mine(LinearAutoencoder):
        pass

    model = Mine(2).fit(X)
    model.callback = print
    with pytest.raises(TypeError, match=r"state\.callback cannot be written to a file: <built-in"):
        model.save(tmp_path / "model.npz")


def test_a_writing_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    LinearAutoencoder(2, random_state=0).fit(X).save(path)
    before = path.read_bytes()

    def disk_full(file, **arrays):
        file.write(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="No space"):
        LinearAutoencoder(1, random_state=0).fit(X).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "none" / "model.npz"
    with pytest.raises(FileNotFoundError, match="folder that does not exist") as error:
        LinearAutoencoder(2, random_state=0).fit(X).save(path)
    assert str(path) in str(error.value)


def test_samples_are_no_model(tmp_path):
    path = tmp_path / "samples.npz"
    np.savez(path, X=X)
    with pytest.raises(ValueError, match=r"no file of a nanoae model.*lacks the entry 'nanoae'"):
        nanoae.load(path)


def file_of(model):
    """The bytes of a saved model."""
    buffer = io.BytesIO()
    tree, arrays = model._to_tree(), {}
    text = json.dumps({"format": 2, "tree": persistence._flatten(tree, "", arrays)})
    np.savez(buffer, nanoae=np.frombuffer(text.encode(), np.uint8), **arrays)
    return buffer.getvalue()


TINY = {"max_iter": 2, "random_state": 0}
SMALL = Autoencoder(1, hidden_layer_sizes=(2,), **TINY).fit(X)
GOOD = file_of(SMALL)


def changed(change):
    """The file of `SMALL` after a change to its tree."""
    arrays = {}
    tree = persistence._flatten(SMALL._to_tree(), "", arrays)
    header = {"format": 2, "tree": tree}
    change(header, arrays)
    buffer = io.BytesIO()
    np.savez(buffer, nanoae=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def to(*keys, value):
    """A change that sets one entry of the header."""

    def change(header, arrays):
        place = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return changed(change)


def array(name, value):
    return changed(lambda header, arrays: arrays.update({name: value}))


class Harmful:
    def __reduce__(self):
        return (print, ("code from a file was run",))


def with_objects():
    buffer = io.BytesIO()
    np.savez(buffer, nanoae=np.array([Harmful()], dtype=object))
    return buffer.getvalue()


def with_huge_shape():
    """A header that promises 8 EB."""
    entry = io.BytesIO()
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000,), }"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    entry.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("nanoae.npy", entry.getvalue())
    return buffer.getvalue()


def bomb():
    """A megabyte of zeros in a few bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, nanoae=np.zeros(2**20, np.uint8))
    return buffer.getvalue()


STATE = ("tree", "state")
BAD_FILES = {
    "empty": (b"", "damaged"),
    "text": (b"n_components: 2\n", "damaged"),
    "a pickle": (pickle.dumps(SMALL), "damaged"),
    "cut short": (GOOD[:-30], "damaged"),
    "a flipped bit": (GOOD[:200] + bytes([GOOD[200] ^ 1]) + GOOD[201:], "damaged"),
    "another npz": ((lambda b: (np.savez(b, x=X), b.getvalue())[1])(io.BytesIO()), "damaged"),
    "objects": (with_objects(), "an array of object"),
    "a promise of 8 EB": (with_huge_shape(), "damaged"),
    "a zip bomb": (bomb(), "claim to be larger than the file"),
    "a later format": (to("format", value=3), "has format 3, but this nanoae reads 1 and 2"),
    "a format in words": (to("format", value="one"), "has format 'one'"),
    "no dict": (to("tree", value=[1]), "format"),
    "no state": (to("tree", value={"class": "VAE"}), "usable"),
    "another class": (to("tree", "class", value="VAE"), "parameters of VAE"),
    "an unknown class": (to("tree", "class", value="os"), "'os', which is none of Adv"),
    "a list for a class": (to("tree", "class", value=["VAE"]), "usable"),
    "a missing parameter": (
        changed(lambda header, _: header["tree"]["state"].pop("solver")),
        "parameters of Autoencoder",
    ),
    "an impossible parameter": (
        to(*STATE, "_fitted_params", "n_components", value=0), "at least 1",
    ),
    "a parameter of another kind": (to(*STATE, "hidden_layer_sizes", value=3), "tuple"),
    "a width of 1e15": (
        to(*STATE, "_fitted_params", "hidden_layer_sizes", value={"tuple": [10**15]}), "usable",
    ),
    "no features": (to(*STATE, "n_features_in_", value=0), "at least 1"),
    "other features": (to(*STATE, "n_features_in_", value=7), "parameters do not fit"),
    "one parameter": (array("state._parameters", np.ones(1)), "1 parameters do not fit"),
    "NaN": (array("state._parameters", SMALL.parameters_ * np.nan), "NaN"),
    "infinity": (array("state._parameters", SMALL.parameters_ * np.inf), "NaN"),
    "an array that is not there": (to(*STATE, "_parameters", value={"array": "none"}), "damaged"),
    "a method": (to(*STATE, "transform", value=1), "replace a method"),
    "an optimizer of another size": (
        array("state._training_state.optimizer.m", np.zeros(3)), "optimizer's state does not fit",
    ),
    "an unknown generator": (
        to(*STATE, "random_state", value={"generator": {"bit_generator": "RandomState"}}),
        "unknown random generator",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_not_one_of_ours_is_one_clear_value_error(kind, tmp_path, capsys):
    content, words = BAD_FILES[kind]
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError) as refusal:
        nanoae.load(path)
    message = str(refusal.value)
    assert words in message and str(path) in message and message.endswith(".")
    assert "\n" not in message
    assert capsys.readouterr().out == ""  # no code was run


def test_the_unchanged_file_of_these_tests_is_good(tmp_path):
    for content in (GOOD, changed(lambda header, arrays: None)):
        (tmp_path / "model.npz").write_bytes(content)
        assert same(nanoae.load(tmp_path / "model.npz").__getstate__(), SMALL.__getstate__())


def test_no_file_and_a_folder_are_what_the_system_says_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        nanoae.load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        nanoae.load(tmp_path)


UNHARMED = [
    SMALL,
    VAE(1, architecture=Convolutional((5,), (2,)), noise_variance="learned", **TINY).fit(X),
    Autoencoder(1, architecture=Skip(2), corruption=MaskingNoise(0.3), **TINY).fit(X),
    Autoencoder(1, architecture=Transformer(5, width=2, n_heads=1, n_blocks=1), **TINY).fit(
        [X[:4], X[4:6]]
    ),
    VAE(
        1, architecture=Recurrent(width=2, vocabulary_size=3), likelihood="categorical", **TINY
    ).fit([[0, 2, 1], [1, 1]]),
    ContractiveAutoencoder(1, hidden_layer_sizes=(2,), n_probes=1, **TINY).fit(X),
    MaskedAutoencoder(
        width=2, n_blocks=1, decoder_width=2, n_heads=1, **TINY
    ).fit(X),
    AdversarialAutoencoder(
        2, prior="ring", hidden_layer_sizes=(2,), discriminator=(2,), **TINY
    ).fit(X),
    LearnedISTA(2, dictionary=np.eye(5)[:, :2], sparsity=0.1, **TINY).fit(X),
]  # fmt: skip
FILES = [(file_of(model), model) for model in UNHARMED]


@st.composite
def mutated(draw):
    """A good file with one to four accidents, and the model that was in it."""
    whole, model = draw(st.sampled_from(FILES))
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["flip", "byte", "cut", "drop", "insert", "repeat", "zero"]))
        span = draw(st.integers(1, 64))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at:]
        elif kind == "drop":
            del content[at : at + span]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=span))
        elif kind == "repeat":
            content[at:at] = content[at : at + span]
        elif kind == "zero":
            content[at : at + span] = bytes(len(content[at : at + span]))
    return bytes(content), model


def check_mutated(content, unharmed, path):
    """A damaged file gives the model as it was, or one ValueError, and nothing else."""
    path.write_bytes(content)
    try:
        model = nanoae.load(path)
    except ValueError as refusal:
        assert str(path) in str(refusal)
        return False
    assert same(model.__getstate__(), unharmed.__getstate__())
    return True


@given(mutated())
@settings(max_examples=300)
def test_no_mutated_file_does_anything_but_load_or_be_refused(tmp_path_factory, file):
    check_mutated(*file, tmp_path_factory.getbasetemp() / "mutated.npz")


@pytest.mark.slow
def test_no_mutated_file_of_twenty_thousand_does_anything_else(tmp_path):
    loaded = []

    @given(mutated())
    @settings(max_examples=20_000)
    def check(file):
        loaded.append(check_mutated(*file, tmp_path / "mutated.npz"))

    check()
    print(f"{len(loaded)} mutated files: {sum(loaded)} loaded as they were, the others refused")
    assert len(loaded) >= 10_000 and sum(loaded) < len(loaded) / 4


def places(tree, above=()):
    """The way to each value of a tree of dicts and lists."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in parts:
        yield (*above, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*above, key))


@st.composite
def rewritten(draw):
    """A file without a scratch, in which one value of the header is another."""
    arrays = dict(np.load(io.BytesIO(draw(st.sampled_from(FILES))[0])))
    header = json.loads(arrays.pop("nanoae").tobytes())
    *way, last = draw(st.sampled_from([*places(header)]))
    part = header
    for key in way:
        part = part[key]
    others = [None, True, -1, 0, 7, 2.5, math.nan, "x", [], {}, {"tuple": [3]}, {"array": "x"}]
    part[last] = draw(st.sampled_from(others))
    buffer = io.BytesIO()
    np.savez(buffer, nanoae=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return buffer.getvalue()


@given(rewritten())
@settings(max_examples=400)
def test_a_value_that_was_changed_by_hand_is_taken_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "rewritten.npz"
    path.write_bytes(content)
    try:
        model = nanoae.load(path)
    except ValueError as refusal:
        assert str(path) in str(refusal)
    else:
        assert np.isfinite(model.parameters_).all()


# --- files of the first version ------------------------------------------------------------------

OLD = Path(__file__).parent / "files"
OLD_OUTPUTS = np.load(OLD / "version_1_outputs.npz")
OLD_X = nanoae.datasets.make_gaussian(60, [4.0, 2.0, 1.0, 0.5], random_state=0) + 3
OLD_CLASSES = {
    "autoencoder": Autoencoder, "vae": VAE, "linear_vae": LinearVAE, "linear": LinearAutoencoder,
    "sparse_coding": SparseCoding, "tied": TiedAutoencoder,
    "sparse_autoencoder": SparseAutoencoder, "sparse_kl": SparseAutoencoder,
}  # fmt: skip


@pytest.mark.parametrize("name", OLD_CLASSES)
def test_files_of_the_first_version_still_load_and_learn_on(name, tmp_path):
    model = nanoae.load(OLD / f"version_1_{name}.npz")
    assert type(model) is OLD_CLASSES[name]
    exact = {"rtol": 1e-10, "atol": 1e-10} if model.parameters_.dtype == np.float64 else {
        "rtol": 1e-5, "atol": 1e-5,
    }  # fmt: skip
    np.testing.assert_allclose(model.transform(OLD_X[:5]), OLD_OUTPUTS[f"{name}.codes"], **exact)
    np.testing.assert_allclose(model.reconstruct(OLD_X[:5]), OLD_OUTPUTS[f"{name}.x_hat"], **exact)
    assert model.n_samples_seen_ == 60
    model.save(tmp_path / "model.npz")  # as a file of the present version
    again = nanoae.load(tmp_path / "model.npz")
    assert again.transform(OLD_X).tobytes() == model.transform(OLD_X).tobytes()
    if f"{name}.codes_after_more" in OLD_OUTPUTS:
        model.partial_fit(OLD_X[:20])
        # by L-BFGS the linear ones end at another point of their orbit
        if name not in ("linear", "tied"):
            expected = OLD_OUTPUTS[f"{name}.codes_after_more"]
            np.testing.assert_allclose(model.transform(OLD_X[:5]), expected, **exact)
    new = type(model)(**model.get_params()).set_params(max_iter=3, tol=1e9).fit(OLD_X)
    assert vars(model).keys() <= vars(new).keys()  # nothing is left over from before
    model.set_params(max_iter=3, tol=1e9).fit(OLD_X)


def test_moments_of_the_first_version_are_in_double_precision_whatever_the_model_is_in():
    mean, factor = np.float32([0.1, 0.2]), np.float32([[3.0, 0.0], [0.0, 4.0]])
    params = {"n_components": 1, "solver": "lbfgs"}
    seen = {"n_samples_seen_": 9, "n_features_in_": 2, "mean_": mean, "_factor": factor}
    tree = {"class": "LinearAutoencoder", "state": {**params, "_built_with": params, **seen}}
    moments = from_format_1(tree)["state"]["_moments"]
    assert moments["n"] == 9 and moments["scatter"] == 25
    for kept, saved in ((moments["mean"], mean), (moments["factor"], factor)):
        assert kept.dtype == np.float64 and np.array_equal(kept, saved)


OF_VAE = {"hidden_layer_sizes": (), "activation": "relu", "likelihood": "gaussian",
          "beta_warmup": 3}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "params", "new_name", "new_params"),
    [
        ("VAE", {**OF_VAE, "solver": "auto"}, "LinearVAE", {"solver": "lbfgs"}),
        ("VAE", {**OF_VAE, "solver": "lbfgs"}, "LinearVAE", {"solver": "lbfgs"}),
        *(
            ("VAE", params, "VAE", {**params, "solver": solver, "architecture": None})
            for params, solver in (
                ({**OF_VAE, "solver": "adam"}, "adam"),
                ({**OF_VAE, "solver": "sgd"}, "sgd"),
                ({**OF_VAE, "hidden_layer_sizes": (3,), "solver": "auto"}, "adam"),
                ({**OF_VAE, "likelihood": "bernoulli", "solver": "auto"}, "adam"),
            )
        ),
        ("Autoencoder", {"solver": "sgd"}, "Autoencoder",
         {"solver": "sgd", "architecture": None}),
        ("SparseAutoencoder", {"solver": "auto"}, "SparseAutoencoder", {"solver": "adam"}),
    ],
)  # fmt: skip
def test_what_a_file_of_the_first_version_says_is_said_in_the_words_of_this_one(
    name, params, new_name, new_params
):
    params, new_params = {"n_components": 2, **params}, {"n_components": 2, **new_params}
    state = {
        **params, "_built_with": dict(params), "_training": {"t": 7}, "_kept": 4, "_warmth": 0.5,
        "loss_": 1.5, "n_samples_seen_": 9, "n_features_in_": 2,
    }  # fmt: skip
    upgraded = from_format_1({"class": name, "state": state, "format": 1})
    moments = upgraded["state"].pop("_moments")
    assert upgraded == {
        "class": new_name,
        "state": {
            **new_params, "_fitted_params": new_params, "_training_state": {"t": 7},
            "_kept_epoch": 4, "loss_": 1.5, "n_features_in_": 2,
        },
        "format": 1,
    }  # fmt: skip
    assert (moments["n"], moments["factor"]) == (9, None)
    np.testing.assert_array_equal(moments["mean"], [np.nan, np.nan])
    assert np.isnan(moments["scatter"])


@pytest.mark.parametrize(("solver", "new_solver"), [("auto", "adam"), ("sgd", "sgd")])
def test_and_so_is_what_a_checkpoint_says(solver, new_solver):
    params = {"solver": solver, "hidden_layer_sizes": (3,)}
    state = {**params, "_built_with": params, "n_samples_seen_": 9, "n_features_in_": 2}
    run = {"settings": {"solver": json.dumps(solver), "n": "9", "model": '"?"'}, "seed": 5}
    loop = {"values": np.ones((2, 1)), "best_values": np.zeros((1, 2)), "rounds_since_best": 3,
            "epoch": 8}  # fmt: skip
    tree = {"class": "Autoencoder", "state": state, "run": run, "loop": loop}
    upgraded = from_format_1(tree)
    settings = {"solver": json.dumps(new_solver), "n": "9", "model": '"Autoencoder"'}
    assert upgraded["run"] == {"settings": settings, "seed": 5}
    new = upgraded["loop"]
    assert new.pop("values").tolist() == [1, 1] and new.pop("best_values").tolist() == [0, 0]
    assert new == {"epochs_since_best": 3, "epoch": 8}
    del loop["rounds_since_best"]
    assert "epochs_since_best" not in from_format_1(tree)["loop"]


def test_hyper_parameters_that_have_come_since_are_what_there_was_without_them():
    assert with_added({"n": 3}, {"n", "dropout", "corruption"}) == {"n": 3, **ADDED}
    assert with_added({"n": 3}, {"n"}) == {"n": 3}
    assert with_added({"n": 3, "dropout": 0.5}, {"n", "dropout"}) == {"n": 3, "dropout": 0.5}
    assert ADDED == {"corruption": None, "dropout": 0}


@pytest.mark.parametrize(("name", "model"), [
    ("checkpoint", Autoencoder(
        2, hidden_layer_sizes=(5,), max_iter=8, batch_size=16, random_state=0
    )),
    ("sparse_checkpoint", SparseCoding(6, sparsity=0.5, max_iter=9, random_state=0)),
])  # fmt: skip
def test_checkpoints_of_the_first_version_are_taken_up(name, model, tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes((OLD / f"version_1_{name}.npz").read_bytes())
    assert nanoae.load(path).n_iter_ == 3
    model = copy.deepcopy(model).fit(OLD_X, checkpoint=path)
    expected = OLD_OUTPUTS[f"{name}.codes"]
    np.testing.assert_allclose(model.transform(OLD_X[:5]), expected, rtol=1e-10, atol=1e-10)


# --- checkpoints -------------------------------------------------------------------------------

DATA = np.random.default_rng(1).uniform(size=(60, 6))
SERIES = [x[: 1 + i % 3] for i, x in enumerate(DATA.reshape(60, 3, 2))]  # of unequal length
TOKENS = [np.digitize(x[:, 0], [0.3, 0.6]) for x in SERIES]
EPOCHS = {"batch_size": 16, "max_iter": 12, "n_iter_no_change": 50, "random_state": 0}
TRAININGS = {
    "mlp": Autoencoder(2, hidden_layer_sizes=(4,), **EPOCHS),
    "mlp-sgd": Autoencoder(2, hidden_layer_sizes=(4,), solver="sgd", **EPOCHS),
    "mlp-early-stopping": Autoencoder(
        2, hidden_layer_sizes=(4,), early_stopping=True, learning_rate=0.3, **EPOCHS
    ),
    "vae-warm-up": VAE(2, hidden_layer_sizes=(4,), beta_warmup=7, **EPOCHS),
    "vae-learned": VAE(2, hidden_layer_sizes=(4,), noise_variance="learned", **EPOCHS),
    "linear-batches": LinearAutoencoder(
        2, solver="adam", batch_size=16, max_iter=12, random_state=0
    ),
    "linear-all": LinearAutoencoder(2, solver="sgd", max_iter=12, random_state=0),
    "sparse": SparseAutoencoder(3, n_steps=2, **EPOCHS),
    "sparse-kl": SparseAutoencoder(3, penalty="kl", **EPOCHS),
    "sparse-coding": SparseCoding(4, sparsity=0.1, max_iter=12, tol=0.0, random_state=0),
    "learned-ista": LearnedISTA(4, dictionary=np.eye(6)[:, :4], sparsity=0.1, **EPOCHS),
    "tied": TiedAutoencoder(2, solver="adam", batch_size=16, max_iter=12, random_state=0),
    "vae-linear": LinearVAE(2, solver="adam", batch_size=16, max_iter=12, random_state=0),
    "contractive-probes": ContractiveAutoencoder(
        2, hidden_layer_sizes=(4,), activation="relu", n_probes=1, **EPOCHS
    ),
    "contractive-unit-norm": ContractiveAutoencoder(
        2, hidden_layer_sizes=(4,), decoder="unit-norm", **EPOCHS
    ),
    "masked": MaskedAutoencoder(
        width=4, n_blocks=1, decoder_width=4, n_heads=2, early_stopping=True, **EPOCHS
    ),
    "masked-images": MaskedAutoencoder(
        (3, 2), width=4, n_blocks=1, decoder_width=4, n_heads=2, **EPOCHS
    ),
    "adversarial-mixture": AdversarialAutoencoder(
        2,
        hidden_layer_sizes=(4,),
        prior="mixture",
        discriminator=(5,),
        instance_noise=0.1,
        discriminator_learning_rate=1e-3,
        **EPOCHS,
    ),
    "adversarial-quadratic": AdversarialAutoencoder(
        2, hidden_layer_sizes=(4,), discriminator="quadratic", solver="sgd", **EPOCHS
    ),
    "mmd": AdversarialAutoencoder(
        2, hidden_layer_sizes=(4,), match="mmd", early_stopping=True, **EPOCHS
    ),
}
every_training = pytest.mark.parametrize("name", TRAININGS)

# what these may be given besides, for a few epochs each
FEW = {"max_iter": 5, "batch_size": 32, "random_state": 0}
ARCHITECTURES = {
    "fully-connected": FullyConnected((4,), dropout=0.2),
    "convolutional": Convolutional((3, 2), (3,)),
    "recurrent": Recurrent(2, width=3),
    "transformer": Transformer(2, width=4, n_heads=2, n_blocks=1),
    "residual": Skip(3),
}
TOKENS_ALONE = {"architecture": Recurrent(width=3, vocabulary_size=3, cell="tanh"), **FEW}
VARIANTS = {
    f"{model_class.__name__}-{name}": model_class(2, architecture=architecture, **FEW)
    for model_class in (Autoencoder, VAE, AdversarialAutoencoder)
    for name, architecture in ARCHITECTURES.items()
} | {
    "ContractiveAutoencoder-fully-connected": ContractiveAutoencoder(
        2, architecture=FullyConnected((4,)), decoder="free", **FEW
    ),
    "Autoencoder-tokens": Autoencoder(2, loss="categorical", **TOKENS_ALONE),
    "VAE-tokens": VAE(2, likelihood="categorical", **TOKENS_ALONE),
    "AdversarialAutoencoder-tokens": AdversarialAutoencoder(2, loss="categorical", **TOKENS_ALONE),
}
NOISES = {
    **{type(noise).__name__: {"corruption": noise} for noise in (
        GaussianNoise(0.3), MaskingNoise(0.3), SaltAndPepper(0.3),
    )},
    "dropout": {"dropout": 0.3},
}  # fmt: skip
VARIANTS |= {
    f"{name}-{noise}": copy.deepcopy(TRAININGS[name]).set_params(max_iter=5, **params)
    for name in (
        "mlp", "vae-warm-up", "adversarial-mixture", "contractive-probes", "sparse",
        "learned-ista", "tied", "linear-batches",
    )
    for noise, params in NOISES.items()
    if (name, noise) != ("contractive-probes", "dropout")  # which it refuses
}  # fmt: skip
IN_BATCHES_ALONE = [
    name for name in (TRAININGS | VARIANTS) if name.startswith(("linear-batches", "tied"))
]  # which take no parts


def training(name, **params):
    """A training of one's own that is still to begin."""
    return copy.deepcopy((TRAININGS | VARIANTS)[name]).set_params(**params)


def data_of(name):
    if "tokens" in name:
        return TOKENS
    return SERIES if "recurrent" in name or "transformer" in name else DATA


def public(module, base):
    """Classes to be had from a module that derive from one."""
    classes = {value for value in vars(module).values() if isinstance(value, type)}
    return {found for found in classes if issubclass(found, base) and found is not base}


def test_every_model_and_all_that_it_may_be_given_is_among_the_trainings():
    models = public(nanoae.models, BaseAutoencoder)
    assert {type(model) for model in TRAININGS.values()} == models

    def takers(parameter):
        return {model for model in models if parameter in model._parameter_names()}

    def tried(parameter):
        return {
            (type(model), type(model.get_params().get(parameter)))
            for model in (TRAININGS | VARIANTS).values()
        }

    assert tried("corruption") >= set(product(takers("corruption"), public(nanoae, Corruption)))
    networks = set(product(takers("architecture"), public(nanoae.network, Architecture)))
    of_dense_layers = {ContractiveAutoencoder}, {Convolutional, Recurrent, Transformer}
    assert tried("architecture") >= networks - set(product(*of_dense_layers))  # refused, these
    droppers = {type(model) for name, model in VARIANTS.items() if name.endswith("dropout")}
    assert droppers == takers("dropout") - {ContractiveAutoencoder}  # as is this


class Killed(Exception):
    pass


def killed_after(n_writings, monkeypatch):
    """The next training ends abruptly, right after a writing of its checkpoint."""
    original, count = persistence.write, []

    def write(path, tree):
        original(path, tree)
        count.append(path)
        if len(count) == n_writings:
            raise Killed

    monkeypatch.setattr(persistence, "write", write)


@pytest.mark.parametrize(
    ("name", "every", "n_writings"),
    [
        *((name, *kill) for name in TRAININGS for kill in ((1, 1), (1, 9), (5, 2))),
        *((name, 1, 2) for name in VARIANTS),
    ],
)
def test_a_training_taken_up_ends_as_if_nothing_had_happened(
    name, every, n_writings, tmp_path, monkeypatch
):
    data, whole = data_of(name), training(name).fit(data_of(name))
    path = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": every}
    with monkeypatch.context() as patch:
        killed_after(n_writings, patch)
        with pytest.raises(Killed):
            training(name).fit(data, **path)
    part = nanoae.load(tmp_path / "run.npz")  # a model, too
    assert part.n_iter_ == every * n_writings
    short = training(name, max_iter=part.n_iter_).fit(data)
    assert same(part.parameters_, short.parameters_) and part.loss_ == short.loss_
    again = training(name).fit(data, **path)
    assert same(again.__getstate__(), whole.__getstate__())
    # once it is over, there is nothing left to train
    monkeypatch.setattr(type(again), "loss_and_gradient", None)
    monkeypatch.setattr(sparse, "update_atoms", None)  # what sparse coding trains by
    once_more = training(name).fit(data, **path)
    assert same(once_more.__getstate__(), whole.__getstate__())
    monkeypatch.undo()
    loaded = nanoae.load(tmp_path / "run.npz")
    assert same(loaded.__getstate__(), whole.__getstate__())
    assert same(loaded.reconstruct(data), whole.reconstruct(data))
    if name not in IN_BATCHES_ALONE:
        loaded.partial_fit(data), whole.partial_fit(data)
        assert same(loaded.__getstate__(), whole.__getstate__())


@every_training
def test_a_finished_training_may_be_given_more_epochs(name, tmp_path):
    path = {"checkpoint": tmp_path / "run.npz"}
    training(name).fit(data_of(name), **path)
    whole = training(name, max_iter=20).fit(data_of(name))
    more = training(name, max_iter=20).fit(data_of(name), **path)
    assert same(more.__getstate__(), whole.__getstate__())


@pytest.mark.parametrize("random_state", [None, np.random.default_rng(3)])
def test_without_a_seed_too_it_goes_on_from_where_it_was(random_state, tmp_path, monkeypatch):
    model = VAE(
        2, hidden_layer_sizes=(3,), early_stopping=True, max_iter=6, random_state=random_state
    )
    path = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 2}
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(Killed):
            copy.deepcopy(model).fit(DATA, **path)
    kept = (tmp_path / "run.npz").read_bytes()
    ends = []
    for _ in range(2):
        (tmp_path / "run.npz").write_bytes(kept)
        ends.append(copy.deepcopy(model).fit(DATA, **path).history_)
    assert len(ends[0]["loss"]) == 6 and same(*ends)  # the rows held out, too


def refused(model, words, path, X=DATA, **options):
    """`fit` with this checkpoint is refused, and the file stays as it was."""
    before, state = path.read_bytes() if path.exists() else None, vars(model).copy()
    with pytest.raises(ValueError) as refusal:
        model.fit(X, checkpoint=path, **options)
    for word in words:
        assert word in str(refusal.value)
    assert (path.read_bytes() if path.exists() else None) == before
    assert vars(model) == state


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path, model = tmp_path / "run.npz", TRAININGS["mlp"]
    copy.deepcopy(model).fit(DATA, checkpoint=path)
    other = copy.deepcopy(model).set_params(learning_rate=0.5)
    refused(other, ["learning_rate was 0.001", "now it is 0.5", str(path)], path)
    other = copy.deepcopy(model).set_params(random_state=1)
    refused(other, ["random_state was 0", "now it is 1"], path)
    other = copy.deepcopy(TRAININGS["vae-learned"])
    refused(other, ['model was "Autoencoder"', 'now it is "VAE"'], path)
    changed = DATA.copy()
    changed[3, 4] += 1e-12
    refused(copy.deepcopy(model), ["X was", "checksum"], path, X=changed)
    refused(copy.deepcopy(model), ["X was", "(60, 6)", "(30, 6)"], path, X=DATA[:30])


@pytest.mark.parametrize(
    ("name", "parameter", "values"),
    [("learned-ista", "dictionary", [np.eye(6)[:, :4], np.eye(6)[:, 1:5]]),
     ("mlp", "random_state", [np.random.Generator(np.random.MT19937(i)) for i in range(2)])],
)  # fmt: skip
def test_arrays_of_another_training_are_told_apart(name, parameter, values, tmp_path):
    path = tmp_path / "run.npz"
    ours, others = (training(name, **{parameter: value}) for value in copy.deepcopy(values))
    whole = training(name, max_iter=20, **{parameter: copy.deepcopy(values[0])}).fit(DATA)
    ours.fit(DATA, checkpoint=path)
    refused(others, [f"{parameter} was", "checksum"], path)
    again = training(name, max_iter=20, **{parameter: copy.deepcopy(values[0])})
    assert same(again.fit(DATA, checkpoint=path).parameters_, whole.parameters_)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path, model = tmp_path / "run.npz", TRAININGS["mlp"]
    fitted = copy.deepcopy(model).fit(DATA)
    fitted.save(path)
    refused(copy.deepcopy(model), ["without its training"], path)
    path.write_bytes(b"0" * 100)
    refused(copy.deepcopy(model), ["damaged"], path)
    refused(copy.deepcopy(model), ["folder that exists"], tmp_path / "none" / "run.npz")
    refused(copy.deepcopy(model), ["at least 1"], tmp_path / "x.npz", checkpoint_every=0)


@pytest.mark.parametrize(
    "model",
    [LinearAutoencoder(2), LinearAutoencoder(2, solver="alternating"),
     Autoencoder(2, solver="lbfgs"), LinearVAE(2)],
)  # fmt: skip
def test_a_solver_without_epochs_has_no_checkpoints(model, tmp_path):
    refused(model, ["checkpoint must be None", type(model).__name__], tmp_path / "run.npz")


CHILD = """
import itertools, os, signal, sys, warnings
import numpy as np
import nanoae, nanoae.network
warnings.simplefilter("ignore")  # it is stopped early
path, moment = sys.argv[1], int(sys.argv[2])
model = eval(sys.argv[3], {**vars(nanoae), **vars(nanoae.network)})
X = np.random.default_rng(0).uniform(size=(400, 20))
if model.architecture is not None and model.architecture.sequences is not None:
    X = X.reshape(400, 5, 4)
moments = itertools.count()

def clock(frame, event, argument):
    if next(moments) == moment:
        os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(clock)
model.fit(X, checkpoint=path, checkpoint_every=3)
sys.setprofile(None)
print(next(moments))
"""
LONG = {"batch_size": 32, "max_iter": 180, "n_iter_no_change": 180, "random_state": 0}
SHORT = {"batch_size": 100, "max_iter": 30, "random_state": 0}
KILLED = [
    VAE(3, hidden_layer_sizes=(16,), early_stopping=True, beta_warmup=20, **LONG),
    VAE(3, architecture=Convolutional((4, 5), (4,)), corruption=MaskingNoise(0.3), **SHORT),
    Autoencoder(3, architecture=Recurrent(4, width=6), early_stopping=True, **SHORT),
    VAE(3, architecture=Transformer(4, width=4, n_heads=2, n_blocks=1), **SHORT),
    ContractiveAutoencoder(3, hidden_layer_sizes=(8,), activation="relu", n_probes=1, **SHORT),
    MaskedAutoencoder((4, 5), width=4, n_blocks=1, decoder_width=4, n_heads=2, **SHORT),
    AdversarialAutoencoder(2, prior="ring", instance_noise=0.1, dropout=0.2, **SHORT),
]


def child(path, moment, model):
    """One run, killed at a moment: its time is told in calls and returns, those of C included."""
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(moment), repr(model)],
        capture_output=True,
        text=True,
    )


def kill_and_take_up(path, seed, uninterrupted):
    """Kill one run at random moments until one ends; it must end as the uninterrupted one did."""
    rng, kills = random.Random(seed), 0
    while True:
        done = child(path, rng.randrange(uninterrupted.moments), uninterrupted.model)
        if path.exists():
            epochs = nanoae.load(path).n_iter_  # whole and usable, whenever it was killed
            assert epochs % 3 == 0
        if done.returncode == 0:
            assert same(nanoae.load(path).__getstate__(), uninterrupted.state)
            return kills
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1


@pytest.fixture(scope="module", params=KILLED[:1])
def uninterrupted(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run.npz"
    done = child(path, -1, request.param)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    state, moments = nanoae.load(path).__getstate__(), int(done.stdout)
    return SimpleNamespace(model=request.param, state=state, moments=moments)


def test_a_training_that_is_killed_ends_with_the_same_bits(tmp_path, uninterrupted):
    assert kill_and_take_up(tmp_path / "run.npz", 0, uninterrupted) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("uninterrupted", KILLED[1:], ids=repr, indirect=True)
def test_trainings_of_all_kinds_that_are_killed_end_with_the_same_bits(tmp_path, uninterrupted):
    kills = [kill_and_take_up(tmp_path / f"{seed}.npz", seed, uninterrupted) for seed in range(3)]
    assert sum(kills) >= 1


@pytest.mark.slow
def test_fifty_trainings_that_are_killed_end_with_the_same_bits(tmp_path, uninterrupted):
    kills = [kill_and_take_up(tmp_path / f"{seed}.npz", seed, uninterrupted) for seed in range(50)]
    print(f"{sum(kills)} kills, {len(kills)} ends with the same bits")
    assert sum(kills) >= 50


def test_ctrl_c_ends_the_training_and_not_the_program():
    code = """
import itertools, signal
import numpy as np
from nanoae import Autoencoder
signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background has none
right, calls = Autoencoder.loss_and_gradient, itertools.count()

def told(self, X, rng=None):
    if next(calls) == 10:  # four batches make an epoch
        print("in epoch 3", flush=True)
    return right(self, X, rng)

Autoencoder.loss_and_gradient = told
X = np.random.default_rng(0).uniform(size=(500, 10))
model = Autoencoder(2, max_iter=100_000, n_iter_no_change=100_000, random_state=0).fit(X)
print(model.n_iter_ == len(model.history_["loss"]) >= 2, np.isfinite(model.reconstruct(X)).all())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "in epoch 3\n", process.stderr.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out == "True True\n"
    assert "ConvergenceWarning: Autoencoder was interrupted after" in err


def test_an_interrupted_training_can_be_taken_up(tmp_path, monkeypatch):
    path = {"checkpoint": tmp_path / "run.npz", "checkpoint_every": 4}
    model, calls = training("mlp"), []
    right = Autoencoder.loss_and_gradient

    def impatient(self, X, rng):
        calls.append(len(X))
        if len(calls) == 25:  # in epoch 7
            raise KeyboardInterrupt
        return right(self, X, rng)

    monkeypatch.setattr(Autoencoder, "loss_and_gradient", impatient)
    with pytest.warns(ConvergenceWarning, match="interrupted after 6 epochs"):
        model.fit(DATA, **path)
    assert model.n_iter_ == 6 and nanoae.load(tmp_path / "run.npz").n_iter_ == 4
    monkeypatch.undo()
    whole = training("mlp").fit(DATA)
    assert same(model.fit(DATA, **path).__getstate__(), whole.__getstate__())


@pytest.mark.parametrize("kind", ["nan that no reconstruction meets", "finite, but too large"])
def test_a_model_whose_numbers_are_of_no_use_is_refused(kind, tmp_path):
    X = np.random.default_rng(0).uniform(size=(9, 4))
    model = VAE(1, hidden_layer_sizes=(2,), noise_variance="learned", max_iter=2, random_state=0)
    values = model.fit(X).parameters_
    if kind == "finite, but too large":
        values[...] = 1e308
    else:
        values[-1] = np.nan  # log σ² of the noise
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="usable model"):
        nanoae.load(tmp_path / "model.npz")


@pytest.mark.parametrize("every", [1, 100])
def test_a_training_that_ran_out_of_patience_is_not_taken_up(every, tmp_path, monkeypatch):
    X = np.random.default_rng(0).uniform(size=(100, 4))
    for model in (
        Autoencoder(2, hidden_layer_sizes=(3,), n_iter_no_change=3, batch_size=1),
        SparseCoding(4, sparsity=0.1),
    ):
        model.set_params(tol=0.9999, random_state=0)
        path = {"checkpoint": tmp_path / f"{type(model).__name__}.npz", "checkpoint_every": every}
        whole = copy.deepcopy(model).fit(X, **path)
        assert nanoae.load(path["checkpoint"]).n_iter_ == whole.n_iter_ < 20
        with monkeypatch.context() as patch:
            patch.setattr(type(model), "loss_and_gradient", None)  # nothing is left to train
            patch.setattr(sparse, "update_atoms", None)  # what sparse coding trains by
            again = copy.deepcopy(model).set_params(max_iter=500).fit(X, **path)
        assert again.n_iter_ == whole.n_iter_
        np.testing.assert_array_equal(again.parameters_, whole.parameters_)
