"""Names of columns: kept from the fit, held against those that come later, and given to codes."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from test_estimators import VAES, D, K, X, every_model, new, outputs
from test_persistence import GOOD, STATE, same, to
from test_validation import rejects

import nanoae
from nanoae import VAE, LinearAutoencoder, LinearVAE, NotFittedError, beta_sweep
from nanoae.validation import check_samples, column_names

NAMES = ["age", "height", "weight", "pulse", "pressure"]
HAVE_NONE = "X does not have valid feature names, but {} was fitted with feature names"
HAS_SOME = "X has feature names, but {} was fitted without feature names"


class Frame:
    """What we ask of a pandas.DataFrame."""

    def __init__(self, data, index=None, columns=None):
        self.data = np.asarray(data)
        self.columns = NAMES if columns is None else columns
        self.index = range(len(self.data)) if index is None else index

    def __array__(self, dtype=None, copy=None):
        return self.data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, names):
        places = [list(self.columns).index(name) for name in names]
        return Frame(self.data[:, places], self.index, names)


FRAME = Frame(X)
OTHER_ORDER = FRAME[[*NAMES[:3], "pressure", "pulse"]]
USES = ["transform", "reconstruct", "reconstruction_error", "score"]
USES_OF_VAE = [
    "encode", "elbo", "rate_distortion", "log_likelihood", "score_samples", "kl_per_dimension",
    "active_units",
]  # fmt: skip


def takes_parts(model):
    try:
        model._check_partial_fit()
    except ValueError:
        return False
    return True


def uses(model, *, training=True):
    """All methods of a fitted model that take samples, but for those that fit anew."""
    of_vae = USES_OF_VAE if isinstance(model, (VAE, LinearVAE)) else []
    parts = ["partial_fit"] if training and takes_parts(model) else []
    return [getattr(model, method) for method in [*USES, *of_vae, *parts]]


@pytest.fixture
def pandas_to_be(monkeypatch):
    """A stand-in for pandas itself, in the place where it would be imported from."""
    module = SimpleNamespace(DataFrame=Frame, NA=object())
    monkeypatch.setitem(sys.modules, "pandas", module)
    return module


# --- names of the fit --------------------------------------------------------------------------


@every_model
def test_names_are_kept_from_each_way_into_training(name):
    whole = new(name).fit(FRAME)
    starts = [whole, new(name)]
    starts[1].initialise(FRAME)
    if takes_parts(whole):
        starts.append(new(name).partial_fit(FRAME))
    for model in starts:
        assert model.feature_names_in_.tolist() == NAMES
        assert model.feature_names_in_.dtype == object
    assert same(outputs(whole, FRAME), outputs(new(name).fit(X)))  # the numbers are the same


@every_model
def test_without_names_there_is_no_attribute(name):
    model = new(name)
    with rejects(NotFittedError, "not fitted"):
        model.feature_names_in_  # noqa: B018
    for nameless in (X, X.tolist(), Frame(X, columns=range(D)), Frame(X, columns=[*NAMES[1:], 7])):
        model.fit(FRAME).fit(nameless)  # the names of the last fit count
        assert not hasattr(model, "feature_names_in_")
        with pytest.raises(AttributeError, match="no attribute 'feature_names_in_'"):
            model.feature_names_in_  # noqa: B018


def test_a_fit_that_is_refused_leaves_the_names():
    model = LinearAutoencoder(K, random_state=0).fit(FRAME)
    bad = Frame(X * np.nan, columns=[*"abcde"])
    for method in (model.fit, model.initialise):
        with rejects(ValueError, "NaN", "column 'a'"):
            method(bad)
    assert model.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize(
    "columns, names",
    [
        (["a", "b"], ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (("a", "a"), ["a", "a"]),
        ([], None),
        ([0, 1], None),
        (["a", 1], None),
        ([("a", "x"), ("a", "y")], None),  # of two levels
        (lambda: ["a", "b"], None),
        (None, None),
    ],
)
def test_only_strings_are_names(columns, names):
    found = column_names(SimpleNamespace(columns=columns))
    assert found == names
    assert names is None or {type(name) for name in found} == {str}  # which a file can hold
    assert column_names(X) is None


# --- names that come later ---------------------------------------------------------------------


@every_model
def test_the_columns_of_the_fit_pass_and_others_do_not(name):
    model = new(name).fit(FRAME)
    before = pickle.dumps(model)
    for use in uses(model):
        with rejects(ValueError, type(model).__name__, "order", "column 3 is 'pressure' in place "
                     "of 'pulse'", "pass X[list(model.feature_names_in_)]"):  # fmt: skip
            use(OTHER_ORDER)
        with rejects(ValueError, type(model).__name__, "columns", "lacks 'age'; add or rename"):
            use(FRAME[NAMES[1:]])
        with rejects(ValueError, "lacks 'pulse', 'pressure' and has besides 'x', 'y'; add"):
            use(Frame(X, columns=["x", *NAMES[:3], "y"]))
        with rejects(ValueError, "but has besides 'x'; pass X[list(model.feature_names_in_)]"):
            use(Frame(np.hstack([X, X[:, :1]]), columns=[*NAMES, "x"]))
    assert pickle.dumps(model) == before
    for use in uses(model):
        use(FRAME)
        use(OTHER_ORDER[list(model.feature_names_in_)])  # as the message says


def test_of_many_names_five_are_told():
    model = LinearAutoencoder(1, random_state=0).fit(Frame(np.eye(9), columns=[*"abcdefghi"]))
    with rejects(ValueError, "lacks 'a', 'b', 'c', 'd', 'e', 4 more and has besides 'j', "):
        model.transform(Frame(np.eye(9), columns=[*"jklmnopqr"]))
    with rejects(ValueError, "lacks 'a', 'b', 'c', 'd', 'e' and has besides 'j', "):
        model.transform(Frame(np.eye(9), columns=[*"fghijklmn"]))


def test_a_name_that_comes_twice_counts_twice():
    model = LinearAutoencoder(1, random_state=0).fit(Frame(X[:, :3], columns=["a", "a", "b"]))
    model.transform(Frame(X[:, :3], columns=["a", "a", "b"]))
    with rejects(ValueError, "lacks 'a' and has besides 'b'"):
        model.transform(Frame(X[:, :3], columns=["a", "b", "b"]))
    with rejects(ValueError, "order", "column 1 is 'b' in place of 'a'"):
        model.transform(Frame(X[:, :3], columns=["a", "b", "a"]))


@every_model
def test_names_on_one_side_only_are_a_warning_to_the_line_that_called(name):
    for fitted_to, used_on, words in [(FRAME, X, HAVE_NONE), (X, FRAME, HAS_SOME)]:
        model = new(name).fit(fitted_to)
        for use in uses(model):
            with pytest.warns(UserWarning, match=words.format(type(model).__name__)) as record:
                use(used_on)
            assert len(record) == 1 and record[0].filename == __file__


def test_a_warning_points_there_from_a_program_without_a_name_too():
    model = LinearAutoencoder(K, random_state=0).fit(FRAME)
    with pytest.warns(UserWarning, match="so the order of its columns is not checked") as record:
        exec(compile("model.score(X)", "program", "exec"), {"model": model, "X": X})
    assert record[0].filename == "program"


@every_model
def test_what_has_no_columns_is_not_asked_for_their_names(name):
    model = new(name).fit(FRAME)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = model.transform(FRAME)
        model.inverse_transform(codes)
        line = model.interpolate(X[0], X[1], 3)
    if name in VAES:
        assert model.sample(2).shape == (2, D)
    np.testing.assert_allclose(line[[0, -1]], model.reconstruct(FRAME)[:2], rtol=1e-12)


def test_a_sweep_keeps_the_names():
    sweep = beta_sweep(FRAME, [1.0, 2.0], model=LinearVAE(K, tol=1e-3, random_state=0))
    assert all(model.feature_names_in_.tolist() == NAMES for model in sweep.models)
    without = beta_sweep(X, [1.0, 2.0], model=LinearVAE(K, tol=1e-3, random_state=0))
    assert same(sweep.rate, without.rate) and same(sweep.elbo, without.elbo)


# --- copies and files --------------------------------------------------------------------------


@every_model
def test_copies_and_files_keep_the_names(name, tmp_path):
    model = new(name).fit(FRAME)
    model.save(tmp_path / "model.npz")
    copies = [nanoae.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))]
    for twin in (*copies, copy.copy(model), copy.deepcopy(model)):
        assert twin.feature_names_in_.tolist() == NAMES
        with rejects(ValueError, "order"):
            twin.transform(OTHER_ORDER)
        assert same(twin.transform(FRAME), model.transform(FRAME))
    unfitted = type(model)(**model.get_params())
    assert unfitted._feature_names is None


def test_a_training_that_is_taken_up_has_the_names(tmp_path):
    model = new("vae").fit(FRAME, checkpoint=tmp_path / "run.npz", checkpoint_every=1)
    assert nanoae.load(tmp_path / "run.npz").feature_names_in_.tolist() == NAMES
    again = new("vae").set_params(max_iter=4).fit(FRAME, checkpoint=tmp_path / "run.npz")
    assert again.n_iter_ == model.n_iter_ + 1 and again.feature_names_in_.tolist() == NAMES


def test_files_from_before_there_were_names_are_of_models_without(tmp_path):
    (tmp_path / "new.npz").write_bytes(GOOD)
    assert not hasattr(nanoae.load(tmp_path / "new.npz"), "feature_names_in_")


@pytest.mark.parametrize("value", [NAMES[:2], "abcde", [1, 2, 3, 4, 5], 5, {"array": "x"}])
def test_names_in_a_file_that_do_not_fit_are_refused(value, tmp_path):
    (tmp_path / "model.npz").write_bytes(to(*STATE, "_feature_names", value=value))
    with pytest.raises(ValueError, match=r"model\.npz"):
        nanoae.load(tmp_path / "model.npz")
    (tmp_path / "model.npz").write_bytes(to(*STATE, "_feature_names", value=NAMES))
    assert nanoae.load(tmp_path / "model.npz").feature_names_in_.tolist() == NAMES


# --- names of codes ----------------------------------------------------------------------------


@every_model
def test_columns_of_codes_are_named_by_the_class(name):
    model = new(name)
    with rejects(NotFittedError, "not fitted"):
        model.get_feature_names_out()
    prefix = type(model).__name__.lower()
    for data in (X, FRAME):
        names = model.fit(data).get_feature_names_out()
        assert names.tolist() == [f"{prefix}0", f"{prefix}1"] and names.dtype == object
        assert same(names.tolist(), model.get_feature_names_out(np.array(NAMES)).tolist())
    assert new("vae").fit(X).get_feature_names_out().tolist() == ["vae0", "vae1"]


def test_names_that_go_in_must_be_those_of_the_fit():
    model = new("vae").fit(X)
    assert len(model.get_feature_names_out([*"vwxyz"])) == K  # none are known: any five will do
    with rejects(ValueError, "input_features should have length equal", "5; got 4"):
        model.get_feature_names_out(NAMES[1:])
    for wrong in (NAMES[::-1], NAMES[1:]):
        with rejects(ValueError, "input_features is not equal to feature_names_in_"):
            model.fit(FRAME).get_feature_names_out(wrong)


@every_model
def test_codes_come_in_a_frame_if_asked_for(name, pandas_to_be):
    model, plain = new(name), new(name)
    assert model.set_output(transform="pandas") is model
    labelled = Frame(X, index=[f"row {i}" for i in range(len(X))])
    for codes in (model.fit_transform(labelled), model.transform(labelled)):
        assert type(codes) is Frame
        assert list(codes.columns) == model.get_feature_names_out().tolist()
        assert codes.index == labelled.index
    assert same(codes.data, plain.fit(labelled).transform(labelled))
    assert same(model.reconstruct(labelled), plain.reconstruct(labelled))  # an array, as ever
    assert same(model.interpolate(X[0], X[1]), plain.interpolate(X[0], X[1]))
    if name in VAES:
        assert model.active_units(labelled) == plain.active_units(labelled)
    for data in (X, X.tolist()):  # a list has a method named index
        assert model.fit(data).transform(data).index == range(len(X))  # the frame's own choice


def test_active_units_are_those_of_the_codes_whatever_holds_them(pandas_to_be):
    model = LinearVAE(K, noise_variance=0.02, tol=1e-4, random_state=0).fit(X)
    codes = model.transform(X)
    assert model.active_units(X) == np.sum(codes.var(axis=0) > 0.01) == K
    assert model.set_output(transform="pandas").active_units(X) == K


def test_output_is_chosen_until_it_is_chosen_otherwise(pandas_to_be, tmp_path):
    model = new("vae").fit(FRAME)
    assert type(model.transform(FRAME)) is np.ndarray
    model.set_output(transform="pandas").set_output().set_output(transform=None)
    assert type(model.transform(FRAME)) is Frame
    model.save(tmp_path / "model.npz")
    twins = [
        copy.copy(model),
        pickle.loads(pickle.dumps(model)),
        nanoae.load(tmp_path / "model.npz"),
    ]
    assert type(model.set_output(transform="default").transform(FRAME)) is np.ndarray
    for twin in twins:  # each leads its own life
        assert type(twin.transform(FRAME)) is Frame
    with rejects(ValueError, "transform must be 'default' or 'pandas'", "got 'polars'"):
        model.set_output(transform="polars")
    assert type(model.transform(FRAME)) is np.ndarray


def test_without_pandas_it_is_refused_before_a_training_and_nothing_else_is(
    monkeypatch, pandas_to_be, tmp_path
):
    model = new("vae").fit(FRAME).set_output(transform="pandas")
    model.save(tmp_path / "model.npz")
    monkeypatch.setitem(sys.modules, "pandas", None)  # an import of it fails
    with rejects(ImportError, "needs pandas", "install it"):
        new("vae").set_output(transform="pandas")
    loaded = nanoae.load(tmp_path / "model.npz")  # where there is none
    assert same(loaded.reconstruct(FRAME), model.reconstruct(FRAME))
    with rejects(ImportError, "needs pandas", "'default'"):
        loaded.transform(FRAME)
    assert type(loaded.set_output(transform="default").transform(FRAME)) is np.ndarray


# --- gaps and words ----------------------------------------------------------------------------


def with_value(value, dtype=object):
    bad = X.astype(dtype)
    bad[3, 1] = value
    return bad


@pytest.mark.parametrize("value", [np.nan, None, np.inf])
def test_a_gap_in_a_frame_is_told_by_row_and_column_name(value):
    model = LinearAutoencoder(K, random_state=0).fit(FRAME)
    for dtype in [object] if value is None else [object, float]:
        for method in (model.fit, model.transform, model.partial_fit, check_samples):
            with rejects(ValueError, "NaN or infinity, first at row 3, column 'height' ("):
                method(Frame(with_value(value, dtype)))
    with rejects(ValueError, "first at row 3, column 1 ("):
        check_samples(with_value(value))
    with rejects(ValueError, "first at row 3, column 1 ("):  # a place, as in an array
        check_samples(Frame(with_value(value), columns=range(10, 15)))


def test_so_is_the_gap_of_pandas_which_is_no_number(pandas_to_be):
    bad = with_value(pandas_to_be.NA)
    given = bad.copy()
    with rejects(ValueError, "NaN or infinity, first at row 3, column 'height' (nan)"):
        check_samples(Frame(bad))
    assert bad[3, 1] is pandas_to_be.NA and (bad == given).all()  # the caller's stays
    with rejects(ValueError, "first at row 3, column 1 (nan)"):
        check_samples(bad)
    assert same(check_samples(Frame(X.astype(object))), X)
    with rejects(TypeError, "real numbers", "object"):
        check_samples(Frame(with_value(object())))


def test_columns_of_words_are_named():
    bad = X.astype(object)
    bad[:, 1], bad[4, 3] = "tall", b"?"
    for model in (new("linear"), new("linear").fit(FRAME)):
        for method in (model.fit, model.partial_fit):
            with rejects(ValueError, "real numbers", "hold words: 'height', 'pulse'; leave them"):
                method(Frame(bad))
    with rejects(ValueError, "hold words: 'age', 'height', 'weight', 'pulse', 'pressure'; leave"):
        check_samples(Frame(X.astype(str)))
    with rejects(ValueError, "real numbers; got an array of object"):  # no names to tell
        check_samples(Frame(bad, columns=range(D)))


# --- with pandas -------------------------------------------------------------------------------


def test_a_real_frame_in_and_out():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=NAMES, index=[f"row {i}" for i in range(len(X))])
    model = new("vae").fit(frame).set_output(transform="pandas")
    assert model.feature_names_in_.tolist() == NAMES
    with rejects(ValueError, "order", "column 0 is 'pressure' in place of 'age'"):
        model.reconstruction_error(frame[NAMES[::-1]])
    expected = pd.DataFrame(
        new("vae").fit(X).transform(X), columns=["vae0", "vae1"], index=frame.index
    )
    for given in (frame, frame[NAMES[::-1]][list(model.feature_names_in_)]):
        pd.testing.assert_frame_equal(model.transform(given), expected)
    reset = expected.reset_index(drop=True)
    pd.testing.assert_frame_equal(model.fit(X).fit_transform(X), reset)
    small = frame.astype(np.float32)
    assert (model.fit(small).transform(small).dtypes == np.float32).all()


def test_real_gaps_and_words():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=NAMES)
    gap = frame["height"].astype(object)
    gap[3] = pd.NA
    nullable = frame["height"].astype("Float64")
    nullable[3] = pd.NA
    for column in (gap, nullable, gap.where(gap.index != 3, None)):
        with rejects(ValueError, "NaN", "row 3, column 'height' (nan)"):
            check_samples(frame.assign(height=column))
    assert same(check_samples(frame.astype("Float64")), X)
    words = frame.assign(height="tall", pulse=pd.Categorical(["?"] * len(X)))
    with rejects(ValueError, "hold words: 'height', 'pulse'"):
        check_samples(words)
