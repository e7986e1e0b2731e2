"""What models predict, as the worker finds it out: of texts, token by token, and of answers.

The first model is the base. All others get the same tokens in the same batches, so that the rows
of logits of one place are there at the same time and nothing has to be kept; where memory has no
room for several models at once, the base's rows go through a file (`Predict.rows`). Figures are
told as they come, one list a batch; the statistics are `likelihood`'s part.

Source: `perplexity` and `kl_divergence` in tools/perplexity of llama.cpp for how a text is cut and
which tokens count: chunks of a context, each begun with the model's BOS token if it has one, and of
each the second half, where every token has a context.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from ctypes import c_int8, c_int32, c_void_p
from typing import Any

from millstream.base import BadInput, Failed, NotHere
from millstream.lab.jobs import Predict, Question
from millstream.lab.library import Batch, Library, path
from millstream.lab.logits import ROWS, Comparer, NoNumbers

Tell = Callable[[dict[str, Any]], None]

_QUESTION = 512  # tokens that all options of a question may have
_TIMED = 32  # tokens by which the numbers of threads are compared
_FREE = 64 << 20  # bytes that stay free on a disk


def predict(job: Predict, tell: Tell) -> dict[str, Any]:
    """Do the job. Tells "loading", "text" (tokens and chunks of one), "scored" (what a batch gave,
    a list for each model), "answered" (log-likelihoods of the options of a question)."""
    work = _Work(job, tell)
    work.texts()
    work.questions()
    return {
        "threads": work.threads,
        "vocabulary": work.vocabulary,
        "decoding": work.decoding,
        "comparing": work.comparing,
    }


class _Model:
    """A model in memory, with room for a chunk or a question."""

    def __init__(self, library: Any, name: str, file: str, job: Predict) -> None:
        self.library, self.name = library, name
        params = library.llama_model_default_params()
        self._model = library.llama_model_load_from_file(os.fsencode(file), params)
        if not self._model:
            _give_up()  # the log says why
        self.vocab = library.llama_model_get_vocab(self._model)
        self.vocabulary = library.llama_vocab_n_tokens(self.vocab)
        most = max((len(question.options) for question in job.questions), default=0)
        room = max(job.context, _QUESTION if most else 0)
        params = library.llama_context_default_params()
        params.n_ctx = room
        params.n_batch, params.n_ubatch = room, min(job.batch, room)
        params.n_seq_max = 1 + most
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = job.threads or 1
        self.context = library.llama_init_from_model(self._model, params)
        if not self.context:
            _give_up()
        self.memory = library.llama_get_memory(self.context)
        self._batch = _Room(room)

    def use_threads(self, count: int) -> None:
        self.library.llama_set_n_threads(self.context, count, count)

    def forget(self) -> None:
        self.library.llama_memory_clear(self.memory, True)

    def decode(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[bool],
        sequences: Sequence[int] = (),
    ) -> list[int]:
        """Read tokens; the addresses of the rows that are wanted, until the next call."""
        batch = self._batch.filled(tokens, positions, wanted, sequences)
        code = self.library.llama_decode(self.context, batch)
        if code:
            raise Failed("loss.no-decode", model=self.name, status=code)
        found = []
        for i, is_wanted in enumerate(wanted):
            if is_wanted:
                row = self.library.llama_get_logits_ith(self.context, i)
                if not row:
                    raise BadInput("loss.no-logits", model=self.name)
                found.append(ctypes.cast(row, c_void_p).value or 0)
        return found

    def tokens(self, text: str) -> list[int]:
        """A text in tokens, as the model wants it to begin."""
        data = text.encode()
        room = len(data) + 16
        made = (c_int32 * room)()
        count = self.library.llama_tokenize(self.vocab, data, len(data), made, room, True, False)
        return list(made[: max(0, count)])


class _Room:
    """A batch's arrays."""

    def __init__(self, size: int) -> None:
        self.token, self.pos, self.count = ((c_int32 * size)() for _ in range(3))
        self.sequence = (c_int32 * size)()
        self.logits = (c_int8 * size)()
        pointer = ctypes.POINTER(c_int32)
        start = ctypes.addressof(self.sequence)
        self.sequences = (pointer * size)(
            *(ctypes.cast(start + 4 * i, pointer) for i in range(size))
        )

    def filled(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[bool],
        sequences: Sequence[int],
    ) -> Batch:
        n = len(tokens)
        self.token[:n] = list(tokens)
        self.pos[:n] = list(positions)
        self.count[:n] = [1] * n
        self.sequence[:n] = list(sequences) or [0] * n
        self.logits[:n] = [int(w) for w in wanted]
        return Batch(n, self.token, None, self.pos, self.count, self.sequences, self.logits)


