"""Tiny checkpoints in the layouts in which embedding models are published, with the prompts that each side should get.

`LAYOUTS` maps the name of a layout to its maker and to what is published about it. Weights are random.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from support.checkpoints import (
    HEADS,
    INNER,
    LAYERS,
    WIDTH,
    bert,
    randomise,
    sentence_transformers_files,
    unigram,
    wordpiece,
    write_json,
    xlm_roberta,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = "model.safetensors"
LENGTH = 128
WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
V5_TASKS = ("retrieval", "text-matching", "clustering", "classification")
CODE_TASKS = ("nl2code", "qa", "code2code", "code2nl", "code2completion")
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
DENSE = "sentence_transformers.models.Dense"


@dataclass(frozen=True)
class Layout:
    """A published layout.

    Attributes:
        make: writes a checkpoint into a folder.
        published: models that have it.
        query, document: the prompt of each side.
        unclear: whether Twofold should ask for the tasks, as the names of the prompts do not tell the sides.
        refused: part of the message, if no engine can run it.
        convert: changes the folder into one with the same vectors that sentence-transformers runs without its code.
    """

    make: Callable[[Path], None]
    published: str
    query: str = ""
    document: str = ""
    unclear: bool = False
    refused: str = ""
    convert: Callable[[Path], None] | None = None


def byte_level(folder: Path) -> int:
    """Write a tokenizer like Qwen's: byte-level BPE that appends `<|endoftext|>`. Returns its vocabulary size."""
    special = ["<|endoftext|>"]
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, []))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 131072,
            "pad_token": special[0],
            "eos_token": special[0],
            "padding_side": "left",
        },
    )
    return tokenizer.get_vocab_size()


def _as(folder: Path, kind: str, **special: str) -> None:
    """Name the class of the tokenizer and its special tokens."""
    edit(folder / "tokenizer_config.json", tokenizer_class=kind, model_max_length=512, **special)


