"""What a quantization costs: a model's predictions and answers beside those of its original.

The base is the file with 16 or 32 bits a weight. All models read the same text in the same way, and
the figures are those of `likelihood`; then they do the same small tasks (`tasks`). Headline is the
divergence: on a text of some thousand tokens a perplexity has an error that is larger than what
most quantizations do to it.

All models are in memory at once if they fit: nothing is stored then. Else they come one after the
other, and the base's logits wait in a file without a name, which vanishes with the last process
that has it open, however that ends.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, say
from millstream.lab import jobs, tasks, texts
from millstream.lab.likelihood import (
    Accuracy,
    Divergence,
    Fluency,
    accuracy,
    divergence,
    fluency,
)
from millstream.lab.mixes import DEFAULTS, plan_types
from millstream.lab.origin import dequantized, quantized
from millstream.lab.precision import Fallback
from millstream.models import gguf
from millstream.models.embedded import memory, threads
from millstream.models.footprint import Use, footprint
from millstream.models.gguf import Header, Tensor

CONTEXT = 512
CHUNKS = 8
BATCH = 128
_MEMORY = ("embedded.killed-loading", "embedded.memory-refused")  # of a worker that is gone
_ITS_OWN = (  # trouble that says nothing of other models
    "loss.no-numbers",
    "loss.no-decode",
    "loss.no-logits",
    "embedded.refused",
    "embedded.unknown-architecture",
    "quantize.crashed",
    "quantize.crashed-silently",
)
_ALONE = "loss.killed"  # is its own, too, where it was in memory alone
_FEW = 1000  # tokens below which a figure says little
_TOKENIZER = (
    "tokenizer.ggml.model",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_space_prefix",
)


class Model(msgspec.Struct, frozen=True):
    """A model to be measured. name: for people; headers: of all its files."""

    name: str
    path: Path
    headers: tuple[Header, ...]

    @classmethod
    def of(cls, path: Path, name: str = "") -> Model:
        """A file, or the first of several. Raises BadInput."""
        parts = gguf.shard_paths(path)
        headers = tuple(gguf.read(part) for part in parts)
        if not any(header.tensors for header in headers):
            raise BadInput("quantize.no-tensors", file=parts[0].name)
        return cls(name or parts[0].stem, parts[0].resolve(), headers)

    @property
    def header(self) -> Header:
        return self.headers[0]

    @property
    def tensors(self) -> list[Tensor]:
        return [tensor for header in self.headers for tensor in header.tensors]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.stat().st_size for part in gguf.shard_paths(self.path))

    @property
    def bits(self) -> float:
        """Of a weight, on the average."""
        weights = sum(tensor.elements for tensor in self.tensors)
        return 8 * sum(tensor.size for tensor in self.tensors) / max(1, weights)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """Tensors that got another type than the mix of the file's label wants for them."""
        label = self.header.quantization
        if label not in DEFAULTS:
            return ()
        with suppress(MillstreamError):
            planned = plan_types(self.header, label, tensors=self.tensors)
            found = Counter((p.fallback_from, p.type) for p in planned if p.fallback_from)
            return tuple(Fallback(*pair, count) for pair, count in found.items())
        return ()


class Text(msgspec.Struct, frozen=True):
    """A text to predict. name: for people, and no other text's of a measurement."""

    name: str
    text: str


class Options(msgspec.Struct, frozen=True):
    """How it is measured. context: tokens of a chunk; chunks: of each text at most, 0 for all;
    batch: tokens that are read at once; threads: 0 for as many as are best; languages: of the
    tasks. folder: for the base's logits if they have to wait; together: all models in memory at
    once, None for whatever fits."""

    context: int = CONTEXT
    chunks: int = CHUNKS
    batch: int = BATCH
    threads: int = 0
    languages: tuple[str, ...] = tasks.LANGUAGES
    folder: Path | None = None
    together: bool | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far it is. done, total: tokens of all models; total is 0 while it isn't known."""

    step: Literal["loading", "reading", "answering"]
    model: str
    done: int
    total: int


class Note(msgspec.Struct, frozen=True):
    """Something to know when reading the figures: a key of the catalogue and its values."""

    key: str
    values: dict[str, Any] = {}

    @property
    def text(self) -> str:
        return say(self.key, **self.values)


class Read(msgspec.Struct, frozen=True):
    """A text that was read. tokens: of the whole; scored: that count."""

    name: str
    tokens: int
    chunks: int
    scored: int


class Original(msgspec.Struct, frozen=True):
    """The base. original: False where its weights are, or were, quantized. texts: by name;
    whole: all texts together; tasks: by language, "" for all."""

    name: str
    path: str
    type: str
    size: int
    bits: float
    original: bool
    texts: dict[str, Fluency]
    whole: Fluency | None
    tasks: dict[str, Accuracy]


