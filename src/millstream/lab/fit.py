"""Whether a model fits: all figures of one model, on one machine, for one way of using it.

This is where the parts come together; everything is plain data, so that a terminal, JSON and a
report show the same. Nothing here measures or loads: see `measured` for that.

Which layers go to a card follows llama.cpp: with `n_gpu_layers` = k the last k - 1 layers and the
head; the table of embeddings stays in memory. The card needs their weights and caches, the scratch
space of a batch, and a reserve for its driver (Ollama's figures: 457 MiB, 512 MiB for Metal).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

import msgspec

from millstream.base import say
from millstream.lab import library
from millstream.lab.hardware import Calibration, Gpu, Machine, Speed
from millstream.lab.mixes import retyped
from millstream.lab.names import Model
from millstream.lab.precision import ALL, Precision, as_it_is, in_precision
from millstream.lab.speed import Pace, predict, work
from millstream.lab.training import Training, TrainingFootprint
from millstream.lab.training import footprint as training_footprint
from millstream.lab.weigh import Buffers
from millstream.models.footprint import (
    CacheType,
    Footprint,
    Use,
    cache_bytes,
    compute_bytes,
    footprint,
)
from millstream.models.gguf import Tensor
from millstream.models.shape import Shape, shape

CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
SLOTS = (1, 2, 4, 8)
CACHES: tuple[CacheType, ...] = ("F16", "Q8_0", "Q4_0")
CALIBRATE = "--calibrate"
CALIBRATE_ELSEWHERE = "millstream fit MODEL --calibrate"
"""What measures the machine once more: for commands that have the option, and for the others."""
_RESERVE = 457 << 20
_METAL_RESERVE = 512 << 20
_STEP = 256  # tokens between two contexts that are tried
GOOD = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_M", "Q2_K")
"""Types to take instead, the best first."""
_PARTS: tuple[tuple[str, str], ...] = (
    ("embeddings", r"token_embd|per_layer_token_embd|position_embd|token_types"),
    ("head", r"^output\."),
    ("experts", r"_exps\.|_shexp\."),
    ("routers", r"ffn_gate_inp|exp_probs_b"),
    ("feed-forward", r"ffn_(gate|up|down)"),
    ("attention", r"attn_(q|k|v|qkv|kv|output|gate)|attn_sinks"),
    ("recurrent", r"ssm_|time_mix|channel_mix|shortconv"),
)


class Part(msgspec.Struct, frozen=True):
    """Tensors of one part of a model that have one type. part: "embeddings", "head", "experts",
    "routers", "feed-forward", "attention", "recurrent", "other"."""

    part: str
    type: str
    tensors: int
    weights: int
    size: int


class Layers(msgspec.Struct, frozen=True):
    """Neighbouring layers that keep the same. first, last: numbers; kind: what they keep. keys,
    values, states: bytes of all of them together. heads, kv_heads: of one of them."""

    first: int
    last: int
    kind: Literal["attention", "window", "latent", "recurrent", "both", "nothing"]
    window: int
    keys: int
    values: int
    states: int
    heads: int = 0
    kv_heads: int = 0


class Cell(msgspec.Struct, frozen=True):
    """A context and a number of slots, and what the model takes with them. fits: None where the
    memory of the machine is not known."""

    context: int
    slots: int
    cache: int
    total: int
    fits: bool | None


class Room(msgspec.Struct, frozen=True):
    """The longest context that still fits with so many slots; 0 for none."""

    slots: int
    context: int


class Offload(msgspec.Struct, frozen=True):
    """How much of a model a card takes. layers of all: as llama.cpp counts `n_gpu_layers`. vram,
    ram: bytes on the card and beside it. experts_outside: all layers fit if the experts stay in
    the machine's memory. context: the longest that fits with all layers on the card, 0 for none.
    usable: the llama.cpp installed here can use such a card."""

    gpu: Gpu
    layers: int
    all: int
    vram: int
    ram: int
    whole: int
    context: int
    experts_outside: bool
    usable: bool


class Advice(msgspec.Struct, frozen=True):
    """A sentence. key: of the catalogue; values: of its parameters, those that are called "size"
    or "free" in bytes."""

    key: str
    values: dict[str, Any] = {}

    @property
    def text(self) -> str:
        sizes = {k: shown(v) for k, v in self.values.items() if k in ("size", "free")}
        return say(self.key, **{**self.values, **sizes})

    @property
    def plain(self) -> dict[str, Any]:
        """It as data, with its words."""
        return {"key": self.key, "values": self.values, "text": self.text}


def shown(size: float) -> str:
    """A number of bytes for people, in the decimal units that models are sold by."""
    for unit in ("B", "kB", "MB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB" if size < 1000 else f"{size:,.0f} GB"


class Row(msgspec.Struct, frozen=True):
    """A precision, and what it takes to run it as asked."""

    precision: Precision
    total: int
    fits: bool | None
    pace: Pace | None = None
    reasons: tuple[Advice, ...] = ()
    """Why the rule of thumb says something else."""


class Fit(msgspec.Struct, frozen=True):
    """Everything about one model. exact: the file is there; otherwise it is what a conversion of
    it would be. memory: of the file as it is, used as asked. by_cache: the total by type of keys
    and values."""

    name: str
    source: str
    kind: str
    exact: bool
    stands_for: str
    architecture: str
    parameters: int
    active: int
    trained: int | None
    stored: int | None
    use: Use
    own: Precision
    memory: Footprint
    parts: tuple[Part, ...]
    layers: tuple[Layers, ...]
    by_cache: dict[str, int]
    rows: tuple[Row, ...]
    grid: tuple[Cell, ...]
    machine: Machine
    fits: bool | None
    room: tuple[Room, ...]
    offloads: tuple[Offload, ...]
    pace: Pace | None
    training: TrainingFootprint | None
    trains: bool | None
    """Whether training fits here, into memory or one card; None where it isn't asked or known."""
    how: Training | None
    advice: tuple[Advice, ...]
    notes: tuple[Advice, ...]
    measured: Buffers | None = None
    """What llama.cpp itself says, where it was asked (`weigh`)."""


