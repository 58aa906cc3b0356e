"""Tiny random checkpoints in the published layouts. The fixture `made` makes each of them once per session.

Each maker writes a folder laid out like the original authors' files and returns the reference: a function from the
token ids of one sequence and a task to the last hidden states. The reference is transformers' own model. For JinaBERT
v2, which transformers does not have, it is a forward pass written here from the published description.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TASKS = ("retrieval.query", "retrieval.passage", "separation", "classification", "text-matching")
INSTRUCTIONS = {
    "retrieval.query": "Represent the query for retrieving evidence documents: ",
    "retrieval.passage": "Represent the document for retrieval: ",
}
CORPUS = [
    "The lighthouse keeper counted nine ships before the fog came in over the harbour.",
    "Represent the query for retrieving evidence documents and represent the document for retrieval.",
    "How do I remove a directory and everything in it? Berlin ist die Hauptstadt Deutschlands.",
    "query: passage: 東京の地下鉄は朝八時に最も混雑する。 Привет, мир! مرحبا بالعالم",
    *("abcdefghijklmnopqrstuvwxyz" * 2, "0123456789 .,;:!?'\"()[]{}-+*/=<>_"),
]
WIDTH, HEADS, INNER, LAYERS, RANK = 48, 4, 96, 3, 4
VOCABULARY, LONGEST_PIECE = 300, 8


@dataclass(frozen=True)
class Made:
    """A checkpoint folder and its reference: (ids, adapter) -> hidden states (S, H)."""

    folder: Path
    hidden: Callable[[list[int], str | None], torch.Tensor]


def write_json(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), "utf-8")


def pieces_of(tokenizer: Tokenizer, size: int, inside: str = "") -> dict[str, int]:
    """The characters of the corpus and its most frequent pieces, with their counts.

    `inside` is the mark of a piece that does not start a word. With it, whole words come before other pieces. The
    library's trainers return another vocabulary in each process, so that a test could fail in one of many runs.
    """
    counts: Counter[str] = Counter({inside + character: 1 for character in "".join(CORPUS) if not character.isspace()})
    words: set[str] = set()
    for line in CORPUS:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line)):
            words |= {word} if inside else set()
            counts[word] += 1
            for start in range(len(word)):
                counts[word[start]] += 1
                for end in range(start + 1, min(start + LONGEST_PIECE, len(word)) + 1):
                    counts[(inside if start else "") + word[start:end]] += 1

    def worth(piece: str) -> tuple[bool, bool, int, str]:
        length = len(piece.removeprefix(inside))
        return length > 1, piece not in words, -counts[piece] * (length - 1), piece

    return {piece: counts[piece] for piece in sorted(counts, key=worth)[:size]}


def wordpiece(folder: Path) -> int:
    """Write a tokenizer like BERT's, `[CLS] A [SEP]`, and return its vocabulary size."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *pieces_of(tokenizer, VOCABULARY - len(special), inside="##")]
    tokenizer.model = models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_truncation(16)  # published files set both; the engine must switch them off
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "model_max_length": 512})
    return tokenizer.get_vocab_size()