class Quant(msgspec.Struct, frozen=True):
    """A model beside the base; the rest as in `Original`."""

    name: str
    path: str
    type: str
    size: int
    bits: float
    fallbacks: tuple[Fallback, ...]
    tensors: int
    texts: dict[str, Divergence]
    whole: Divergence | None
    tasks: dict[str, Accuracy]


class Loss(msgspec.Struct, frozen=True):
    """Everything that was found. together: whether all models were in memory at once. decoding,
    comparing: seconds of the work that the models did, and of the arithmetic on top. missing: how
    many of the models are not among these figures, then why."""

    base: Original
    quants: tuple[Quant, ...]
    texts: tuple[Read, ...]
    context: int
    threads: int
    vocabulary: int
    together: bool
    seconds: float
    decoding: float
    comparing: float
    notes: tuple[Note, ...]
    missing: tuple[Note, ...] = ()


Listen = Callable[[Progress], None]


class Kept:
    """What a measurement has besides its result. left: the troubles of models that were left out;
    loss: what was measured until it was cancelled, or ended by an error."""

    def __init__(self) -> None:
        self.left: list[MillstreamError] = []
        self.loss: Loss | None = None


def shipped(languages: Sequence[str] = texts.LANGUAGES) -> list[Text]:
    """The texts that come with the program."""
    return [Text(language, texts.text(language)) for language in languages]


async def measure(
    base: Model,
    quants: Sequence[Model],
    read: Sequence[Text],
    options: Options = Options(),  # noqa: B008
    listen: Listen = lambda progress: None,
    kept: Kept | None = None,
) -> Loss:
    """Measure models against the base. kept: with this a model that is no good is left out, unless
    no other is there.

    Raises BadInput (models that don't go together, a text that is too short), NotHere (no memory,
    no room on the disk, no library), Failed (a model that breaks its runtime, or gives no
    numbers). The files are only read."""
    began = time.monotonic()
    models = [base, *quants]
    for error in _no_pairs(base, quants, options):
        if kept is None:
            raise error
        kept.left.append(error)
    if kept is not None and kept.left:
        raise kept.left[0]
    together = _together(models, options)
    work = _Work(models, read, options, listen, kept)
    try:
        await (work.together() if together else work.one_by_one())
        if kept is not None and kept.left and len(work.finished) < 2:
            raise kept.left[0]
    except (MillstreamError, asyncio.CancelledError):
        if kept is not None and len(work.finished) > 1:
            kept.loss = work.found(time.monotonic() - began, together)
        raise
    return work.found(time.monotonic() - began, together)


# ---------------------------------------------------------------------- what can be measured at all


def _no_pairs(base: Model, quants: Sequence[Model], options: Options) -> Iterator[MillstreamError]:
    """Why models can't be compared."""
    trained = base.header.context_length
    if trained and options.context > trained:
        yield BadInput(
            "loss.long-context", context=options.context, model=base.name, trained=trained
        )
    for quant in quants:
        try:
            same_words(base, quant)
        except BadInput as error:
            yield error


def same_words(base: Model, other: Model) -> None:
    """Raises BadInput where two models cut a text into different tokens: then no figure of one can
    be compared with the other's."""
    mine, theirs = base.header, other.header
    words, others = (h.values("tokenizer.ggml.tokens") for h in (mine, theirs))
    if len(words) != len(others):
        raise BadInput(
            "loss.other-vocabulary",
            model=other.name,
            base=base.name,
            theirs=len(others),
            ours=len(words),
        )
    for number, (word, another) in enumerate(zip(words, others, strict=True)):
        if word != another:
            raise BadInput(
                "loss.other-words",
                model=other.name,
                base=base.name,
                number=number,
                theirs=another,
                ours=word,
            )
    for key in _TOKENIZER:
        if mine.metadata.get(key) != theirs.metadata.get(key):
            raise BadInput(
                "loss.other-tokenizer",
                model=other.name,
                base=base.name,
                key=key,
                theirs=theirs.metadata.get(key, "–"),
                ours=mine.metadata.get(key, "–"),
            )
    if mine.values("tokenizer.ggml.merges") != theirs.values("tokenizer.ggml.merges"):
        raise BadInput(
            "loss.other-tokenizer",
            model=other.name,
            base=base.name,
            key="tokenizer.ggml.merges",
            theirs="…",
            ours="…",
        )


