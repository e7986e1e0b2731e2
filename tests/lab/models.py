"""Small models for tests of the lab: random weights, real architecture, a real vocabulary.

The vocabulary is one of SentencePiece's kind: three control words, one word for every byte and
some words of text, so that any text can be cut into tokens.
"""

from __future__ import annotations

import random
import struct
from array import array
from pathlib import Path

from models.gguf_files import Value, gguf_bytes

WIDTH, LAYERS, HIDDEN, HEADS = 256, 4, 512, 4
F32, F16 = 0, 1
WORDS = ["▁the", "▁river", "▁of", "▁and", "s", "e", "t", "a", "o", "n", "i", "r", "h", "▁"]
VOCABULARY = 3 + 256 + len(WORDS)


def llama(path: Path, *, experts: int = 0, seed: int = 1, type: int = F16, layers: int = LAYERS,
          words: bool = True, spread: float = 0.05) -> Path:  # fmt: skip
    """Write a Llama of four layers, with experts a Mixtral-like one. type: of its matrices."""
    metadata: dict[str, Value] = {
        "general.architecture": (8, "llama"),
        "general.name": (8, "Tiny"),
        "general.license": (8, "cc0-1.0"),
        "general.file_type": (4, 1),
        "llama.context_length": (4, 512),
        "llama.block_count": (4, layers),
        "llama.embedding_length": (4, WIDTH),
        "llama.feed_forward_length": (4, HIDDEN),
        "llama.attention.head_count": (4, HEADS),
        "llama.attention.head_count_kv": (4, HEADS // 2),
        "llama.attention.layer_norm_rms_epsilon": (6, 1e-5),
        "llama.rope.dimension_count": (4, WIDTH // HEADS),
        "llama.vocab_size": (4, VOCABULARY),
    }
    if experts:
        metadata |= {
            "llama.expert_count": (4, experts),
            "llama.expert_used_count": (4, 2),
        }
    if words:
        metadata |= vocabulary()
    shapes: list[tuple[str, tuple[int, ...]]] = [("token_embd.weight", (WIDTH, VOCABULARY))]
    for n in range(layers):
        shapes += [
            (f"blk.{n}.attn_norm.weight", (WIDTH,)),
            (f"blk.{n}.attn_q.weight", (WIDTH, WIDTH)),
            (f"blk.{n}.attn_k.weight", (WIDTH, WIDTH // 2)),
            (f"blk.{n}.attn_v.weight", (WIDTH, WIDTH // 2)),
            (f"blk.{n}.attn_output.weight", (WIDTH, WIDTH)),
            (f"blk.{n}.ffn_norm.weight", (WIDTH,)),
        ]
        many = (experts,) if experts else ()
        exps = "_exps" if experts else ""
        if experts:
            shapes.append((f"blk.{n}.ffn_gate_inp.weight", (WIDTH, experts)))
        shapes += [
            (f"blk.{n}.ffn_gate{exps}.weight", (WIDTH, HIDDEN, *many)),
            (f"blk.{n}.ffn_up{exps}.weight", (WIDTH, HIDDEN, *many)),
            (f"blk.{n}.ffn_down{exps}.weight", (HIDDEN, WIDTH, *many)),
        ]
    shapes += [("output_norm.weight", (WIDTH,)), ("output.weight", (WIDTH, VOCABULARY))]
    source = random.Random(seed)
    numbers = array("f", (source.gauss(0, spread) for _ in range(1 << 16)))
    table, data = [], b""
    for name, shape in shapes:
        count = 1
        for length in shape:
            count *= length
        if name.endswith("norm.weight"):
            kind, weights = F32, array("f", [1.0] * count).tobytes()
        else:
            kind = F32 if "gate_inp" in name else type
            start = source.randrange(1 << 16)
            some = (numbers[start:] + numbers * (count // len(numbers) + 1))[:count]
            weights = some.tobytes() if kind == F32 else struct.pack(f"<{count}e", *some)
        table.append((name, shape, kind, len(data)))
        data += weights + bytes(-len(weights) % 32)
    path.write_bytes(gguf_bytes(metadata, table) + data)
    return path


def vocabulary() -> dict[str, Value]:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *WORDS]
    kinds = [2, 3, 3, *([6] * 256), *([1] * len(WORDS))]
    scores = [0.0] * 259 + [-float(n) for n in range(len(WORDS))]
    return {
        "tokenizer.ggml.model": (8, "llama"),
        "tokenizer.ggml.tokens": (9, (8, tokens)),
        "tokenizer.ggml.scores": (9, (6, scores)),
        "tokenizer.ggml.token_type": (9, (5, kinds)),
        "tokenizer.ggml.bos_token_id": (4, 1),
        "tokenizer.ggml.eos_token_id": (4, 2),
        "tokenizer.ggml.unknown_token_id": (4, 0),
    }


def split(source: Path, folder: Path, count: int) -> Path:
    """A model in several files, as llama.cpp's tool cuts it; the first of them."""
    from millstream.models import gguf

    header = gguf.read(source)
    data = source.read_bytes()
    at, pairs = 24, b""
    keys = len(header.metadata)
    start = min(header.data_offset, data.index(header.tensors[0].name.encode()) - 8)
    pairs = data[at:start]
    names = [f"{source.stem}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
    share = -(-len(header.tensors) // count)
    for number, name in enumerate(names):
        table, body = [], b""
        for tensor in header.tensors[number * share : (number + 1) * share]:
            begin = header.data_offset + tensor.offset
            table.append((tensor.name, tensor.shape, tensor.type, len(body)))
            body += data[begin : begin + tensor.size] + bytes(-tensor.size % 32)
        mine: dict[str, Value] = {
            "split.no": (2, number),
            "split.count": (2, count),
            "split.tensors.count": (5, len(header.tensors)),
        }
        made = gguf_bytes(mine, table)
        if number == 0:  # all the metadata is in the first one
            more = made[24:].rstrip(b"\0") if not table else made[24:]
            made = made[:16] + struct.pack("<Q", keys + len(mine)) + pairs + more
            end = 24 + len(pairs) + _table_end(gguf_bytes(mine, table))
            made = made[:end] + bytes(-end % 32)
        (folder / name).write_bytes(made + body)
    return folder / names[0]


def _table_end(made: bytes) -> int:
    """Bytes of keys and tensors behind the first 24, without the padding."""
    from millstream.models import gguf

    header = gguf.read_ranges(lambda at, n: made[at : at + n], file="part")
    last = header.tensors[-1]
    name = made.rindex(last.name.encode())
    return name + len(last.name.encode()) + 4 + 8 * len(last.shape) + 4 + 8 - 24
