"""The profile decides how much a run tries."""

import pytest
from effort import scale, scaled
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def tried():
    cases = []
    yield cases
    assert len(cases) == scaled(40)


@given(st.integers())
@settings(max_examples=40)
def test_the_examples_of_a_property_are_scaled(tried, number):
    tried.append(number)


@pytest.fixture
def light(pytestconfig):
    settings.load_profile("light")
    yield
    settings.load_profile(pytestconfig.getoption("--hypothesis-profile") or "light")


def test_a_light_run_tries_a_quarter_but_not_one_or_two(light):
    assert [scaled(full) for full in (1, 4, 5, 12, 20, 21, 300)] == [1, 4, 5, 5, 5, 6, 75]
    assert scaled(8, least=1) == 2


def test_a_property_without_a_number_of_its_own_takes_the_profiles(light):
    cases = []

    @given(st.integers())
    def check(number):
        cases.append(number)

    scale(check)
    check()
    assert len(cases) == 25
