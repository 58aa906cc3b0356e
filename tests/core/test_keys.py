"""An API key can be used and can not be seen."""

import copy
import pickle
import traceback
from collections.abc import Callable

import pytest

from twofold import InputError
from twofold.keys import Key, KeySource

SECRET = "sk-do-not-show"


class Wrapped:
    """What LangChain users hold: pydantic's SecretStr."""

    def get_secret_value(self) -> str:
        return SECRET


SOURCES: dict[str, KeySource] = {
    "text": SECRET,
    "blanks": f" {SECRET}\n",
    "call": lambda: SECRET,
    "pydantic": Wrapped(),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_key_is_given_or_asked_for(source: KeySource) -> None:
    assert Key(source).reveal() == SECRET


def test_a_key_is_asked_for_each_time() -> None:
    keys = iter(["first", "second"])
    key = Key(lambda: next(keys))
    assert [key.reveal(), key.reveal()] == ["first", "second"]


def test_the_environment_is_read_when_the_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    key = Key(None, "MY_KEY")
    assert key.reveal() is None
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.setenv("USUAL_KEY", "another")
    assert key.reveal("USUAL_KEY") == SECRET
    assert Key().reveal("USUAL_KEY") == "another"
    assert Key("given", "MY_KEY").reveal() == "given"


@pytest.mark.parametrize("value", ["", "  "])
def test_a_blank_key_is_none(value: str) -> None:
    assert Key(value).reveal() is None


def test_a_callable_that_gives_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="api_key returned a value of type int, not a string"):
        Key(lambda: 3).reveal()  # type: ignore[arg-type]


def test_a_pickle_leaves_the_value_behind_and_finds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    twin = pickle.loads(pickle.dumps(Key(SECRET, "MY_KEY")))
    assert twin.reveal() is None
    monkeypatch.setenv("MY_KEY", "its-own")
    assert twin.reveal() == "its-own"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_within_the_process_keeps_the_value(duplicate: Callable[[Key], Key]) -> None:
    assert duplicate(Key(SECRET, "MY_KEY")).reveal() == SECRET


def test_a_callables_account_is_told_without_asking_it() -> None:
    def never() -> str:
        raise AssertionError

    assert Key(never).identity() == Key(never).identity()
    assert Key("one").identity() != Key("other").identity()
    assert SECRET not in str(Key(SECRET).identity())
    assert Key().identity() is None


@pytest.mark.parametrize("key", [SECRET, "k7"])
def test_a_key_that_is_quoted_is_taken_out_of_text_whole(key: str) -> None:
    assert Key(key).redact(f"the key {key} is bad, as k78 and a sketch are not") == (
        "the key *** is bad, as k78 and a sketch are not"
    )


def test_no_frame_of_an_error_holds_the_key() -> None:
    for wrong in (SECRET.encode(), f"{SECRET}\nx", f"{SECRET} x"):
        with pytest.raises(InputError) as caught:
            Key(wrong).reveal()  # type: ignore[arg-type]
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        ours = [frame for frame in frames if frame.filename.endswith("twofold/keys.py")]
        assert ours
        assert not [frame for frame in ours if SECRET in str(frame.locals)]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_key_is_not_shown(source: KeySource) -> None:
    key = Key(source, "MY_KEY")
    assert repr(key) == "Key(given)"
    assert SECRET not in f"{key} {key!r}"
    assert SECRET.encode() not in pickle.dumps(key)
    assert repr(Key(None, "MY_KEY")) == "Key(MY_KEY)"


def test_a_key_stays_itself_under_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-other")
    assert Key(Key(SECRET, "MY_KEY"), "OTHER_KEY").reveal() == SECRET
    assert Key(Key(None, "MY_KEY"), "OTHER_KEY").reveal() == "sk-other"