def fit(
    model: Model,
    use: Use,
    machine: Machine,
    *,
    speed: Speed | None = None,
    how: Training | None = None,
    labels: Sequence[str] = ALL,
    depth: int = 512,
) -> Fit:
    """All figures of a model. speed: of this machine, for predictions. how: it would be trained.
    labels: of the precisions that are set side by side. depth: tokens before the one that is
    timed."""
    sizes = shape(model.header)
    asked, use = use, _possible(use, sizes)
    memory = footprint(model.headers, use, sizes=sizes)
    tensors = model.tensors
    own = as_it_is(model.headers)
    todo = work(tensors, sizes)
    nominal = _nominal(model)
    rows = tuple(
        _row(model, sizes, memory, label, machine, speed, use, nominal, depth) for label in labels
    )
    room = capacity(machine)
    fits = None if room is None else memory.total <= room
    if fits and not sizes.layers:
        fits = None  # the cache is not in the sum
    offloads = tuple(offload(model, sizes, use, gpu, machine) for gpu in machine.gpus)
    training = training_footprint(tensors, sizes, how) if how else None
    place = _one_place(machine)
    made = Fit(
        name=model.name,
        source=model.source,
        kind=model.kind,
        exact=model.exact,
        stands_for=model.stands_for,
        architecture=model.header.architecture,
        parameters=sum(tensor.elements for tensor in tensors),
        active=sum(m.weights for part in (todo.layers, todo.head) for m in part.values()),
        trained=sizes.context,
        stored=model.stored,
        use=use,
        own=own,
        memory=memory,
        parts=parts(tensors),
        layers=tuple(layers(sizes, use)),
        by_cache={kind: _with(model, sizes, use, kind) for kind in CACHES},
        rows=rows,
        grid=tuple(grid(model, sizes, use, machine)),
        machine=machine,
        fits=fits,
        room=tuple(rooms(model, sizes, use, room)) if sizes.layers else (),
        offloads=offloads,
        pace=predict(todo, speed, use, depth=depth) if speed else None,
        training=training,
        trains=None if training is None or place is None else training.total <= place,
        how=how,
        advice=(),
        notes=(),
    )
    notes = (*_notes(model, sizes, asked), *_doubts(made))
    return msgspec.structs.replace(made, advice=tuple(_advice(made)), notes=notes)


