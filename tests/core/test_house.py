"""Which file may import which, read from the imports themselves."""

from __future__ import annotations

import ast
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HOSTS = {"chroma_twofold": "chromadb", "langchain_twofold": "langchain_core", "weaviate_twofold": "weaviate"}
HOSTS |= {"llama_index_twofold": "llama_index"}

FLOORS = [
    {"errors", "extras", "models", "documents", "offsets", "vectors", "space", "keys", "settings"}
    | {"cache", "progress", "backend", "cards", "wires"},
    {"fake", "local", "hosted"},
    {"resolve"},
    {"embedder"},
    {"stores", "doctor"},
    {"adapters", "jobs", "testing", "server"},
    {"demo"},
    {"cli", "__main__"},
]
"""From the bottom up: a module may import from its own floor and from the floors below it."""


def module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module(file): file for folder in ("core", "integrations") for file in (ROOT / folder).rglob("*.py")}


def imported(tree: ast.AST, *, types: bool) -> Iterator[str]:
    """Every module that a file imports; without `types`, only those it imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in FILES else node.module
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types:
            yield from chain.from_iterable(imported(child, types=types) for child in node.orelse)
        else:
            yield from imported(node, types=types)


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text("utf-8"))


@cache
def imports(name: str, *, types: bool = False) -> frozenset[str]:
    return frozenset(imported(tree(name), types=types))


def ours(name: str, *, types: bool = False) -> set[str]:
    return {one for one in imports(name, types=types) if one in FILES and one != name}


def floor(name: str) -> int:
    room = name.split(".")[1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


CORE = sorted(name for name in FILES if name.startswith("twofold."))


def test_no_import_points_upward() -> None:
    upward = {(name, one) for name in CORE for one in ours(name) if one != "twofold" and floor(one) > floor(name)}
    assert upward == set()


def test_no_two_files_import_each_other() -> None:
    arrows = {name: ours(name, types=True) for name in FILES}
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


PUBLIC = ("twofold", "twofold.adapters", "twofold.stores")


def test_integrations_import_only_the_public_modules_and_their_host() -> None:
    wrong = set()
    for name in FILES:
        package = name.split(".", maxsplit=1)[0]
        if package not in HOSTS:
            continue
        others = {host for own, host in HOSTS.items() if own != package}
        for one in imports(name, types=True):
            inner = (
                one in FILES
                and one.split(".")[0] != package
                and one not in ("twofold", "twofold.adapters", "twofold.stores")
            )
            if inner or one.split(".")[0] in others:
                wrong.add((name, one))
    assert wrong == set()


def test_nothing_in_the_core_imports_a_host() -> None:
    hosts = {*HOSTS, *HOSTS.values(), "langchain_chroma", "langchain_weaviate", "langchain_text_splitters"}
    found = {(name, one) for name in CORE for one in imports(name, types=True) if one.split(".")[0] in hosts}
    assert found == set()


def test_every_integration_has_the_same_files_and_functions() -> None:
    for package in HOSTS:
        for file in ("embedding.py", "store.py", "demo.py"):
            assert (ROOT / "integrations" / package / file).exists(), f"{package} has no {file}"
        exported = (ROOT / "integrations" / package / "__init__.py").read_text("utf-8")
        for name in ("open_collection", "aopen_collection", "add_documents", "aadd_documents"):
            assert f'"{name}"' in exported, f"{package} does not export {name}"