class _Work:
    def __init__(self, job: Predict, tell: Tell) -> None:
        self.job, self.tell = job, tell
        self.library: Any = Library()
        more = ctypes.CDLL(str(path()))
        self.copy = more.llama_memory_seq_cp
        self.copy.restype = None
        self.copy.argtypes = (c_void_p, c_int32, c_int32, c_int32, c_int32)
        self.library.llama_backend_init()
        self.models: list[_Model] = []
        for number, (name, file) in enumerate(zip(job.names, job.files, strict=True)):
            tell({"step": "loading", "model": number})
            self.models.append(_Model(self.library, name, file, job))
        first = self.models[0]
        self.vocabulary = first.vocabulary
        for model in self.models:
            if model.vocabulary != self.vocabulary:
                raise BadInput(
                    "loss.other-vocabulary",
                    model=model.name,
                    base=first.name,
                    theirs=model.vocabulary,
                    ours=self.vocabulary,
                )
        self.threads = job.threads or self._best_threads()
        for model in self.models:
            model.use_threads(self.threads)
        self.comparer = Comparer(self.vocabulary, threads=self.threads)
        self.rows = _Rows(job, self.vocabulary) if job.rows >= 0 else None
        self.decoding = self.comparing = 0.0

    def _best_threads(self) -> int:
        """The number of threads that reads some tokens in the shortest time."""
        candidates = self.job.candidates or [1]
        if len(candidates) == 1:
            return candidates[0]
        first, taken = self.models[0], {}
        tokens = [i % self.vocabulary for i in range(min(_TIMED, self.job.batch))]
        for count in [candidates[0], *candidates]:  # the first one is for getting warm
            first.use_threads(count)
            first.forget()
            began = time.perf_counter()
            first.decode(tokens, range(len(tokens)), [False] * len(tokens))
            self.library.llama_synchronize(first.context)
            taken[count] = time.perf_counter() - began
        return min(candidates, key=lambda count: taken[count])

    # ---------------------------------------------------------------------------------------- texts

    def texts(self) -> None:
        """Cut all texts, see that they are long enough, then go through them."""
        job, size = self.job, self.job.context
        cut = []
        for number, text in enumerate(job.texts):
            tokens = self.models[0].tokens(text)
            chunks = len(tokens) // size
            if not chunks:
                raise BadInput(
                    "loss.short-text", number=number + 1, tokens=len(tokens), context=size
                )
            if job.chunks:
                chunks = min(chunks, job.chunks)
            self.tell({"step": "text", "text": number, "tokens": len(tokens), "chunks": chunks})
            cut.append([tokens[i * size : (i + 1) * size] for i in range(chunks)])
        if self.rows is not None:
            self.rows.make_room(sum(map(len, cut)) * _scored(size))
        for number, chunks_of in enumerate(cut):
            for chunk in chunks_of:
                self._chunk(number, chunk)

    def _chunk(self, number: int, chunk: list[int]) -> None:
        size, first = len(chunk), len(chunk) // 2
        vocab = self.models[0].vocab
        read = list(chunk)
        if self.library.llama_vocab_get_add_bos(vocab):
            read[0] = self.library.llama_vocab_bos(vocab)
        for model in self.models:
            model.forget()
        for start in range(0, size, self.job.batch):
            places = range(start, min(start + self.job.batch, size))
            wanted = [first <= place < size - 1 for place in places]
            began = time.perf_counter()
            rows = [
                self._guarded(model, model.decode, [read[p] for p in places], places, wanted)
                for model in self.models
            ]
            ended = time.perf_counter()
            self.decoding += ended - began
            words = [chunk[p + 1] for p, is_wanted in zip(places, wanted, strict=True) if is_wanted]
            figures = self._compared(rows, words)
            self.comparing += time.perf_counter() - ended
            self.tell({"step": "scored", "text": number, "read": len(places), "figures": figures})

    def _compared(self, rows: list[list[int]], words: list[int]) -> list[dict[str, list[Any]]]:
        """What a batch gave: for the base and for each of the others."""
        mode = self.rows
        stored = mode is not None and self.job.stored
        count = len(rows) + (1 if stored else 0)
        figures: list[dict[str, list[Any]]] = [{"nll": []} for _ in range(count)]
        for found in figures[1:]:
            found |= {"kld": [], "same": []}
        for start in range(0, len(words), ROWS):
            end = start + ROWS
            some = words[start:end]
            if stored:
                assert mode is not None
                base, others = mode.read(len(some)), [each[start:end] for each in rows]
                names = [self.job.model, *self.job.names]
            else:
                base, *others = (each[start:end] for each in rows)
                names = self.job.names
                if mode is not None:
                    mode.write(base)
            taken = self._named(names[0], self.comparer.take, base, some)
            figures[0]["nll"] += [each.nll for each in taken]
            for name, other, found in zip(names[1:], others, figures[1:], strict=True):
                for each in self._named(name, self.comparer.against, other, some):
                    found["nll"].append(each.nll)
                    found["kld"].append(each.kld)
                    found["same"].append(each.same)
        return figures

    def _guarded(self, model: _Model, do: Callable[..., Any], *args: Any) -> Any:
        self.tell({"step": "reading", "model": self.models.index(model)})
        return do(*args)

    @staticmethod
    def _named(name: str, do: Callable[..., Any], *args: Any) -> Any:
        try:
            return list(do(*args))
        except NoNumbers:
            raise Failed("loss.no-numbers", model=name) from None

    # ------------------------------------------------------------------------------------ questions

    def questions(self) -> None:
        """The likelihood of every option of every question, by each model."""
        job = self.job
        for number, question in enumerate(job.questions):
            answers = []
            for model in self.models:
                self.tell({"step": "reading", "model": self.models.index(model)})
                answers.append(self._answer(model, question))
            self.tell({"step": "answered", "question": number, "likelihoods": answers})

    def _answer(self, model: _Model, question: Question) -> list[float]:
        """Log-likelihoods of the options after the question's context. What all of them begin
        with is read once; each goes on in a sequence of its own."""
        full = [model.tokens(question.context + option) for option in question.options]
        prefix = max(1, _common(full))
        model.forget()
        shared = full[0][:prefix]
        last = [False] * (prefix - 1) + [True]
        (row,) = model.decode(shared, range(prefix), last)
        nexts = [tokens[prefix] for tokens in full]
        firsts = self._named(model.name, self.comparer.likely, [row] * len(full), nexts)
        totals = [-each.nll for each in firsts]
        tokens: list[int] = []
        positions: list[int] = []
        owners: list[int] = []
        words: list[int] = []
        for number, option in enumerate(full):
            rest = option[prefix:]
            if len(rest) < 2:
                continue
            self.copy(model.memory, 0, number + 1, -1, -1)
            tokens += rest[:-1]
            positions += range(prefix, prefix + len(rest) - 1)
            owners += [number] * (len(rest) - 1)
            words += rest[1:]
        if tokens:
            sequences = [owner + 1 for owner in owners]
            rows = model.decode(tokens, positions, [True] * len(tokens), sequences)
            for owner, each in zip(
                owners, self._named(model.name, self.comparer.likely, rows, words), strict=True
            ):
                totals[owner] -= each.nll
        return totals


