"""The open model that writes the answer: any server that speaks OpenAI's chat API (Ollama, llama.cpp, vLLM, …)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable

PROMPT = """Answer only from these passages, and name the file you used. If none has an answer, say "I do not know".

{passages}

Question: {question}"""


def arguments(about: str | None) -> argparse.Namespace:
    """A folder of Markdown files, a question, and who answers."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("folder", help="Markdown files")
    parser.add_argument("question")
    parser.add_argument("--embedder", default="sentence-transformers/all-MiniLM-L6-v2", help="any model of Twofold's")
    parser.add_argument("--llm", default="http://localhost:11434/v1", help="a server that speaks OpenAI's API")
    parser.add_argument("--llm-model", default="qwen3:4b", help="the model's name there")
    return parser.parse_args()


def answer(given: argparse.Namespace, passages: Iterable[tuple[str, str]]) -> str:
    """What the model says of the passages, each a file's name and a text."""
    told = "\n".join(f"[{name}] {text}" for name, text in passages)
    prompt = PROMPT.format(passages=told, question=given.question)
    body = {"model": given.llm_model, "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
    response = httpx.post(f"{given.llm}/chat/completions", json=body, timeout=300)
    content: str = response.raise_for_status().json()["choices"][0]["message"]["content"]
    return content