def _possible(use: Use, sizes: Shape) -> Use:
    """The use, with no longer context than the model was trained for."""
    if sizes.context and use.context > sizes.context:
        return msgspec.structs.replace(use, context=sizes.context)
    return use


def capacity(machine: Machine) -> int | None:
    """Bytes that a model can be spread over: the free memory, and one card's that llama.cpp can
    use here. None where the system doesn't say."""
    if machine.free is None:
        return None
    usable = [g for g in machine.gpus if g.backend in machine.usable and not g.unified]
    return machine.free + max((max(0, gpu.free - _reserve(gpu)) for gpu in usable), default=0)


def _one_place(machine: Machine) -> int | None:
    """Bytes of the largest place there is: training is not spread over several."""
    if machine.free is None:
        return None
    return max(machine.free, *(gpu.free for gpu in machine.gpus), 0)


def trains(made: Fit) -> Advice | None:
    """Whether the training that was asked for fits here, in words."""
    if made.trains is None or made.training is None or made.how is None:
        return None
    values = {"method": made.how.method, "size": made.training.total}
    if made.trains:
        return Advice("lab.advice-trains", values)
    return Advice("lab.advice-trains-not", {**values, "free": _one_place(made.machine) or 0})


def _nominal(model: Model) -> float:
    """The billions of parameters that people give a model: those of its name, if they are nearly
    its own."""
    own = sum(tensor.elements for tensor in model.tensors) / 1e9
    for found in re.findall(r"(?<![\w.])(\d{1,3}(?:\.\d{1,2})?)[bB](?![a-zA-Z])", model.name):
        if 0.8 * own <= float(found) <= 1.25 * own:
            return float(found)
    return 0.0


# ------------------------------------------------------------------------------- what it is made of


def parts(tensors: Sequence[Tensor]) -> tuple[Part, ...]:
    """The weights by part and type, the largest first."""
    found: dict[tuple[str, str], list[Tensor]] = {}
    for tensor in tensors:
        name = next((p for p, pattern in _PARTS if re.search(pattern, tensor.name)), "other")
        if "_norm" in tensor.name:
            name = "other"
        found.setdefault((name, tensor.type_name), []).append(tensor)
    made = [
        Part(part, kind, len(many), sum(t.elements for t in many), sum(t.size for t in many))
        for (part, kind), many in found.items()
    ]
    return tuple(sorted(made, key=lambda part: -part.size))


def layers(sizes: Shape, use: Use) -> Iterator[Layers]:
    """What the layers keep, neighbours with the same together."""
    numbered = enumerate(sizes.layers)
    for layer, many in groupby(numbered, key=lambda pair: pair[1]):
        numbers = [number for number, _ in many]
        keys, values, states = (len(numbers) * n for n in cache_bytes(layer, use))
        recurrent = bool(layer.state or layer.shift)
        kind: Literal["attention", "window", "latent", "recurrent", "both", "nothing"]
        if layer.keys and recurrent:
            kind = "both"
        elif recurrent:
            kind = "recurrent"
        elif not layer.keys:
            kind = "nothing"
        elif sizes.latent:
            kind = "latent"
        else:
            kind = "window" if layer.window else "attention"
        kv_heads = layer.keys // sizes.key if sizes.key else 0
        yield Layers(
            numbers[0],
            numbers[-1],
            kind,
            layer.window,
            keys,
            values,
            states,
            layer.heads,
            kv_heads,
        )


