"""Tests each extra alone, from the wheel. `python alone.py` lists them for CI, `python -I alone.py EXTRA` tests one."""

import importlib
import json
import sys
import tomllib
from pathlib import Path

BRINGS = {
    "local": ["twofold.local.backend", "twofold.local.encoder"],
    "hosted": ["twofold.hosted.backend", "twofold.hosted.http"],
    "aws": ["twofold.hosted.aws"],
    "chroma": ["chroma_twofold"],
    "langchain": ["langchain_twofold"],
    "llama-index": ["llama_index_twofold"],
    "weaviate": ["weaviate_twofold"],
    "cli": ["twofold.cli.app", "twofold.cli.index", "twofold.cli.search"],
    "server": ["twofold.server"],
    "chunks": ["twofold.jobs.chunking"],
    "inputs": ["twofold.jobs.readers.pages", "twofold.jobs.readers.tables"],
    "parquet": ["twofold.jobs.readers.tables"],
    "plot": ["twofold.cli.pictures"],
    "sentence-transformers": ["twofold.local.sentence_transformers"],
    "demo": ["twofold.demo.corpus", "chroma_twofold.demo"],
}
"""Extra -> the modules that can be imported with it, besides the core."""


def every_extra() -> list[str]:
    """The project's extras, except `all`."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(file.read_text("utf-8"))["project"]["optional-dependencies"]
    return sorted(set(extras) - {"all"})


def attempt(extra: str) -> None:
    """Import the extra's modules, and embed a text.

    Raises:
        SystemExit: a library is missing.
    """
    from twofold import Embedder, MissingExtra

    try:
        for module in BRINGS.get(extra, []):
            importlib.import_module(module)
    except MissingExtra as error:
        raise SystemExit(f"[{extra}] alone: {error}") from error
    assert Embedder("fake:").embed_query("nine ships").shape == (64,)
    sys.stdout.write(f"[{extra}] alone: {', '.join(BRINGS.get(extra, ['the core']))}\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        attempt(sys.argv[1])
    else:
        sys.stdout.write(f"extras={json.dumps(every_extra())}\n")
