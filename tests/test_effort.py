"""The profile decides how much a run tries."""

import pytest
from effort import scale, scaled, spread
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
    assert spread(list(range(40))) == list(range(0, 40, 4)) and spread([7]) == [7]


@pytest.mark.many
@pytest.mark.parametrize("case", range(40))
def test_the_cases_of_a_test_of_many_are_scaled(case, request):
    of_this = [item for item in request.session.items if item.obj is request.node.obj]
    assert len(of_this) in (1, scaled(40))  # one that was asked for by its name, or these


def test_a_property_without_a_number_of_its_own_takes_the_profiles(light):
    cases = []

    @given(st.integers())
    def check(number):
        cases.append(number)

    scale(check)
    check()
    assert len(cases) == 25