def _together(models: Sequence[Model], options: Options) -> bool:
    """Whether all models fit into memory at once. Raises NotHere if one alone doesn't."""
    use = Use(context=max(options.context, 512), batch=options.batch, outputs=options.batch)
    needed = [footprint(model.headers, use).total for model in models]
    free = memory.available()
    largest = max(range(len(models)), key=lambda i: needed[i])
    if free is not None and needed[largest] > free:
        raise NotHere(
            "loss.no-memory", model=models[largest].name, needed=needed[largest], free=free
        )
    if options.together is not None:
        return options.together
    return options.folder is None and (free is None or sum(needed) <= free)


# --------------------------------------------------------------------------------------- the work


class _Work:
    """The figures of all models, as they come."""

    def __init__(
        self,
        models: Sequence[Model],
        read: Sequence[Text],
        options: Options,
        listen: Listen,
        kept: Kept | None,
    ) -> None:
        self.models, self.read, self.options, self.listen = models, read, options, listen
        self.kept = kept
        self.finished: list[int] = []
        self.items = [
            (language, item) for language in options.languages for item in tasks.items(language)
        ]
        self.tokens = [0] * len(read)
        self.chunks = [0] * len(read)
        self.result: dict[str, Any] = {}
        self.decoding = self.comparing = 0.0
        self._clear()

    def _clear(self) -> None:
        """Nothing was read. For each model and text: lists of figures of its tokens. For each
        model: its choices."""
        self.figures: list[list[dict[str, list[Any]]]] = [
            [{} for _ in self.read] for _ in self.models
        ]
        self.choices: list[list[int]] = [[] for _ in self.models]
        self.done = 0

    async def together(self) -> None:
        """All at once; where one is no good, once more without it."""
        everyone = list(range(len(self.models)))
        while not self.finished:
            try:
                await self._run(everyone, everyone)
                self.finished = everyone
            except MillstreamError as error:
                names = [self.models[i].name for i in everyone]
                bad = str(error.values.get("model"))
                if bad == names[0] or names.count(bad) != 1:
                    raise
                self._leave_out(error)
                if len(everyone) < 3:
                    return
                everyone = [i for i in everyone if self.models[i].name != bad]
                self._clear()

    def _leave_out(self, error: MillstreamError, *more: str) -> None:
        """Go on after the trouble of a model, if it is one of its own. Raises it else."""
        if self.kept is None or error.code not in (*_ITS_OWN, *more):
            raise error
        self.kept.left.append(error)

    async def one_by_one(self) -> None:
        folder = self.options.folder or Path(tempfile.gettempdir())
        try:
            file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadInput("loss.no-folder", folder=str(folder), reason=reason) from None
        with file:
            rows: dict[str, Any] = {"rows": file.fileno(), "folder": str(folder)}
            await self._run([0], [0], **rows)
            self.finished = [0]
            chosen = self.result["threads"]
            for number in range(1, len(self.models)):
                try:
                    await self._run([number], [0, number], stored=True, chosen=chosen, **rows)
                    self.finished.append(number)
                except MillstreamError as error:
                    self._leave_out(error, _ALONE)

    async def _run(
        self, loaded: list[int], told: list[int], *, chosen: int = 0, **more: Any
    ) -> None:
        """One job. loaded: models that it has; told: those that its figures are of."""
        options = self.options
        job = jobs.Predict(
            model=self.models[0].name,
            names=[self.models[i].name for i in loaded],
            files=[str(self.models[i].path) for i in loaded],
            texts=[text.text for text in self.read],
            questions=[item.question for _, item in self.items],
            context=options.context,
            chunks=options.chunks,
            batch=min(options.batch, options.context),
            threads=options.threads or chosen,
            candidates=threads.candidates(threads.cores()),
            **more,
        )
        at_work = job.model

        def hear(step: dict[str, Any]) -> None:
            nonlocal at_work
            if step["step"] in ("loading", "reading"):
                at_work = job.names[step["model"]]
            self._hear(step, loaded, told, at_work)

        files = [more["rows"]] if "rows" in more else []
        try:
            result = await jobs.run(job, hear, files=files)
        except MillstreamError as error:
            if error.code in _MEMORY:
                raise Failed("loss.killed", model=at_work) from None
            if error.values.get("model") == job.model:  # the job doesn't know who was at work
                error.values["model"] = at_work
            if error.code == "loss.short-text":
                error.values["text"] = self.read[error.values["number"] - 1].name
            raise
        self.result = self.result or result
        self.decoding += result["decoding"]
        self.comparing += result["comparing"]

    def _hear(self, step: dict[str, Any], loaded: list[int], told: list[int], at_work: str) -> None:
        match step["step"]:
            case "text":
                self.tokens[step["text"]] = step["tokens"]
                self.chunks[step["text"]] = step["chunks"]
            case "scored":
                for number, found in zip(told, step["figures"], strict=True):
                    if number not in loaded:
                        continue  # the base's, which its stored logits give once more
                    kept = self.figures[number][step["text"]]
                    for name, values in found.items():
                        kept.setdefault(name, []).extend(values)
                self.done += step["read"] * len(loaded)
            case "answered":
                for number, options in zip(loaded, step["likelihoods"], strict=True):
                    self.choices[number].append(options.index(max(options)))
        kind = {"loading": "loading", "answered": "answering"}.get(step["step"], "reading")
        total = len(self.models) * self.options.context * sum(self.chunks)
        self.listen(Progress(kind, at_work, self.done, total))  # type: ignore[arg-type]

    # --------------------------------------------------------------------------------- what it says

    def found(self, seconds: float, together: bool) -> Loss:
        base, *others = (self.models[number] for number in self.finished)
        quants = tuple(self._quant(number) for number in self.finished[1:])
        original = Original(
            base.name,
            str(base.path),
            base.header.quantization,
            base.size,
            base.bits,
            not (quantized(base) or dequantized(base)),
            {t.name: fluency(f["nll"]) for t, f in zip(self.read, self.figures[0], strict=True)},
            fluency(self._all(0, "nll")) if self.read else None,
            self._tasks(0),
        )
        size = self.options.context
        scored = size - 1 - size // 2
        return Loss(
            original,
            quants,
            tuple(
                Read(text.name, tokens, chunks, chunks * scored)
                for text, tokens, chunks in zip(self.read, self.tokens, self.chunks, strict=True)
            ),
            size,
            self.result["threads"],
            self.result["vocabulary"],
            together,
            seconds,
            self.decoding,
            self.comparing,
            tuple(_notes(base, others, original, quants)),
            tuple(self._missing()),
        )

    def _missing(self) -> Iterator[Note]:
        if len(self.finished) < len(self.models):
            done, total = len(self.finished), len(self.models)
            yield Note("loss.cut", {"done": done, "total": total})
        for error in self.kept.left if self.kept is not None else ():
            yield Note("loss.left-out", {"reason": error.message})

    def _quant(self, number: int) -> Quant:
        model = self.models[number]
        by_text = {}
        for text, base, own in zip(self.read, self.figures[0], self.figures[number], strict=True):
            by_text[text.name] = divergence(base["nll"], own["nll"], own["kld"], own["same"])
        whole = None
        if self.read:
            mine = (self._all(number, name) for name in ("nll", "kld", "same"))
            whole = divergence(self._all(0, "nll"), *mine)
        return Quant(
            model.name,
            str(model.path),
            model.header.quantization,
            model.size,
            model.bits,
            model.fallbacks,
            len(model.tensors),
            by_text,
            whole,
            self._tasks(number),
        )

    def _all(self, number: int, name: str) -> list[Any]:
        return [value for figures in self.figures[number] for value in figures[name]]

    def _tasks(self, number: int) -> dict[str, Accuracy]:
        """By language, and "" for all."""
        found = {}
        for wanted in ("", *self.options.languages):
            mine = [i for i, (language, _) in enumerate(self.items) if wanted in ("", language)]
            if not mine:
                continue
            chosen = [self.choices[number][i] for i in mine]
            base = [self.choices[0][i] for i in mine] if number else None
            found[wanted] = accuracy(chosen, base)
        return found


