"""What `from twofold import …` offers, and the packages' own lists of names."""

import importlib
import inspect
from importlib.metadata import version

import pytest

import twofold
from twofold.backend import Backend
from twofold.stores import Store
from twofold.stores.moving import Movable
from twofold.stores.store import Catalogue

ADAPTERS = ["chroma_twofold", "langchain_twofold", "llama_index_twofold", "weaviate_twofold"]
PROTOCOLS = {name for protocol in (Store, Movable, Catalogue, Backend) for name in vars(protocol)}
PACKAGES = ["twofold", "twofold.testing", *ADAPTERS]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_list_of_names_is_true(package: str) -> None:
    module = importlib.import_module(package)
    top = package.partition(".")[0]
    assert len(set(module.__all__)) == len(module.__all__)
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "").partition(".")[0] == top
    }
    assert public <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_says_what_it_is(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__doc__
    named = {name: getattr(module, name) for name in module.__all__}
    undocumented = [name for name, value in named.items() if not value.__doc__]
    # Methods of our protocols are documented there; for methods of a base class, `getdoc` finds its docstring.
    undocumented += [
        f"{name}.{method}"
        for name, value in named.items()
        if inspect.isclass(value)
        for method in vars(value).keys() - getattr(value, "__dataclass_fields__", {}).keys()
        if not method.startswith(("_", "test_"))
        and method not in PROTOCOLS
        and inspect.isroutine(getattr(value, method))
        if not inspect.getdoc(getattr(value, method))
    ]
    assert undocumented == []


def test_the_names_of_the_package_are_sorted() -> None:
    assert list(twofold.__all__) == sorted(twofold.__all__)


def test_the_version_is_the_installed_one() -> None:
    assert twofold.__version__ == version("twofold")


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="module 'twofold' has no attribute 'Embeder'"):
        _ = twofold.Embeder