def grid(model: Model, sizes: Shape, use: Use, machine: Machine) -> Iterator[Cell]:
    """Contexts up to what the model was trained for, times slots."""
    trained = sizes.context or CONTEXTS[-1]
    contexts = sorted({c for c in (*CONTEXTS, use.context, trained) if c <= trained})
    room = capacity(machine)
    for context in contexts:
        for slots in sorted({*SLOTS, use.slots}):
            asked = msgspec.structs.replace(use, context=context, slots=slots)
            made = footprint(model.headers, asked, sizes=sizes)
            fits = None if room is None else made.total <= room
            yield Cell(context, slots, made.cache + made.states, made.total, fits)


def _with(model: Model, sizes: Shape, use: Use, kind: CacheType) -> int:
    asked = msgspec.structs.replace(use, keys=kind, values=kind)
    return footprint(model.headers, asked, sizes=sizes).total


# ------------------------------------------------------------------------------- in every precision


def _row(
    model: Model,
    sizes: Shape,
    memory: Footprint,
    label: str,
    machine: Machine,
    speed: Speed | None,
    use: Use,
    nominal: float,
    depth: int,
) -> Row:
    made = in_precision(model.header, model.tensors, label, nominal=nominal)
    if made.impossible:
        return Row(made, 0, None)
    total = memory.total - memory.weights - memory.repack + made.weights
    total += made.repack if use.repack else 0
    room = capacity(machine)
    fits = None if room is None else total <= room
    pace = None
    if speed is not None and not label.startswith("INT"):
        ftype = {"FP32": "F32", "FP16": "F16"}.get(label, label)
        tensors = retyped(model.header, ftype, tensors=model.tensors)
        pace = predict(work(tensors, sizes), speed, use, depth=depth)
    return Row(made, total, fits, pace, tuple(_reasons(made, total, model, use, memory)))


def _reasons(
    made: Precision, total: int, model: Model, use: Use, memory: Footprint
) -> Iterator[Advice]:
    """Why a rule of thumb is off by a twentieth or more."""
    quoted = made.quoted
    if quoted is None:
        return
    if abs(made.weights - quoted.weights) > quoted.weights / 20:
        parameters = sum(tensor.elements for tensor in model.tensors)
        plain = {"FP32": 32, "FP16": 16, "INT8": 8, "INT4": 4, "Q8_0": 8}.get(made.label, 4)
        if made.bits > 1.02 * plain:
            yield Advice("lab.reason-bits", {"bits": made.bits, "said": plain})
        said = quoted.weights * 8 / plain
        if abs(parameters - said) > said / 50:
            values = {"parameters": parameters / 1e9, "said": said / 1e9}
            yield Advice("lab.reason-count", values)
    copy = made.repack if use.repack else 0
    if copy > quoted.weights / 20:
        yield Advice("lab.reason-copy", {"size": copy})
    more = total - made.weights - copy
    share, least, most = (
        round(100 * part / whole)
        for part, whole in (
            (more, made.weights),
            (quoted.low - quoted.weights, quoted.weights),
            (quoted.high - quoted.weights, quoted.weights),
        )
    )
    if not least <= share <= most:
        values = {"size": more, "share": share, "least": least, "most": most}
        yield Advice("lab.reason-running", values)


# ---------------------------------------------------------------------------------- on this machine


def rooms(model: Model, sizes: Shape, use: Use, free: int | None) -> Iterator[Room]:
    """For each number of slots the longest context that fits into so many bytes."""
    if free is None:
        return
    for slots in sorted({*SLOTS, use.slots}):

        def takes(context: int, slots: int = slots) -> int:
            asked = msgspec.structs.replace(use, context=context, slots=slots)
            return footprint(model.headers, asked, sizes=sizes).total

        yield Room(slots, _longest(takes, free, sizes.context or CONTEXTS[-1]))


