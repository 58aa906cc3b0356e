"""Model cards: the tasks of each side, the sizes, and the windows over long documents."""

import pytest

from twofold import InputError, ModelCard, Task
from twofold.cards import CARDS, JINA_V3, find_card
from twofold.models import BARE

SIZES = ("small", "base", "large")
WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
PROMPTS = {
    "jinaai/jina-embeddings-v3": (
        "Represent the query for retrieving evidence documents: ",
        "Represent the document for retrieval: ",
    ),
    "intfloat/multilingual-e5-large": ("query: ", "passage: "),
    "intfloat/e5-small-v2": ("query: ", "passage: "),
    "BAAI/bge-large-en-v1.5": ("Represent this sentence for searching relevant passages: ", ""),
    "BAAI/bge-m3": ("", ""),
    "jinaai/jina-embeddings-v2-base-de": ("", ""),
    "sentence-transformers/all-MiniLM-L6-v2": ("", ""),
    "Qwen/Qwen3-Embedding-0.6B": (WEB, ""),
    "google/embeddinggemma-300m": ("task: search result | query: ", "title: none | text: "),
    "nomic-ai/nomic-embed-text-v1.5": ("search_query: ", "search_document: "),
    "nomic-ai/modernbert-embed-base": ("search_query: ", "search_document: "),
    "jinaai/jina-embeddings-v5-text-small-retrieval": ("Query: ", "Document: "),
    "jinaai/jina-embeddings-v5-text-nano-clustering": ("Document: ", "Document: "),
    "jinaai/jina-code-embeddings-1.5b": (
        "Find the most relevant code snippet given the following query:\n",
        "Candidate code snippet:\n",
    ),
    "intfloat/multilingual-e5-large-instruct": (f"{WEB} ", ""),
    "intfloat/e5-mistral-7b-instruct": (f"{WEB} ", ""),
    "Snowflake/snowflake-arctic-embed-l-v2.0": ("query: ", ""),
    "mixedbread-ai/mxbai-embed-large-v1": ("Represent this sentence for searching relevant passages: ", ""),
    "MongoDB/mdbr-leaf-ir-asym": ("Represent this sentence for searching relevant passages: ", ""),
    "Alibaba-NLP/gte-modernbert-base": ("", ""),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_each_side_has_the_prompt_of_its_paper(name: str) -> None:
    card = CARDS[name]
    assert (card.side("query").prefix, card.side("document").prefix) == PROMPTS[name]


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_agrees_with_itself(card: ModelCard) -> None:
    names = [task.name for task in card.tasks]
    assert len(set(names)) == len(names)
    assert card.task(card.query_task)
    assert card.task(card.document_task)
    assert all(1 <= size <= card.width for size in card.matryoshka)
    assert card.licence != "unknown"
    assert card.max_tokens >= 128


def test_the_adapters_of_v3_are_switched_by_task() -> None:
    assert JINA_V3.side("query").adapter == "retrieval.query"
    assert JINA_V3.side("document").adapter == "retrieval.passage"
    assert JINA_V3.side("query", "separation") == Task("separation", "", "separation")
    assert JINA_V3.side("query", None) is BARE


def test_an_unknown_task_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no task 'retrieval': it has 'retrieval.query', 'retrieval.passage', 'sep"):
        JINA_V3.task("retrieval")
    with pytest.raises(InputError, match="no task 'query': it has no tasks; None is the bare model"):
        CARDS["BAAI/bge-m3"].side("query", "query")


@pytest.mark.parametrize("size", [1, 100, 1024])
def test_any_size_up_to_the_width(size: int) -> None:
    assert JINA_V3.check_dimensions(size) == size


def test_no_size_is_the_width() -> None:
    assert JINA_V3.check_dimensions(None) == 1024


@pytest.mark.parametrize("size", [0, -1, 1025])
def test_a_size_outside_names_the_width(size: int) -> None:
    with pytest.raises(InputError, match=f"dimensions={size}, but jinaai/jina-embeddings-v3 has 1 to 1024"):
        JINA_V3.check_dimensions(size)


@pytest.mark.parametrize(
    ("window", "overlap", "policy"),
    [(None, None, (8192, 512)), (1000, None, (1000, 500)), (4096, 0, (4096, 0)), (None, 100, (8192, 100))],
)
def test_windows_over_a_long_document(window: int | None, overlap: int | None, policy: tuple[int, int]) -> None:
    assert JINA_V3.late_policy(window, overlap) == policy


def test_a_window_that_can_not_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"late_window=9000, .* at most 8192 tokens"):
        JINA_V3.late_policy(9000, None)
    with pytest.raises(InputError, match="late_overlap=100: it must be less than the window of 100"):
        JINA_V3.late_policy(100, 100)


def test_a_card_is_found_by_either_name() -> None:
    assert find_card("jinaai/jina-embeddings-v3") is JINA_V3
    assert find_card("jina-embeddings-v3") is JINA_V3
    assert find_card("someone/jina-embeddings-v3") is None
    assert find_card("") is None


def test_every_model_that_is_promised_has_a_card() -> None:
    v2 = {
        f"jinaai/jina-embeddings-v2-{kind}"
        for kind in ["small-en", "base-en", "base-de", "base-es", "base-zh", "base-code"]
    }
    e5 = {f"intfloat/{kind}" for size in SIZES for kind in (f"multilingual-e5-{size}", f"e5-{size}-v2")}
    bge = {f"BAAI/bge-{size}-en-v1.5" for size in SIZES} | {"BAAI/bge-m3"}
    assert v2 | e5 | bge | {JINA_V3.name, "sentence-transformers/all-MiniLM-L6-v2"} <= set(CARDS)