def _notes(
    base: Model, others: Sequence[Model], original: Original, quants: Sequence[Quant]
) -> list[Note]:
    notes = []
    if types := quantized(base):
        notes.append(Note("loss.note-quantized", {"base": base.name, "types": types}))
    elif bits := dequantized(base):
        notes.append(Note("loss.note-dequantized", {"base": base.name, "bits": bits}))
    weights = sum(tensor.elements for tensor in base.tensors)
    for other in others:
        theirs = sum(tensor.elements for tensor in other.tensors)
        if other.header.architecture != base.header.architecture or theirs != weights:
            notes.append(Note("loss.note-other", {"model": other.name, "base": base.name}))
    if original.whole is not None and original.whole.tokens < _FEW:
        notes.append(Note("loss.note-few", {"tokens": original.whole.tokens}))
    if unclear := [q for q in quants if q.whole is not None and _within_error(q.whole)]:
        names = ", ".join(quant.name for quant in unclear)
        notes.append(Note("loss.note-perplexity", {"models": names}))
    if any(quant.fallbacks for quant in quants):
        notes.append(Note("loss.note-fallbacks"))
    if original.tasks and original.tasks[""].share.value < 0.4:
        notes.append(Note("loss.note-tasks", {"percent": 25}))
    return notes


def _within_error(found: Divergence) -> bool:
    """Whether the perplexity tells nothing: its change is within two errors of nothing."""
    return found.kld.value > 0 and abs(found.log_ratio.value) < 2 * found.log_ratio.error
