"""The tree of errors: every one is drawn, has the builtin parent that callers expect, and survives a pickle."""

import inspect
import pickle
import re

import numpy as np
import pytest

from twofold import errors

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
}


def test_every_class_stands_in_the_tree_at_its_depth() -> None:
    lines = re.findall(r"^([ │]*(?:[├└]── )?)(\w+)", errors.__doc__ or "", re.MULTILINE)
    drawn = {name: len(lead) for lead, name in lines}
    assert set(CLASSES) <= set(drawn)
    for name, kind in CLASSES.items():
        parent = kind.__bases__[0].__name__
        assert parent not in drawn or drawn[parent] == drawn[name] - 4, name


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.DeviceError, RuntimeError),
        (errors.MissingExtra, ImportError),
        (errors.SpaceMismatch, ValueError),
        (errors.DeadlineExceeded, TimeoutError),
        (errors.TwofoldWarning, UserWarning),
    ],
)
def test_each_is_also_the_builtin_that_callers_catch(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_all_survive_a_pickle(kind: type[Exception]) -> None:
    twin = pickle.loads(pickle.dumps(kind("what is wrong, and what to do")))
    assert type(twin) is kind
    assert str(twin) == "what is wrong, and what to do"


def test_what_they_hold_survives_a_pickle() -> None:
    partial = {0: np.ones((2, 3), np.float32)}
    error = errors.ResponseInvalid("bad", status=200, request_id="r1", partial=partial, failed={1: "no vector"})
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.status, twin.request_id, twin.failed) == (200, "r1", {1: "no vector"})
    np.testing.assert_array_equal(twin.partial[0], partial[0])
    assert pickle.loads(pickle.dumps(errors.InputError("bad", index=3))).index == 3
    assert pickle.loads(pickle.dumps(errors.StoreError("bad", failed={"a": "why"}))).failed == {"a": "why"}


def test_two_errors_share_nothing() -> None:
    one, other = errors.ProviderError("one"), errors.ProviderError("other")
    one.failed[0] = "only this one"
    assert other.failed == {}
    assert one.partial is not other.partial


def test_an_input_error_counts_by_the_users_list_in_its_message_too() -> None:
    error = errors.InputError("text 1 has 600 tokens, the limit is 512 (text 1)", index=1)
    error.renumber([0, 7, 9])
    assert (str(error), error.index) == ("text 7 has 600 tokens, the limit is 512 (text 1)", 7)
    nameless = errors.InputError("no model is named")
    nameless.renumber([3])
    assert (str(nameless), nameless.index) == ("no model is named", None)
