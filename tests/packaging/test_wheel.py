"""The built wheel in a new environment: its contents, its imports, and the messages for missing extras.

The wheel is built from the source distribution, which shows that the source distribution is complete too.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest

from support.bare import ROOT, run, succeed

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

    from support.bare import NewEnvironment

pytestmark = pytest.mark.slow

PACKAGES = {"twofold", "chroma_twofold", "langchain_twofold", "llama_index_twofold", "weaviate_twofold"}

NEEDS_AN_EXTRA = {
    "local": "from twofold import Embedder; Embedder('a/model').embed_query('one')",
    "hosted": "from twofold import Embedder; Embedder('jina:jina-embeddings-v3', api_key='k').embed_query('one')",
    "chroma": "import chroma_twofold",
    "langchain": "import langchain_twofold",
    "llama-index": "import llama_index_twofold",
    "weaviate": "import weaviate_twofold",
}

LIGHT = """
import sys
import numpy
before = set(sys.modules)
import twofold
new = {name.split(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names - {"numpy"}
print(*sorted(new), twofold.__version__)
"""


@pytest.fixture(scope="module")
def bare(new_environment: NewEnvironment) -> Path:
    """An environment without extras."""
    return new_environment()


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path, names: list[str]) -> Message:
    (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        return message_from_bytes(archive.read(name))


def test_the_top_level_names_are_these(names: list[str], metadata: Message) -> None:
    assert {name.split("/")[0] for name in names} == PACKAGES | {f"twofold-{metadata['Version']}.dist-info"}


def test_every_file_of_the_packages_is_in_the_wheel(names: list[str]) -> None:
    tracked = succeed("git", "ls-files", "core", "integrations", cwd=ROOT).splitlines()
    assert {path.partition("/")[2] for path in tracked if (ROOT / path).exists()} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_playground_is_whole(wheel: Path, names: list[str]) -> None:
    """The wheel contains all files that the playground's page and modules name, and the page names all of them."""
    root = "twofold/server/playground/"
    with zipfile.ZipFile(wheel) as archive:
        texts = {name: archive.read(name).decode() for name in names if name.startswith(root)}
    page = re.findall(r'(?:src|rel="\w+" href)="([^"]+)"', texts[root + "index.html"])
    assert {"css/base.css", "js/main.js", "logo.svg"} <= set(page)
    named = [root + path for path in page]
    for name, text in texts.items():
        found = re.findall(r'from "(\.[^"]+)"', text)
        named += [posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in found]
    assert [name for name in named if name not in texts] == []
    assert {name for name in texts if name.endswith((".js", ".css"))} <= set(named)


def test_every_package_is_typed_and_the_licence_is_there(names: list[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def requirements(metadata: Message) -> dict[str, set[str]]:
    """Extra -> its requirements; "" -> the requirements without extras."""
    found: dict[str, set[str]] = {"": set(), **{extra: set() for extra in metadata.get_all("Provides-Extra", [])}}
    for line in metadata.get_all("Requires-Dist", []):
        library, _, marker = line.partition(";")
        found[marker.partition("extra == ")[2].strip("' )")].add(library.strip())
    return found


def test_users_get_lower_bounds_and_no_pins(requirements: dict[str, set[str]]) -> None:
    libraries = set().union(*requirements.values())
    assert len(libraries) > 10
    assert [line for line in libraries if ">=" not in line or any(sign in line for sign in ("==", "<", "~", "@"))] == []


def test_only_numpy_is_required(requirements: dict[str, set[str]]) -> None:
    assert [line.partition(">=")[0] for line in requirements[""]] == ["numpy"]


def test_every_host_and_part_has_its_extra_and_all_is_all_of_them(requirements: dict[str, set[str]]) -> None:
    assert set(requirements) >= {*NEEDS_AN_EXTRA, "cli", "sentence-transformers", "demo", "all"}
    assert requirements["all"] == set().union(*(requirements[extra] for extra in requirements if extra))


def test_importing_loads_numpy_and_the_standard_library(bare: Path) -> None:
    loaded, version = succeed(bare / "python", "-I", "-c", LIGHT, cwd=bare).rsplit(maxsplit=1)
    assert loaded.split() == ["twofold"]
    assert version


def test_the_fake_embedder_needs_no_extra(bare: Path) -> None:
    code = "from twofold.testing import FakeEmbedder; print(FakeEmbedder().embed_query('one').shape)"
    assert succeed(bare / "python", "-I", "-c", code, cwd=bare) == "(64,)\n"


@pytest.mark.parametrize("extra", NEEDS_AN_EXTRA)
def test_a_missing_extra_gives_the_command_that_installs_it(extra: str, bare: Path) -> None:
    code = f"import twofold\ntry:\n    {NEEDS_AN_EXTRA[extra]}\nexcept twofold.MissingExtra as error:\n    print(error)"
    said = succeed(bare / "python", "-I", "-c", code, cwd=bare)
    assert said.endswith(f" is not installed: pip install 'twofold[{extra}]'\n")


def test_the_command_line_without_its_extra_says_so_in_one_line(bare: Path) -> None:
    done = run(bare / "twofold", "models", cwd=bare)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith(" is not installed: pip install 'twofold[cli]'\n")
    assert len(done.stderr.splitlines()) == 1