def _longest(takes: Any, free: int, most: int) -> int:
    """The longest context, in steps, that takes no more than what is free; 0 for none."""
    low, high = 0, max(1, most // _STEP)
    if takes(most) <= free:
        return most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if takes(middle * _STEP) <= free else (low, middle - 1)
    return low * _STEP


def offload(model: Model, sizes: Shape, use: Use, gpu: Gpu, machine: Machine) -> Offload:
    """How many layers a card takes: as many as fit, found by halving."""
    count = len(sizes.layers) + 1
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        fits = _vram(model, sizes, use, gpu, middle) <= gpu.free
        low, high = (middle, high) if fits else (low, middle - 1)
    whole = _vram(model, sizes, use, gpu, count)
    vram = _vram(model, sizes, use, gpu, low)
    total = footprint(model.headers, use, sizes=sizes).total
    own = _reserve(gpu) + _twice(model)  # of what is on the card, not in `total`
    experts = sum(t.size for t in model.tensors if "_exps." in t.name)
    outside = low < count and experts > 0 and whole - experts <= gpu.free
    if outside and machine.free is not None:
        outside = total - (whole - experts - own) <= machine.free

    def takes(context: int) -> int:
        return _vram(model, sizes, msgspec.structs.replace(use, context=context), gpu, count)

    return Offload(
        gpu=gpu,
        layers=low,
        all=count,
        vram=vram,
        ram=max(0, total - vram + own) if low else total,
        whole=whole,
        context=_longest(takes, gpu.free, sizes.context or CONTEXTS[-1]),
        experts_outside=outside,
        usable=gpu.backend in machine.usable,
    )


def _vram(model: Model, sizes: Shape, use: Use, gpu: Gpu, layers: int) -> int:
    """Bytes on a card with so many layers on it."""
    if not layers:
        return 0
    first = len(sizes.layers) + 1 - layers
    tied = not any(tensor.name == "output.weight" for tensor in model.tensors)
    size = 0
    for tensor in model.tensors:
        found = re.match(r"blk\.(\d+)\.", tensor.name)
        head = tensor.name.startswith("output") or (tied and tensor.name == "token_embd.weight")
        if (found and int(found[1]) >= first) or (not found and head):
            size += tensor.size
    size += sum(sum(cache_bytes(layer, use)) for layer in sizes.layers[max(0, first) :])
    return size + compute_bytes(sizes, use) + _reserve(gpu)


def _twice(model: Model) -> int:
    """Bytes of a table that is looked up in memory and is the head on the card."""
    if any(tensor.name == "output.weight" for tensor in model.tensors):
        return 0
    return sum(tensor.size for tensor in model.tensors if tensor.name == "token_embd.weight")


def _reserve(gpu: Gpu) -> int:
    return _METAL_RESERVE if gpu.backend == "metal" else _RESERVE


# -------------------------------------------------------------------------------------- in words


def _notes(model: Model, sizes: Shape, asked: Use) -> Iterator[Advice]:
    """What a reader should know of these figures. asked: the use before it was made possible."""
    if model.kind == "typical" and model.stands_for == model.name:
        yield Advice("lab.note-known", {"name": model.name})
    elif model.kind == "typical":
        yield Advice("lab.note-typical", {"asked": model.name, "name": model.stands_for})
    elif model.kind == "config":
        yield Advice("lab.note-config")
        if model.lacking:
            yield Advice("lab.note-no-weights" if not model.stored else "lab.note-few-weights")
        if model.odd is not None:
            odd = {"tensor": model.odd.name[:80], "type": model.odd.dtype[:20]}
            yield Advice("lab.note-odd-type", odd)
    if model.header.number("attention.sliding_window") and sizes.attention and not sizes.window:
        yield Advice("lab.note-window")
    if sizes.context and asked.context > sizes.context:
        values = {"asked": asked.context, "context": sizes.context}
        yield Advice("lab.note-context", values)
    if model.kind != "typical" and library.lacks(sizes.architecture):
        key = "lab.note-architecture" if model.exact else "lab.note-family"
        yield Advice(key, {"architecture": sizes.architecture or "?"})
    if not sizes.layers:
        yield Advice("lab.note-no-layers", {"architecture": sizes.architecture or "?"})
    if model.kind == "gguf" and (missing := lacking(model)):
        yield Advice("lab.note-lacking", {"what": ", ".join(missing[:3]), "count": len(missing)})


def lacking(model: Model) -> list[str]:
    """Keys and tensors without which llama.cpp refuses a file, of architectures whose layers are
    all made alike."""
    header = model.header
    if header.architecture not in _ALIKE:
        return []
    keys = ("block_count", "embedding_length", "attention.head_count")
    missing = [f"{header.architecture}.{key}" for key in keys if not header.number(key)]
    names = {tensor.name for tensor in model.tensors}
    parts = {name.split(".", 2)[2] for name in names if _BLOCK.match(name)}
    wanted = ["token_embd.weight", "output_norm.weight"]
    for number in range(header.block_count or 0):
        wanted += [f"blk.{number}.{part}" for part in sorted(parts)]
    return missing + [name for name in wanted if name not in names]


_ALIKE = frozenset({"gemma", "gemma2", "gemma3", "llama", "phi3", "qwen2", "qwen3", "qwen3moe"})
_BLOCK = re.compile(r"blk\.\d+\..")


def _doubts(made: Fit) -> Iterator[Advice]:
    """What these figures are not sure of."""
    yield from disturbed(made.pace, again=CALIBRATE)
    if made.offloads:
        yield Advice("lab.note-gpu-untested")


def disturbed(by: Speed | Pace | Calibration | None, *, again: str) -> Iterator[Advice]:
    """That others were at work while this machine was measured, if they were. again: what measures
    it once more."""
    if by is not None and by.noisy:
        yield Advice("lab.note-noisy", {"share": by.share, "spread": by.spread, "again": again})


def _advice(made: Fit) -> Iterator[Advice]:
    """What to do: take it as it is, or what instead."""
    free, need = capacity(made.machine), made.memory.total
    if free is None:
        yield Advice("lab.advice-unknown", {"size": need})
        return
    for each in made.offloads:
        if not each.usable:
            continue
        if each.layers == each.all:
            yield Advice("lab.advice-card", {"gpu": each.gpu.name, "context": each.context})
        elif each.experts_outside:
            yield Advice("lab.advice-experts", {"gpu": each.gpu.name})
        elif each.layers:
            values = {"gpu": each.gpu.name, "layers": each.layers, "all": each.all}
            yield Advice("lab.advice-layers", values)
    if made.fits is None:
        yield Advice("lab.advice-no-cache", {"size": need, "free": free})
        return
    if made.fits:
        best = _best(made)
        if best is not None:
            yield Advice("lab.advice-fits", {"context": best.context, "slots": best.slots})
        return
    yield from _instead(made, free)


def _best(made: Fit) -> Room | None:
    """The most slots of which each has the context that was asked for."""
    enough = made.use.context - made.use.context % _STEP  # as contexts are tried

    def worth(room: Room) -> tuple[int, int]:
        return (room.slots if room.context >= enough else 0, room.context)

    return max((room for room in made.room if room.context), key=worth, default=None)


def _instead(made: Fit, free: int) -> Iterator[Advice]:
    yield Advice("lab.advice-too-large", {"size": made.memory.total, "free": free})
    for kind in CACHES[1:]:
        if made.by_cache[kind] <= free:
            yield Advice("lab.advice-cache", {"type": kind, "size": made.by_cache[kind]})
            break
    context = next((room.context for room in made.room if room.slots == 1), 0)
    if context >= 1024:
        yield Advice("lab.advice-context", {"context": context})
    rows = {row.precision.label: row for row in made.rows}
    for label in GOOD:
        row = rows.get(label)
        if row and row.fits and row.precision.weights < made.own.weights:
            yield Advice("lab.advice-type", {"type": label, "size": row.total})
            break
    else:
        yield Advice("lab.advice-smaller")