def unigram(folder: Path, *, split: bool = True) -> int:
    """Write a tokenizer like XLM-RoBERTa's, `<s> A </s>`, and return its vocabulary size.

    Without `split`, a token's offsets include the space before it.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    space = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space]) if split else space
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    counts = pieces_of(tokenizer, VOCABULARY // 2)  # little more than characters, so that words have several tokens
    scores = [(piece, math.log(count / sum(counts.values()))) for piece, count in counts.items()]
    tokenizer.model = models.Unigram([*((name, 0.0) for name in special), *scores], special.index("<unk>"))
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 8194})
    return tokenizer.get_vocab_size()


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Set weights and norms far enough from zero and one that a misplaced one changes the result."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + (parameter.ndim == 1) * 0.5)
    model.train(mode=False)


def sentence_transformers_files(folder: Path, pooling: str = "mean", length: int = 128, **prompts: str) -> None:
    """Write the files that sentence-transformers adds to a model: modules, pooling, maximum length, prompts."""
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(kinds)
        ],
    )
    modes = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken"}
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": WIDTH,
            **{f"pooling_mode_{name}": kind == pooling for kind, name in modes.items()},
        },
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    (folder / "2_Normalize").mkdir(exist_ok=True)


def _reference(model: Any) -> Callable[[list[int], str | None], torch.Tensor]:
    def hidden(ids: list[int], _adapter: str | None) -> torch.Tensor:
        with torch.no_grad():
            states: torch.Tensor = model(torch.tensor([ids])).last_hidden_state[0]
        return states

    return hidden


def bert(folder: Path, *, seed: int = 0) -> Made:
    """BERT as transformers saves it."""
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=wordpiece(folder),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=128,
    )
    model = BertModel(config)
    randomise(model, seed)
    model.save_pretrained(folder)
    return Made(folder, _reference(model))


def xlm_roberta(folder: Path, *, seed: int = 0) -> Made:
    """XLM-RoBERTa as transformers saves it. Its positions start after the padding id."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    folder.mkdir(parents=True, exist_ok=True)
    config = XLMRobertaConfig(
        vocab_size=unigram(folder),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    model = XLMRobertaModel(config)
    randomise(model, seed)
    model.save_pretrained(folder)
    return Made(folder, _reference(model))


def _v3_model(vocabulary: int, seed: int, length: int) -> Any:
    from transformers import JinaEmbeddingsV3Config, JinaEmbeddingsV3Model

    config = JinaEmbeddingsV3Config(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=length + 2,
    )
    model = JinaEmbeddingsV3Model(config)
    randomise(model, seed)
    return model


def _added(model: Any, deltas: dict[str, torch.Tensor]) -> Any:
    """The model after adding to its weights by name."""
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, delta in deltas.items():
            weights[name].add_(delta)
    return model


def _choose(variant: Callable[[str | None], Any]) -> Callable[[list[int], str | None], torch.Tensor]:
    """The reference over one model per task; `variant` builds it when a test first needs it."""
    variant = cache(variant)
    return lambda ids, adapter: _reference(variant(adapter))(ids, adapter)


_FLASH = {
    "self_attn.o_proj": "mixer.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "post_attention_layernorm": "norm1",
    "post_mlp_layernorm": "norm2",
}


def v3_original(folder: Path, *, seed: int = 0, length: int = 128, split: bool = True) -> Made:
    """Jina v3 in its original layout: fused projections, five stacked adapters on every linear layer and table."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = unigram(folder, split=split)
    state = _v3_model(vocabulary, seed, length).state_dict()
    generator = torch.Generator().manual_seed(seed + 1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.4

    tensors: dict[str, torch.Tensor] = {}
    terms: dict[str, dict[str, torch.Tensor]] = {task: {} for task in TASKS}

    def put(flash: str, names: list[str], *, table: bool = False) -> None:
        """Store one module with its adapters; `names` are the reference's weights that are stacked in it."""
        weight = torch.cat([state[f"{name}.weight"] for name in names])
        outputs, inputs = weight.shape
        a = random(5, outputs, RANK) if table else random(5, RANK, inputs)
        b = random(5, RANK, inputs) if table else random(5, outputs, RANK)
        tensors[f"{flash}.parametrizations.weight.original"] = weight.clone()
        tensors[f"{flash}.parametrizations.weight.0.lora_A"] = a
        tensors[f"{flash}.parametrizations.weight.0.lora_B"] = b
        for number, task in enumerate(TASKS):
            delta = (a[number] @ b[number] if table else b[number] @ a[number]) / RANK
            for name, part in zip(names, delta.chunk(len(names)), strict=True):
                terms[task][f"{name}.weight"] = part

    put("roberta.embeddings.word_embeddings", ["embeddings.word_embeddings"], table=True)
    put("roberta.embeddings.token_type_embeddings", ["embeddings.token_type_embeddings"], table=True)
    put("roberta.pooler.dense", ["pooler.dense"])
    tensors["roberta.pooler.dense.bias"] = state["pooler.dense.bias"]
    for kind in ("weight", "bias"):
        tensors[f"roberta.emb_ln.{kind}"] = state[f"embeddings.LayerNorm.{kind}"]
    for i in range(LAYERS):
        old, new = f"layers.{i}", f"roberta.encoder.layers.{i}"
        heads = [f"{old}.self_attn.{part}_proj" for part in "qkv"]
        put(f"{new}.mixer.Wqkv", heads)
        tensors[f"{new}.mixer.Wqkv.bias"] = torch.cat([state[f"{head}.bias"] for head in heads])
        for part, flash in _FLASH.items():
            if "norm" in part:
                tensors[f"{new}.{flash}.weight"] = state[f"{old}.{part}.weight"]
            else:
                put(f"{new}.{flash}", [f"{old}.{part}"])
            tensors[f"{new}.{flash}.bias"] = state[f"{old}.{part}.bias"]
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    write_json(
        folder / "config.json",
        {
            "model_type": "xlm-roberta",
            "architectures": ["XLMRobertaLoRA"],
            "num_attention_heads": HEADS,
            "layer_norm_eps": 1e-05,
            "hidden_act": "gelu",
            "max_position_embeddings": length + 2,
            "position_embedding_type": "rotary",
            "rotary_emb_base": 20000.0,
            "lora_adaptations": list(TASKS),
            "lora_rank": RANK,
            "lora_alpha": 1,
            "task_instructions": {task: INSTRUCTIONS.get(task, "") for task in TASKS},
            "matryoshka_dimensions": [8, 16, 32],
        },
    )
    return Made(folder, _choose(lambda task: _added(_v3_model(vocabulary, seed, length), terms.get(task or "", {}))))


def v3_hf(folder: Path, *, seed: int = 0, length: int = 128, saved_by_transformers: bool = False) -> Made:
    """Jina v3 as transformers has it: plain weights, and one adapter folder per task, saved by PEFT itself.

    transformers renames its own tensors to the original names when it saves. Published folders have either naming.
    """
    from peft import LoraConfig, get_peft_model

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = unigram(folder)
    bare = _v3_model(vocabulary, seed, length)
    bare.save_pretrained(folder)
    if not saved_by_transformers:
        save_file(bare.state_dict(), folder / "model.safetensors")
    adapted: dict[str | None, Any] = {}
    for number, task in enumerate(TASKS):
        name = task.replace(".", "_").replace("-", "_")
        lora = LoraConfig(
            r=RANK,
            lora_alpha=1,
            target_modules=[
                *("word_embeddings", "token_type_embeddings", "q_proj", "k_proj", "v_proj", "o_proj"),
                *("fc1", "fc2", "dense"),
            ],
        )
        model = get_peft_model(_v3_model(vocabulary, seed, length), lora, adapter_name=name)
        generator = torch.Generator().manual_seed(seed + number + 1)
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_" in parameter_name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
        model.save_pretrained(str(folder), save_embedding_layers=False)
        adapted[task] = model

    def variant(task: str | None) -> Any:
        return adapted[task].merge_and_unload().train(mode=False) if task else _v3_model(vocabulary, seed, length)

    return Made(folder, _choose(variant))


def jina_v2(folder: Path, *, post_norm: bool = False, seed: int = 0) -> Made:
    """JinaBERT v2 in one of its two layouts. `model_type` is "bert", as in the published files."""
    folder.mkdir(parents=True, exist_ok=True)
    heads = 6  # not a power of two, so that ALiBi interpolates slopes
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}

    def linear(name: str, outputs: int, inputs: int, *, bias: bool = True) -> None:
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, generator=generator) * 0.2
        if bias:
            tensors[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.2

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = torch.randn(WIDTH, generator=generator) * 0.3 + 1
        tensors[f"{name}.bias"] = torch.randn(WIDTH, generator=generator) * 0.3

    linear("embeddings.word_embeddings", wordpiece(folder), WIDTH, bias=False)
    linear("embeddings.token_type_embeddings", 2, WIDTH, bias=False)
    norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        up, down, last = (
            ("mlp.up_gated_layer", "mlp.down_layer", "layer_norm_2")
            if post_norm
            else ("mlp.gated_layers", "mlp.wo", "mlp.layernorm")
        )
        linear(f"{layer}.{up}", 2 * INNER, WIDTH, bias=False)
        linear(f"{layer}.{down}", WIDTH, INNER)
        norm(f"{layer}.{last}")
        if post_norm:
            for name in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1"):
                norm(f"{layer}.{name}")
    save_file(tensors, folder / "model.safetensors")
    write_json(
        folder / "config.json",
        {
            "model_type": "bert",
            "num_attention_heads": heads,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
            "max_position_embeddings": 512,
            "position_embedding_type": "alibi",
            "emb_pooler": "mean",
        },
    )
    return Made(folder, lambda ids, _adapter: _jina_v2_hidden(tensors, ids, heads, post_norm=post_norm))


def _jina_v2_hidden(tensors: dict[str, torch.Tensor], ids: list[int], heads: int, *, post_norm: bool) -> torch.Tensor:
    """The published description, one head at a time: slow, and independent of the engine's code."""
    slopes = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]  # six heads: four of four, then two of eight between

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", torch.zeros(1))

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-12)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    x = tensors["embeddings.word_embeddings.weight"][ids] + tensors["embeddings.token_type_embeddings.weight"][0]
    x = norm("embeddings.LayerNorm", x)
    place = torch.arange(len(ids))
    distance = (place[:, None] - place[None, :]).abs()
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (linear(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value"))
        if post_norm:
            q, k = norm(f"{layer}.attention.self.layer_norm_q", q), norm(f"{layer}.attention.self.layer_norm_k", k)
        outputs = []
        for slope, qh, kh, vh in zip(slopes, *(part.chunk(heads, -1) for part in (q, k, v)), strict=True):
            scores = qh @ kh.T / qh.shape[-1] ** 0.5 - slope * distance
            outputs.append(scores.softmax(-1) @ vh)
        attended = linear(f"{layer}.attention.output.dense", torch.cat(outputs, -1))
        y = norm(f"{layer}.attention.output.LayerNorm", attended + x)
        if post_norm:
            y = norm(f"{layer}.layer_norm_1", y + x)
            up, gate = linear(f"{layer}.mlp.up_gated_layer", y).chunk(2, -1)
            mixed = linear(f"{layer}.mlp.down_layer", up * torch.nn.functional.gelu(gate))
            x = norm(f"{layer}.layer_norm_2", mixed + y)
        else:
            gate, up = linear(f"{layer}.mlp.gated_layers", y).chunk(2, -1)
            mixed = linear(f"{layer}.mlp.wo", torch.nn.functional.gelu(gate) * up)
            x = norm(f"{layer}.mlp.layernorm", mixed + y)
    return x


MAKERS: dict[str, Callable[..., Made]] = {
    "bert": bert,
    "xlm-roberta": xlm_roberta,
    "jina-v2": jina_v2,
    "jina-v2-post-norm": partial(jina_v2, post_norm=True),
    "jina-v3": v3_original,
    "jina-v3-hf": v3_hf,
    "jina-v3-saved": partial(v3_hf, saved_by_transformers=True),
}
