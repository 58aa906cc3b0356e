"""The one message for a missing extra."""

import pytest

from twofold import MissingExtra
from twofold.extras import extra


def test_the_message_is_the_command_that_helps() -> None:
    with pytest.raises(MissingExtra) as caught, extra("llama-index"):
        import no_such_library.inner  # type: ignore[import-not-found]  # noqa: F401
    assert str(caught.value) == "no_such_library is not installed: pip install 'twofold[llama-index]'"
    assert caught.value.name == "no_such_library"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_module_of_ours_that_is_missing_is_our_own_bug() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"twofold\.no_such_module") as caught, extra("local"):
        import twofold.no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert not isinstance(caught.value, MissingExtra)


def test_an_import_that_fails_otherwise_is_left_alone() -> None:
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'") as caught, extra("local"):
        from json import no_such_name  # type: ignore[attr-defined]  # noqa: F401
    assert not isinstance(caught.value, MissingExtra)


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), extra("local"):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("name", "package", "wanted"),
    [("", "twofold-qdrant", "pip install twofold-qdrant"), ("qdrant", "my-stores", "pip install 'my-stores[qdrant]'")],
)
def test_a_package_of_ones_own_is_named(name: str, package: str, wanted: str) -> None:
    with pytest.raises(MissingExtra) as caught, extra(name, package=package):
        import no_such_library  # noqa: F401
    assert str(caught.value) == f"no_such_library is not installed: {wanted}"