class _Rows:
    """The base's rows of logits in a file, one after the other, as they are: 32 bits a number, so
    that figures are the same as without it."""

    def __init__(self, job: Predict, vocabulary: int) -> None:
        self.file, self.job = job.rows, job
        self.size = 4 * vocabulary
        self.at = 0
        self.buffer = (c_int8 * (ROWS * self.size))() if job.stored else None

    def make_room(self, rows: int) -> None:
        """Take the disk's space before any work is done. Raises NotHere."""
        if self.job.stored:
            return
        needed = rows * self.size
        state = os.fstatvfs(self.file)
        free = state.f_bavail * state.f_frsize
        if needed + _FREE > free:
            raise NotHere("loss.no-disk", folder=self.job.folder, needed=needed, free=free)
        try:
            os.posix_fallocate(self.file, 0, max(1, needed))
        except OSError as error:
            reason = error.strerror or str(error)
            raise Failed("loss.cannot-write", folder=self.job.folder, reason=reason) from None

    def write(self, rows: Sequence[int]) -> None:
        for row in rows:
            data = (c_int8 * self.size).from_address(row)
            done = 0
            while done < self.size:
                view = memoryview(data)[done:]
                try:
                    done += os.pwrite(self.file, view, self.at + done)
                except OSError as error:
                    reason = error.strerror or str(error)
                    raise Failed(
                        "loss.cannot-write", folder=self.job.folder, reason=reason
                    ) from None
            self.at += self.size

    def read(self, count: int) -> list[int]:
        """The addresses of the next rows, until the next call."""
        assert self.buffer is not None
        wanted, done = count * self.size, 0
        view = memoryview(self.buffer).cast("B")
        while done < wanted:
            got = os.preadv(self.file, [view[done:wanted]], self.at + done)
            if not got:
                raise Failed("loss.cannot-write", folder=self.job.folder, reason="EOF")
            done += got
        self.at += wanted
        start = ctypes.addressof(self.buffer)
        return [start + i * self.size for i in range(count)]


def _scored(size: int) -> int:
    """Tokens of a chunk that count."""
    return size - 1 - size // 2


def _common(lists: Sequence[Sequence[int]]) -> int:
    """How many tokens all lists begin with, at least one of each left out."""
    least = min(map(len, lists)) - 1
    for i in range(least):
        if len({each[i] for each in lists}) > 1:
            return i
    return least


def _give_up() -> None:
    sys.stderr.flush()
    os._exit(1)
