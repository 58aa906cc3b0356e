"""The house: who may import whom, read from the imports themselves."""

from __future__ import annotations

import ast
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HOSTS = {"chroma_twofold": "chromadb", "langchain_twofold": "langchain_core", "weaviate_twofold": "weaviate"}
HOSTS |= {"llama_index_twofold": "llama_index"}

FLOORS = [
    {"errors", "extras", "models", "documents", "offsets", "vectors", "space", "keys", "settings"}
    | {"option", "arguments", "batches", "cache", "estimate", "progress", "backend", "cards", "wires"},
    {"fake", "local", "hosted"},
    {"resolve"},
    {"assembly", "lookup"},
    {"computing"},
    {"embedder"},
    {"stores", "doctor"},
    {"adapters", "jobs", "testing", "server"},
    {"demo"},
    {"cli", "__main__"},
]
"""From the ground up: a room imports from its own floor and from those below it."""


def module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module(file): file for folder in ("core", "integrations") for file in (ROOT / folder).rglob("*.py")}


def imported(tree: ast.AST, *, types: bool) -> Iterator[str]:
    """Every module that is imported anywhere in a file, or, without `types`, when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types:
            yield from chain.from_iterable(imported(child, types=types) for child in node.orelse)
        else:
            yield from imported(node, types=types)


def imports(name: str, *, types: bool = False) -> set[str]:
    return set(imported(ast.parse(FILES[name].read_text("utf-8")), types=types))


def ours(name: str) -> set[str]:
    return {one for one in imports(name) if one in FILES and one != name}


def floor(name: str) -> int:
    room = name.split(".")[1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


CORE = sorted(name for name in FILES if name.startswith("twofold."))


@pytest.mark.parametrize("name", CORE)
def test_no_arrow_runs_upward(name: str) -> None:
    above = [one for one in ours(name) if one != "twofold" and floor(one) > floor(name)]
    assert above == []


def test_no_two_files_import_each_other() -> None:
    arrows = {name: {one for one in ours(name) if FILES[one].name != "__init__.py"} for name in FILES}
    reached: dict[str, set[str]] = {}
    for start, first in arrows.items():
        found, waiting = set(), list(first)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += arrows[one]
        reached[start] = found
    assert sorted(name for name in arrows if name in reached[name]) == []


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.split(".")[0] in HOSTS))
def test_integrations_import_the_seam_and_their_host_alone(name: str) -> None:
    package = name.split(".", maxsplit=1)[0]
    inner = [one for one in imports(name, types=True) if one in FILES and one.split(".")[0] != package]
    assert [one for one in inner if one not in ("twofold", "twofold.adapters")] == []
    others = {host for own, host in HOSTS.items() if own != package}
    assert [one for one in imports(name, types=True) if one.split(".")[0] in others] == []


@pytest.mark.parametrize("name", CORE)
def test_nothing_in_the_core_imports_a_host(name: str) -> None:
    hosts = {*HOSTS, *HOSTS.values(), "langchain_chroma", "langchain_weaviate", "langchain_text_splitters"}
    assert [one for one in imports(name, types=True) if one.split(".")[0] in hosts] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_has_at_most_250_lines(name: str) -> None:
    most = 400 if name in ("twofold.local.encoder", "twofold.hosted.flow") else 250
    assert len(FILES[name].read_text("utf-8").splitlines()) <= most


def test_the_packages_of_the_hosts_have_the_same_faces() -> None:
    for package in HOSTS:
        for file in ("embedding.py", "store.py", "demo.py"):
            assert (ROOT / "integrations" / package / file).exists(), f"{package} has no {file}"
        exported = (ROOT / "integrations" / package / "__init__.py").read_text("utf-8")
        for face in ("open_collection", "aopen_collection", "add_documents", "aadd_documents"):
            assert f'"{face}"' in exported, f"{package} does not export {face}"