def unigram_fast(folder: Path) -> int:
    """Write a tokenizer like XLM-RoBERTa's, without its class. Returns its vocabulary size."""
    vocabulary = unigram(folder)
    _as(folder, "PreTrainedTokenizerFast", pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    return vocabulary


def edit(file: Path, **changes: Any) -> None:
    """Change values of a JSON file."""
    write_json(file, {**json.loads(file.read_text("utf-8")), **changes})


def add_module(folder: Path, path: str, kind: str, before: int | None = None) -> None:
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    entry = {"idx": len(modules), "name": str(len(modules)), "path": path, "type": kind}
    modules.insert(len(modules) if before is None else before, entry)
    write_json(folder / "modules.json", modules)


def st(folder: Path, pooling: str = "mean", *, default: str | None = None, **prompts: str) -> None:
    """sentence-transformers' files."""
    sentence_transformers_files(folder, pooling, LENGTH, **prompts)
    edit(folder / "config_sentence_transformers.json", default_prompt_name=default)


def model(name: str, folder: Path, vocabulary: int, **more: Any) -> Any:
    """A random model of transformers, saved in the folder: `name` is "Bert", "MPNet" and so on."""
    import transformers

    config = getattr(transformers, f"{name}Config")(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_attention_heads=HEADS,
        **{"num_hidden_layers": LAYERS, "max_position_embeddings": 512, **more},
    )
    made = getattr(transformers, f"{name}Model")(config)
    randomise(made, 0)
    made.save_pretrained(folder)
    return made


def decoder(name: str, folder: Path, vocabulary: int, **more: Any) -> Any:
    """A model with Llama's structure."""
    return model(name, folder, vocabulary, **{"num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 0, **more})


def qwen3(folder: Path) -> Any:
    return decoder("Qwen3", folder, byte_level(folder), head_dim=16, pad_token_id=0)


def qwen2(folder: Path) -> None:
    decoder("Qwen2", folder, byte_level(folder), pad_token_id=0)


def qwen3_embedding(folder: Path) -> None:
    qwen3(folder)
    st(folder, "last", query=WEB, document="")


def _v5(folder: Path) -> None:
    """The base of jina-embeddings-v5 with one adapter for each task."""
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model

    base = qwen3(folder)
    for number, task in enumerate(V5_TASKS):
        config = LoraConfig(r=4, lora_alpha=4, target_modules=PROJECTIONS, task_type="FEATURE_EXTRACTION")
        adapted = get_peft_model(deepcopy(base), config)
        generator = torch.Generator().manual_seed(number)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        adapted.save_pretrained(str(folder / "adapters" / task))
    st(folder, "last", query="Query: ", document="Document: ")


def v5_base(folder: Path) -> None:
    _v5(folder)
    code = {"AutoConfig": "configuration_v5.JinaEmbeddingsV5Config", "AutoModel": "modeling_v5.JinaEmbeddingsV5Model"}
    edit(folder / "config.json", model_type="jina_embeddings_v5", task_names=V5_TASKS, auto_map=code)
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[0]["type"] = "custom_st.Transformer"
    write_json(folder / "modules.json", modules)


def merge_v5(folder: Path) -> None:
    """Merge the adapter for retrieval."""
    from peft import PeftModel
    from transformers import Qwen3Model

    edit(folder / "config.json", model_type="qwen3", auto_map={}, architectures=["Qwen3Model"])
    base = Qwen3Model.from_pretrained(folder)
    PeftModel.from_pretrained(base, str(folder / "adapters" / "retrieval")).merge_and_unload().save_pretrained(folder)
    shutil.rmtree(folder / "adapters")
    st(folder, "last", query="Query: ", document="Document: ")


def attend_both_ways(folder: Path) -> None:
    edit(folder / "config.json", is_causal=False)


def name_gte(folder: Path) -> None:
    edit(folder / "config.json", model_type="gte", auto_map={})


def v5_merged(folder: Path) -> None:
    qwen3(folder)
    st(folder, "last", default="document", query="Query: ", document="Document: ")


def v5_nano_merged(folder: Path) -> None:
    vocabulary = byte_level(folder)
    decoder("EuroBert", folder, vocabulary, num_key_value_heads=HEADS, pad_token_id=0, mask_token_id=0)
    st(folder, "last", query="Query: ", document="Document: ")


def dense(folder: Path, name: str, inputs: int, outputs: int, *, bias: bool) -> None:
    """A Dense module without activation."""
    generator = torch.Generator().manual_seed(inputs)
    tensors = {"linear.weight": torch.randn(outputs, inputs, generator=generator) * 0.3}
    tensors |= {"linear.bias": torch.randn(outputs, generator=generator)} if bias else {}
    sizes = {"in_features": inputs, "out_features": outputs, "bias": bias}
    identity = "torch.nn.modules.linear.Identity"
    write_json(folder / name / "config.json", {**sizes, "activation_function": identity})
    save_file(tensors, folder / name / WEIGHTS)


def embeddinggemma(folder: Path) -> None:
    decoder(
        "Gemma3Text",
        folder,
        unigram_fast(folder),
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=8,
        use_bidirectional_attention=True,
        query_pre_attn_scalar=16,
        pad_token_id=1,
        eos_token_id=2,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    )
    query, document = "task: search result | query: ", "title: none | text: "
    st(
        folder,
        query=query,
        document=document,
        **{"Retrieval-query": query, "STS": "task: sentence similarity | query: "},
    )
    for place, (name, inputs, outputs) in enumerate((("2_Dense", WIDTH, INNER), ("3_Dense", INNER, WIDTH)), 2):
        dense(folder, name, inputs, outputs, bias=False)
        add_module(folder, name, DENSE, before=place)


def modernbert(folder: Path) -> None:
    vocabulary = wordpiece(folder)
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    _as(folder, "PreTrainedTokenizerFast", **names)
    ids = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    local = {"local_attention": 8, "global_attn_every_n_layers": 3}
    model("ModernBert", folder, vocabulary, num_hidden_layers=4, **local, **ids)


def gte_modernbert(folder: Path) -> None:
    modernbert(folder)
    st(folder, "cls")


def modernbert_embed(folder: Path) -> None:
    modernbert(folder)
    st(folder, search_query="search_query: ", search_document="search_document: ")


def bge_m3(folder: Path) -> None:
    xlm_roberta(folder)
    st(folder, "cls")


def bge_m3_pickled(folder: Path) -> None:
    bge_m3(folder)
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def e5_instruct(folder: Path) -> None:
    xlm_roberta(folder)
    st(folder)


def arctic_l(folder: Path) -> None:
    xlm_roberta(folder)
    st(folder, "cls", query="query: ")


def paraphrase(folder: Path) -> None:
    model("Bert", folder, unigram_fast(folder))
    st(folder)


def mxbai(folder: Path) -> None:
    bert(folder)
    save_file({name: tensor.half() for name, tensor in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    st(folder, "cls", query="Represent this sentence for searching relevant passages: ", passage="")


def _mpnet(folder: Path) -> None:
    model("MPNet", folder, unigram_fast(folder), pad_token_id=1)


def mpnet(folder: Path) -> None:
    _mpnet(folder)
    st(folder)


def _nomic(folder: Path) -> None:
    model("NomicBert", folder, wordpiece(folder))


def nomic(folder: Path) -> None:
    _nomic(folder)
    st(folder)


def nomic_with_prompts(folder: Path) -> None:
    _nomic(folder)
    st(folder, query="search_query: ", passage="search_document: ", Classification="classification: ")


def nomic_moe(folder: Path) -> None:
    """Every second layer has experts, which transformers' class does not have."""
    nomic_with_prompts(folder)
    code = {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"}
    edit(folder / "config.json", auto_map=code, num_experts=8, moe_every_n_layers=2, activation_function="gelu")
    tensors = load_file(folder / WEIGHTS)
    for name in [name for name in tensors if "layers.1.mlp" in name]:
        tensors[name.replace(".mlp.", ".mlp.experts.0.")] = tensors.pop(name)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def _gte(folder: Path) -> None:
    model("Gte", folder, unigram(folder), pad_token_id=1)


def arctic_m(folder: Path) -> None:
    _gte(folder)
    st(folder, "cls", query="query: ")


def gte_multilingual(folder: Path) -> None:
    _gte(folder)
    code = {"AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig"}
    code["AutoModel"] = "Alibaba-NLP/new-impl--modeling.NewModel"
    edit(folder / "config.json", model_type="new", auto_map=code)
    st(folder, "cls")


def jina_code(folder: Path) -> None:
    qwen2(folder)
    prompts = {f"{task}_{side}": f"{task} {side}:\n" for task in CODE_TASKS for side in ("query", "document")}
    st(folder, "last", **prompts)


def gte_qwen2(folder: Path) -> None:
    qwen2(folder)
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_qwen.Qwen2Model"})
    st(folder, "last", query=f"{WEB} ")


def kalm(folder: Path) -> None:
    qwen2(folder)
    edit(folder / "config.json", is_causal=False, auto_map={"AutoModel": "modeling.Qwen2Model"})
    st(folder, query=WEB)


def nemotron(folder: Path) -> None:
    decoder("Llama", folder, byte_level(folder), pad_token_id=0)
    code = {"AutoModel": "llama_bidirectional_model.LlamaBidirectionalModel"}
    edit(folder / "config.json", model_type="llama_bidirec", auto_map=code)
    st(folder, query="Instruct: Given a question, retrieve passages\nQuery:", document="")


def mistral(folder: Path) -> None:
    decoder("Mistral", folder, unigram_fast(folder), pad_token_id=1, eos_token_id=2, sliding_window=None)
    st(folder, "last", web_search_query=f"{WEB} ", sts_query="Instruct: Retrieve similar text.\nQuery: ")


def _outside(folder: Path) -> None:
    st(folder, query="search_query: ", document="title: none | text: ")
    edit(folder / "1_Pooling" / "config.json", include_prompt=False)


def prompt_outside(folder: Path) -> None:
    _mpnet(folder)
    _outside(folder)


def prompt_outside_bert(folder: Path) -> None:
    bert(folder)
    _outside(folder)


def _static(folder: Path, tensor: str) -> None:
    table = torch.randn(wordpiece(folder), WIDTH, generator=torch.Generator().manual_seed(0))
    save_file({tensor: table}, folder / WEIGHTS)
    write_json(folder / "modules.json", [])
    add_module(folder, "", "sentence_transformers.models.StaticEmbedding")
    add_module(folder, "1_Normalize", "sentence_transformers.models.Normalize")
    (folder / "1_Normalize").mkdir()


def static(folder: Path) -> None:
    _static(folder, "embedding.weight")


def model2vec(folder: Path) -> None:
    _static(folder, "embeddings")
    write_json(folder / "config.json", {"model_type": "model2vec", "hidden_dim": WIDTH, "normalize": True})


def router(folder: Path) -> None:
    """One model for queries and another for documents."""
    kinds: dict[str, str] = {}
    for side, pooling, seed in (("query", "mean", 1), ("document", "cls", 2)):
        bert(folder / f"{side}_0", seed=seed)
        write_json(folder / f"{side}_0" / "sentence_bert_config.json", {"max_seq_length": LENGTH})
        write_json(folder / f"{side}_1" / "config.json", {"embedding_dimension": WIDTH, "pooling_mode": pooling})
        kinds |= {f"{side}_0": "sentence_transformers.models.Transformer"}
        kinds |= {f"{side}_1": "sentence_transformers.models.Pooling"}
    structure = {side: [f"{side}_0", f"{side}_1"] for side in ("query", "document")}
    parameters = {"default_route": "document", "allow_empty_key": True}
    write_json(folder / "router_config.json", {"types": kinds, "structure": structure, "parameters": parameters})
    write_json(folder / "modules.json", [])
    add_module(folder, "", "sentence_transformers.models.Router")
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "query: "}})


def stella(folder: Path) -> None:
    qwen2(folder)
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_qwen.Qwen2Model"})
    st(folder, s2p_query=WEB, s2s_query="Instruct: Retrieve semantically similar text.\nQuery: ")
    dense(folder, "2_Dense_64", WIDTH, 64, bias=True)
    add_module(folder, "2_Dense_64", DENSE, before=2)


def empty_prompt(folder: Path) -> None:
    _mpnet(folder)
    st(folder, default="query", query=WEB, document="")


def empty_prompt_bert(folder: Path) -> None:
    bert(folder)
    st(folder, "cls", default="query", query=WEB, document="")


def gguf(folder: Path) -> None:
    write_json(folder / "config.json", {"model_type": "qwen3"})
    (folder / "model-Q8_0.gguf").write_bytes(b"GGUF")


def onnx(folder: Path) -> None:
    write_json(folder / "config.json", {"model_type": "bert"})
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"onnx")


_GEMMA = ("task: search result | query: ", "title: none | text: ")
_NOMIC = ("search_query: ", "search_document: ")
_V5 = ("Query: ", "Document: ")
_BOTH_WAYS = "attends in both directions"
LAYOUTS: dict[str, Layout] = {
    "Qwen3": Layout(qwen3_embedding, "Qwen3-Embedding 0.6B, 4B, 8B", WEB),
    "Jina v5 with adapters": Layout(
        v5_base, "jina-embeddings-v5-text-small, -nano", *_V5, refused="v5-text-small-retrieval", convert=merge_v5
    ),
    "Jina v5 with adapters, saved as Qwen3": Layout(
        _v5, "copies of jina-embeddings-v5-text-small", *_V5, refused="adapters that nothing applies", convert=merge_v5
    ),
    "Jina v5 merged, Qwen3": Layout(v5_merged, "jina-embeddings-v5-text-small-retrieval and the other tasks", *_V5),
    "Jina v5 merged, EuroBERT": Layout(v5_nano_merged, "jina-embeddings-v5-text-nano-retrieval and the others", *_V5),
    "Gemma3 with Dense modules": Layout(embeddinggemma, "embeddinggemma-300m", *_GEMMA),
    "ModernBERT, first token": Layout(gte_modernbert, "gte-modernbert-base, granite-embedding r2"),
    "ModernBERT, mean": Layout(modernbert_embed, "modernbert-embed-base", *_NOMIC),
    "XLM-RoBERTa, first token": Layout(bge_m3, "bge-m3, granite-embedding 107m, 278m multilingual"),
    "XLM-RoBERTa, pickled": Layout(bge_m3_pickled, "bge-m3 as published", refused="convert it to model.safetensors"),
    "XLM-RoBERTa, mean": Layout(e5_instruct, "multilingual-e5, multilingual-e5-large-instruct"),
    "XLM-RoBERTa with a query prompt": Layout(arctic_l, "snowflake-arctic-embed-l-v2.0", "query: "),
    "BERT with a Unigram tokenizer": Layout(paraphrase, "paraphrase-multilingual-MiniLM-L12-v2"),
    "BERT in float16": Layout(
        mxbai, "mxbai-embed-large-v1", "Represent this sentence for searching relevant passages: "
    ),
    "MPNet": Layout(mpnet, "all-mpnet-base-v2"),
    "Nomic": Layout(nomic, "nomic-embed-text-v1, v1.5"),
    "Nomic with prompts": Layout(nomic_with_prompts, "models trained from nomic-embed-text", *_NOMIC),
    "Nomic with experts": Layout(nomic_moe, "nomic-embed-text-v2-moe", *_NOMIC, refused="nomic-embed-text-v1.5"),
    "GTE": Layout(arctic_m, "snowflake-arctic-embed-m-v2.0, gte-multilingual-base converted", "query: "),
    "GTE with its own code": Layout(
        gte_multilingual,
        "gte-multilingual-base",
        refused="alibaba-nlp-community/gte-multilingual-base",
        convert=name_gte,
    ),
    "Qwen2 with ten prompts": Layout(jina_code, "jina-code-embeddings-0.5b, 1.5b", unclear=True),
    "Qwen2 with its own code": Layout(
        gte_qwen2, "gte-Qwen2-7B-instruct", f"{WEB} ", refused=_BOTH_WAYS, convert=attend_both_ways
    ),
    "Qwen2 with `is_causal: false`": Layout(kalm, "KaLM-embedding v2, v2.5", WEB),
    "Llama with its own code": Layout(nemotron, "llama-embed-nemotron-8b", refused=_BOTH_WAYS),
    "Mistral with two query prompts": Layout(mistral, "e5-mistral-7b-instruct", unclear=True),
    "MPNet, prompt not pooled": Layout(prompt_outside, "INSTRUCTOR and others", "search_query: ", _GEMMA[1]),
    "BERT, prompt not pooled": Layout(prompt_outside_bert, "INSTRUCTOR and others", "search_query: ", _GEMMA[1]),
    "A table of words": Layout(static, "static-retrieval-mrl-en-v1"),
    "A table of words, model2vec": Layout(model2vec, "potion-base-8M, potion-retrieval-32M"),
    "Router": Layout(router, "mdbr-leaf-ir-asym, mdbr-leaf-mt-asym", "query: "),
    "Qwen2 with its own code and a Dense module": Layout(
        stella, "stella_en_1.5B_v5", unclear=True, refused=_BOTH_WAYS, convert=attend_both_ways
    ),
    "MPNet with an empty prompt": Layout(empty_prompt, "a default prompt, and an empty one for documents", WEB),
    "BERT with an empty prompt": Layout(empty_prompt_bert, "a default prompt, and an empty one for documents", WEB),
    "GGUF files": Layout(gguf, "repositories for llama.cpp and Ollama", refused="has only GGUF files"),
    "ONNX files": Layout(onnx, "repositories for ONNX Runtime", refused="has only ONNX files"),
}
