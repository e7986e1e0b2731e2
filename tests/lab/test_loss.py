"""What quantization costs: figures by hand, by an independent reading, by law; what is refused."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import resource
import signal
import statistics
import struct
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.models import VOCABULARY, llama
from millstream.base import BadInput, Failed, NotHere, set_language
from millstream.lab import jobs, likelihood, predictor, tasks, texts
from millstream.lab import loss as losses
from millstream.lab.loss import Kept, Loss, Model, Options, Progress, Text, measure
from millstream.lab.origin import dequantized, quantized
from millstream.lab.quantizer import quantize
from millstream.lab.report import html
from millstream.lab.report import loss as reports
from millstream.models import gguf
from millstream.models.embedded import memory

pytest.importorskip("xllamacpp", reason="measuring needs the extra `local`")

SOME = Text("some", texts.text("en")[:1500])
SMALL = Options(context=64, chunks=3, batch=16, threads=1, languages=())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, and what a quantizer made of it."""
    path = tmp_path_factory.mktemp("models")
    source = llama(path / "Tiny-F16.gguf", spread=0.1)
    for kind in ("Q8_0", "Q4_0", "Q2_K"):
        remade(source, kind, path / f"Tiny-{kind}.gguf")
    return path


def remade(source: Path, kind: str, target: Path) -> Path:
    quantize(jobs.Quantize("m", [str(source)], kind, str(target), threads=1), lambda step: None)
    return target


def model(folder: Path, kind: str) -> Model:
    return Model.of(folder / f"Tiny-{kind}.gguf")


def measured(base: Model, *quants: Model, text: Text = SOME, **options: Any) -> Loss:
    wanted = {**{name: getattr(SMALL, name) for name in SMALL.__struct_fields__}, **options}
    return asyncio.run(measure(base, quants, [text], Options(**wanted)))


# ------------------------------------------------------------------------------------- by hand


def compared(base: list[list[float]], other: list[list[float]], words: list[int]) -> Any:
    from millstream.lab.logits import Comparer

    rows = [[array("f", row) for row in rows] for rows in (base, other)]
    addresses = [[row.buffer_info()[0] for row in part] for part in rows]
    comparer = Comparer(len(base[0]))
    taken = comparer.take(addresses[0], words)
    return taken, comparer.against(addresses[1], words)


def test_a_divergence_by_hand() -> None:
    """Chances of 1/8, 2/8, 5/8 against 2/8, 1/8, 5/8: ⅛ ln ½ + ¼ ln 2 = ⅛ ln 2. Logits may be
    shifted by anything."""
    ours, theirs = (Fraction(1, 8), Fraction(2, 8), Fraction(5, 8)), (2, 1, 5)
    base = [math.log(chance) + 3 for chance in ours]
    other = [math.log(weight) for weight in theirs]
    (taken,), (found,) = compared([base], [other], [1])
    assert taken.nll == pytest.approx(math.log(4), abs=1e-6)
    assert found.nll == pytest.approx(math.log(8), abs=1e-6)
    assert found.kld == pytest.approx(math.log(2) / 8, abs=1e-6)
    assert found.same
    assert taken.top == 2


def exact(base: array[float], other: array[float], word: int) -> tuple[float, float]:
    """Negative log-likelihood and divergence in 64 bits, each sum exact."""
    most = max(base), max(other)
    sums = [
        top + math.log(math.fsum(math.exp(x - top) for x in row))
        for top, row in zip(most, (base, other), strict=True)
    ]
    terms = (
        math.exp(x - sums[0]) * ((x - sums[0]) - (y - sums[1]))
        for x, y in zip(base, other, strict=True)
    )
    return sums[1] - other[word], math.fsum(terms)


@settings(max_examples=60)
@given(st.integers(2, 400), st.floats(0.01, 12), st.floats(0, 8), st.floats(-30, 30), st.data())
def test_divergences_are_right_and_never_negative(
    size: int, wide: float, apart: float, shift: float, data: st.DataObject
) -> None:
    source = random.Random(data.draw(st.integers(0, 2**32)))
    base = array("f", (source.gauss(0, wide) for _ in range(size)))
    other = array("f", (x + shift + source.gauss(0, apart) for x in base))
    word = source.randrange(size)
    _, (found,) = compared([list(base)], [list(other)], [word])
    nll, kld = exact(base, other, word)
    assert found.nll == pytest.approx(nll, abs=5e-6)
    assert found.kld == pytest.approx(kld, abs=5e-6, rel=1e-6)
    assert found.kld >= 0
    _, (same,) = compared([list(base)], [list(base)], [word])
    assert (same.kld, same.same) == (0, True)


def test_many_rows_of_a_large_vocabulary() -> None:
    source = random.Random(5)
    base = [[source.gauss(0, 4) for _ in range(30_000)] for _ in range(5)]
    other = [[x + source.gauss(0, 0.02) for x in row] for row in base]
    words = [source.randrange(30_000) for _ in base]
    _, found = compared(base, other, words)
    for row, another, word, each in zip(base, other, words, found, strict=True):
        nll, kld = exact(array("f", row), array("f", another), word)
        assert each.kld == pytest.approx(kld, abs=1e-6)
        assert each.nll == pytest.approx(nll, abs=1e-6)


def test_statistics_by_hand() -> None:
    base, other = [1.0, 2.0, 3.0, 2.0], [1.5, 2.0, 3.5, 1.0]
    found = likelihood.divergence(base, other, [0.1, 0.0, 0.4, 0.3], [True, True, False, True])
    assert found.perplexity.value == pytest.approx(math.exp(2))
    # llama-perplexity: sqrt((mean of squares - square of the mean) / (n - 1)) × perplexity
    spread = math.sqrt((1.5**2 + 2**2 + 3.5**2 + 1) / 4 - 4)
    assert found.perplexity.error == pytest.approx(math.exp(2) * spread / math.sqrt(3))
    assert found.log_ratio.value == pytest.approx(0.0)
    # Its error there: sqrt(error(x)² + error(y)² - 2 covariance)
    xx, yy = statistics.pvariance(other) / 3, statistics.pvariance(base) / 3
    both = (statistics.fmean(a * b for a, b in zip(base, other, strict=True)) - 4) / 3
    assert found.log_ratio.error == pytest.approx(math.sqrt(xx + yy - 2 * both))
    assert found.kld.value == pytest.approx(0.2)
    assert found.kld.error == pytest.approx(statistics.pstdev([0.1, 0, 0.4, 0.3]) / math.sqrt(3))
    assert found.percentiles["50"] == pytest.approx(0.2)
    assert found.percentiles["100"] == 0.4
    assert found.same_top.value == 0.75
    assert found.same_top.error == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    deltas = [math.exp(-x) - math.exp(-y) for x, y in zip(other, base, strict=True)]
    assert found.delta_mean.value == pytest.approx(statistics.fmean(deltas))
    squares = [delta**2 for delta in deltas]
    rms = math.sqrt(statistics.fmean(squares))
    assert found.delta_rms.value == pytest.approx(rms)
    error = statistics.pstdev(squares) / math.sqrt(3) * 0.5 / rms
    assert found.delta_rms.error == pytest.approx(error)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=50))
def test_percentiles_are_the_usual_ones(values: list[float]) -> None:
    ordered = sorted(values)
    usual = statistics.quantiles(ordered, n=100, method="inclusive")
    for percent in (1, 10, 50, 99):
        found = likelihood.percentile(ordered, percent)
        assert found == pytest.approx(usual[percent - 1], abs=1e-9)
    assert likelihood.percentile(ordered, 100) == ordered[-1]


def test_few_figures_have_no_error() -> None:
    assert likelihood.mean([]).value == 0
    assert likelihood.mean([3.0]) == likelihood.Estimate(3.0, 0.0)
    assert likelihood.share(1, 1).error == 0
    assert likelihood.percentile([], 50) == 0


# ----------------------------------------------------------------------- by an independent reading

# Whole chunks at once, every logit looked at by Python itself.
READING = """
import ctypes, json, math, os, sys
from millstream.lab.library import Batch, Library
ask = json.loads(sys.stdin.read())
library = Library()
library.llama_backend_init()
params = library.llama_model_default_params()
model = library.llama_model_load_from_file(ask["file"].encode(), params)
params = library.llama_context_default_params()
params.n_ctx = params.n_batch = params.n_ubatch = 512
params.n_threads = params.n_threads_batch = 1
context = library.llama_init_from_model(model, params)
vocab = library.llama_model_get_vocab(model)
words = library.llama_vocab_n_tokens(vocab)
def tokens(text):
    data = text.encode()
    out = (ctypes.c_int32 * (len(data) + 8))()
    n = library.llama_tokenize(vocab, data, len(data), out, len(out), True, False)
    return list(out[:n])
def chances(read):
    library.llama_memory_clear(library.llama_get_memory(context), True)
    n = len(read)
    i32 = ctypes.c_int32
    zeros = (i32 * n)()
    p = ctypes.POINTER(i32)
    seq = (p * n)(*[ctypes.cast(zeros, p)] * n)
    batch = Batch(n, (i32 * n)(*read), None, (i32 * n)(*range(n)), (i32 * n)(*[1] * n), seq,
                  (ctypes.c_int8 * n)(*[1] * n))
    assert library.llama_decode(context, batch) == 0
    rows = []
    for i in range(n):
        row = library.llama_get_logits_ith(context, i)[:words]
        top = max(row)
        total = top + math.log(math.fsum(math.exp(x - top) for x in row))
        rows.append([x - total for x in row])
    return rows
size, nll = ask["context"], []
text = tokens(ask["text"])
for start in range(0, ask["chunks"] * size, size):
    chunk = text[start : start + size]
    rows = chances([library.llama_vocab_bos(vocab), *chunk[1:]])
    nll += [-rows[i][chunk[i + 1]] for i in range(size // 2, size - 1)]
answers = []
for question in ask["questions"]:
    cut = [tokens(question["context"] + option) for option in question["options"]]
    shared = next(i for i in range(99) if len({tuple(c[: i + 1]) for c in cut}) > 1)
    answers.append([])
    for each in cut:
        rows = chances(each)
        answers[-1].append(sum(rows[i - 1][each[i]] for i in range(shared, len(each))))
print(json.dumps({"nll": nll, "answers": answers, "bos": text[0]}))
sys.stdout.flush()
os._exit(0)
"""


def test_an_independent_reading_finds_the_same(folder: Path) -> None:
    """Where each chunk begins, its BOS, which half counts, and what follows a shared beginning."""
    questions = [jobs.Question("the river", [" of", " and the", " eat"]), *[
        item.question for item in tasks.items("en")[:3]
    ]]  # fmt: skip
    file = str(folder / "Tiny-F16.gguf")
    asked = [{"context": q.context, "options": q.options} for q in questions]
    ask = {"file": file, "text": SOME.text, "context": 64, "chunks": 3, "questions": asked}
    done = subprocess.run(
        [sys.executable, "-c", READING], input=json.dumps(ask), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]
    theirs = json.loads(done.stdout)
    assert theirs["bos"] == 1
    ours: dict[str, list[Any]] = {"nll": [], "answers": []}

    def hear(step: dict[str, Any]) -> None:
        if step["step"] == "scored":
            ours["nll"] += step["figures"][0]["nll"]
        elif step["step"] == "answered":
            ours["answers"] += step["likelihoods"]

    # In batches of the same length: llama.cpp's sums depend on it in the fourth digit.
    job = jobs.Predict("m", ["m"], [file], [SOME.text], questions, 64, 3, 64, 1, [1])
    asyncio.run(jobs.run(job, hear))
    assert len(ours["nll"]) == 3 * 31
    assert ours["nll"] == pytest.approx(theirs["nll"], abs=1e-4)
    for mine, other in zip(ours["answers"], theirs["answers"], strict=True):
        assert mine == pytest.approx(other, abs=1e-3)


# ---------------------------------------------------------------------------------------- by law


def test_the_base_against_itself_loses_nothing(folder: Path) -> None:
    found = measured(model(folder, "F16"), model(folder, "F16"), languages=("en",))
    (quant,) = found.quants
    assert quant.whole is not None
    assert found.base.whole is not None
    assert quant.whole.kld == likelihood.Estimate(0.0, 0.0)
    assert quant.whole.percentiles["100"] == 0
    assert quant.whole.same_top.value == 1
    assert quant.whole.delta_rms.value == 0
    assert quant.whole.perplexity == found.base.whole.perplexity
    assert quant.tasks[""].agree == quant.tasks[""].tasks == 52
    assert "loss.note-perplexity" not in [note.key for note in found.notes]


def test_fewer_bits_are_farther_away(folder: Path) -> None:
    kinds = ("Q8_0", "Q4_0", "Q2_K")
    found = measured(model(folder, "F16"), *(model(folder, kind) for kind in kinds))
    wholes = [quant.whole for quant in found.quants if quant.whole is not None]
    klds = [whole.kld.value for whole in wholes]
    assert 0 < klds[0] < klds[1] < klds[2]
    assert [quant.type for quant in found.quants] == list(kinds)
    assert found.quants[0].bits == pytest.approx(8.5, abs=0.1)
    assert (found.texts[0].chunks, found.texts[0].scored) == (3, 93)
    assert found.base.original
    assert [note.key for note in found.notes][:1] == ["loss.note-few"]


def test_how_a_text_is_cut_into_batches_changes_nothing(folder: Path) -> None:
    pair = model(folder, "F16"), model(folder, "Q4_0")
    one, other, whole = (measured(*pair, batch=batch).quants[0].whole for batch in (7, 16, 64))
    assert one is not None
    assert other is not None
    assert whole is not None
    assert one.kld.value == pytest.approx(other.kld.value, rel=1e-6)
    assert one.perplexity.value == pytest.approx(other.perplexity.value, rel=1e-6)
    # llama.cpp sums a long batch in another order, and random weights make much of it.
    assert one.kld.value == pytest.approx(whole.kld.value, rel=0.01)
    assert one.log_ratio.value == pytest.approx(whole.log_ratio.value, abs=0.01)


def test_one_after_the_other_gives_the_same_as_all_at_once(folder: Path, tmp_path: Path) -> None:
    several = [model(folder, kind) for kind in ("F16", "Q8_0", "Q4_0")]
    at_once = measured(*several, languages=("zh",))
    in_turn = measured(*several, languages=("zh",), together=False, folder=tmp_path)
    assert (at_once.together, in_turn.together) == (True, False)
    assert in_turn.quants == at_once.quants
    assert in_turn.base == at_once.base
    assert list(tmp_path.iterdir()) == []


def test_the_models_are_only_read(folder: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    measured(model(folder, "F16"), model(folder, "Q8_0"))
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()
    }


def test_progress_goes_to_the_end(folder: Path) -> None:
    steps: list[Progress] = []
    pair = model(folder, "F16"), model(folder, "Q8_0")
    asyncio.run(measure(pair[0], pair[1:], [SOME], SMALL, steps.append))
    assert steps[-1].done == steps[-1].total == 2 * 3 * 64
    assert {step.step for step in steps} == {"loading", "reading"}
    assert all(a.done <= b.done for a, b in pairwise(steps))


# ----------------------------------------------------------------------------- originals, fallbacks


def test_a_base_that_was_quantized_before_is_told_by_its_numbers(
    folder: Path, tmp_path: Path
) -> None:
    again = {
        kind: remade(folder / f"Tiny-{kind}.gguf", "F16", tmp_path / f"from-{kind}.gguf")
        for kind in ("Q8_0", "Q4_0")
    }
    assert dequantized(model(folder, "F16")) == 0
    assert dequantized(Model.of(again["Q4_0"])) == 4
    assert dequantized(Model.of(again["Q8_0"])) == 8
    wide = remade(folder / "Tiny-F16.gguf", "BF16", tmp_path / "bf16.gguf")
    assert dequantized(Model.of(wide)) == 0
    assert quantized(model(folder, "F16")) == ""
    assert quantized(model(folder, "Q8_0")) == "30 × Q8_0"
    found = measured(Model.of(again["Q4_0"], "back"), model(folder, "Q4_0"))
    assert not found.base.original
    (note,) = [note for note in found.notes if note.key == "loss.note-dequantized"]
    assert "back has numbers like those of a file with 4 bits a weight" in note.text
    assert "reference, not the original" in note.text
    found = measured(model(folder, "Q8_0"), model(folder, "Q4_0"))
    assert "is quantized itself (30 × Q8_0)" in found.notes[0].text


def test_another_model_of_the_same_words_is_said_to_be_one(folder: Path, tmp_path: Path) -> None:
    other = Model.of(llama(tmp_path / "Other.gguf", layers=2))
    found = measured(model(folder, "F16"), other)
    assert "another model" in next(n for n in found.notes if n.key == "loss.note-other").text


# --------------------------------------------------------------------------------- tasks and texts


@pytest.mark.parametrize("language", tasks.LANGUAGES)
def test_tasks_are_sound(language: str) -> None:
    items = tasks.items(language)
    assert len({item.context for item in items}) == len(items) == 52
    for item in items:
        assert len(set(item.options)) == 4
        # An option that another one begins with would always be the likelier.
        assert not any(a != b and a.startswith(b) for a in item.options for b in item.options)
        assert all(option.startswith(" ") for option in item.options) == (language == "en")


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_texts_are_long_enough(language: str) -> None:
    text = texts.text(language)
    assert 20_000 < len(text.encode()) < 60_000
    assert "\ufffd" not in text


# ----------------------------------------------------------------------------------- what's refused


def refused(kind: type[Exception], *models: Model, **options: Any) -> Any:
    with pytest.raises(kind) as caught:
        measured(*models, **options)
    return caught.value


def test_models_of_other_words(folder: Path, tmp_path: Path) -> None:
    base = model(folder, "F16")
    data = (folder / "Tiny-F16.gguf").read_bytes()
    other = tmp_path / "other.gguf"
    other.write_bytes(data.replace("▁river".encode(), "▁rover".encode()))
    error = refused(BadInput, base, Model.of(other))
    assert "word 260 is '▁rover' in one and '▁river' in the other" in error.message
    assert "made from this base" in error.next_step
    eos = struct.pack("<Q", 27) + b"tokenizer.ggml.bos_token_id" + struct.pack("<I", 4)
    other.write_bytes(data.replace(eos + struct.pack("<I", 1), eos + struct.pack("<I", 2)))
    error = refused(BadInput, base, Model.of(other))
    assert "tokenizer.ggml.bos_token_id is 2 in one and 1 in the other" in error.message
    none = Model.of(llama(tmp_path / "none.gguf", words=False))
    assert f"(0 and {VOCABULARY} words)" in refused(BadInput, base, none).message


def test_a_truncated_file(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((folder / "Tiny-Q8_0.gguf").read_bytes()[:-1000])
    with pytest.raises(BadInput) as caught:
        Model.of(cut)
    assert caught.value.code == "gguf.truncated"


def test_a_text_that_is_too_short(folder: Path) -> None:
    error = refused(BadInput, model(folder, "F16"), text=Text("short.txt", "the river"))
    assert "the text short.txt has 11 tokens, fewer than one chunk of 64" in error.message
    assert "--context" in error.next_step


def test_a_context_that_is_too_long(folder: Path) -> None:
    error = refused(BadInput, model(folder, "F16"), context=1024)
    assert "trained for 512 tokens: chunks of 1,024 are too long" in error.message


def test_no_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1000)
    error = refused(NotHere, model(folder, "F16"), model(folder, "Q8_0"))
    assert "bytes of memory, 1,000 are free" in error.message


def test_memory_for_one_model_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 80 << 20)
    found = measured(model(folder, "F16"), model(folder, "Q8_0"))
    assert not found.together


def test_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.Predict("m", [], [], [], [], 64, 3, 16, 1, [], rows=0, folder=str(tmp_path))
    real = os.fstatvfs(0)
    monkeypatch.setattr(
        os, "fstatvfs", lambda file: type("S", (), {"f_bavail": 10, "f_frsize": real.f_frsize})
    )
    with pytest.raises(NotHere) as caught:
        predictor._Rows(job, 1000).make_room(5)
    assert f"do not fit into {tmp_path}: 20,000 bytes are needed" in caught.value.message
    assert "--scratch" in caught.value.next_step


def test_a_disk_that_is_full_all_the_same(folder: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        error = refused(
            Failed, model(folder, "F16"), model(folder, "Q8_0"), folder=tmp_path, together=False
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"cannot be kept in {tmp_path}: File too large" in error.message


def test_a_folder_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    where = tmp_path / "nowhere"
    error = refused(BadInput, model(folder, "F16"), folder=where, together=False)
    assert f"nothing can be written in {where}" in error.message


def damaged(folder: Path, path: Path, tensor: str) -> Model:
    """A copy with numbers that are none."""
    data = bytearray((folder / "Tiny-F16.gguf").read_bytes())
    header = gguf.read(folder / "Tiny-F16.gguf")
    found = next(each for each in header.tensors if each.name == tensor)
    start = header.data_offset + found.offset
    data[start : start + 2000] = struct.pack("<e", math.nan) * 1000
    path.write_bytes(data)
    return Model.of(path)


@pytest.mark.parametrize("tensor", ["output.weight", "blk.0.ffn_down.weight"])
def test_a_model_without_numbers(folder: Path, tmp_path: Path, tensor: str) -> None:
    broken = damaged(folder, tmp_path / "broken.gguf", tensor)
    error = refused(Failed, model(folder, "F16"), broken)
    assert error.message.startswith("broken predicts no numbers (NaN)")


@pytest.mark.parametrize("together", [True, False])
def test_a_model_without_numbers_does_not_stop_the_others(
    folder: Path, tmp_path: Path, together: bool
) -> None:
    broken = damaged(folder, tmp_path / "broken.gguf", "output.weight")
    quants = [model(folder, "Q8_0"), broken, model(folder, "Q4_0")]
    options = Options(64, 2, 32, 1, ("en",), tmp_path, together)
    kept = Kept()
    found = asyncio.run(measure(model(folder, "F16"), quants, [SOME], options, kept=kept))
    assert [quant.type for quant in found.quants] == ["Q8_0", "Q4_0"]
    (trouble,) = kept.left
    assert "broken predicts no numbers" in trouble.message
    said, why = (note.text for note in found.missing)
    assert "3 of the 4 models were measured" in said
    assert "Left out: broken predicts no numbers" in why
    page = html.render(reports.report(found))
    assert said in page
    assert "Left out: broken" in page
    whole = asyncio.run(measure(model(folder, "F16"), [quants[0], quants[2]], [SOME], options))
    assert not whole.missing
    for field in ("texts", "whole", "tasks"):
        mine, theirs = ([getattr(q, field) for q in each.quants] for each in (found, whole))
        assert mine == theirs


def test_a_cancel_keeps_the_models_that_were_finished(folder: Path, tmp_path: Path) -> None:
    kept = Kept()

    async def cancelled() -> None:
        def listen(progress: Progress) -> None:
            if progress.model == "Tiny-Q4_0":
                task.cancel()

        quants = [model(folder, kind) for kind in ("Q8_0", "Q4_0")]
        options = Options(64, 2, 32, 1, (), tmp_path, together=False)
        work = measure(model(folder, "F16"), quants, [SOME], options, listen, kept)
        task = asyncio.ensure_future(work)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert kept.loss is not None
    assert [quant.type for quant in kept.loss.quants] == ["Q8_0"]
    assert "2 of the 3 models" in kept.loss.missing[0].text


@pytest.mark.parametrize("together", [True, False])
def test_all_that_are_no_good_are_told(folder: Path, tmp_path: Path, together: bool) -> None:
    broken = [
        damaged(folder, tmp_path / f"{name}.gguf", "output.weight") for name in ("one", "other")
    ]
    kept = Kept()
    options = Options(64, 2, 32, 1, (), tmp_path, together)
    with pytest.raises(Failed, match="one predicts no numbers"):
        asyncio.run(measure(model(folder, "F16"), broken, [SOME], options, kept=kept))
    assert [error.values["model"] for error in kept.left] == ["one", "other"]
    assert kept.loss is None


def test_all_that_have_other_words_are_told(folder: Path, tmp_path: Path) -> None:
    none = [Model.of(llama(tmp_path / f"{name}.gguf", words=False)) for name in ("one", "other")]
    kept = Kept()
    with pytest.raises(BadInput, match="one and Tiny-F16"):
        asyncio.run(measure(model(folder, "F16"), none, [SOME], kept=kept))
    assert [error.values["model"] for error in kept.left] == ["one", "other"]


def children() -> list[int]:
    me = os.getpid()
    if not Path("/proc/self/task").exists():
        pytest.skip("this system doesn't list a process's children")
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGSEGV, "llama.cpp broke down while it worked on Tiny-Q8_0 (SIGSEGV)"),
        (signal.SIGKILL, "the work on Tiny-Q8_0 was ended by the system: most likely memory ran"),
    ],
)
def test_a_model_that_breaks_its_runtime_is_named(
    folder: Path, tmp_path: Path, number: int, message: str
) -> None:
    def listen(progress: Progress) -> None:
        if progress.model == "Tiny-Q8_0" and progress.step == "reading":
            for pid in children():
                with suppress(ProcessLookupError):  # gone since, of the last blow
                    os.kill(pid, number)

    several = [model(folder, kind) for kind in ("F16", "Q8_0", "Q4_0")]
    for together in (True, False):
        options = Options(64, 3, 16, 1, (), tmp_path, together)
        with pytest.raises(Failed) as caught:
            asyncio.run(measure(several[0], several[1:], [SOME], options, listen))
        assert message in str(caught.value)
        assert list(tmp_path.iterdir()) == []
        assert children() == []
        kept = Kept()
        work = measure(several[0], several[1:], [SOME], options, listen, kept)
        if together and number == signal.SIGKILL:  # too much for the memory, all of them
            with pytest.raises(Failed):
                asyncio.run(work)
            continue
        assert [quant.type for quant in asyncio.run(work).quants] == ["Q4_0"]
        assert message in kept.left[0].message


def test_a_cancel_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    several = [model(folder, kind) for kind in ("F16", "Q8_0")]

    async def cancelled() -> None:
        def listen(progress: Progress) -> None:
            if progress.done:
                task.cancel()

        options = Options(64, 3, 16, 1, (), tmp_path, together=False)
        task = asyncio.ensure_future(measure(several[0], several[1:], [SOME], options, listen))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert list(tmp_path.iterdir()) == []
    assert children() == []


# --------------------------------------------------------------------------------------- the report


@pytest.fixture
def _chinese() -> Iterator[None]:
    set_language("zh")
    yield
    set_language(None)


@pytest.mark.usefixtures("_chinese")
def test_the_report_in_chinese(folder: Path) -> None:
    found = measured(model(folder, "F16"), model(folder, "Q8_0"), languages=("zh",))
    said = str(reports.report(found))
    assert "量化的代价：Tiny-F16" in said
    assert "与基准的差距" in said


def test_the_front_has_what_no_other_file_beats(folder: Path) -> None:
    kinds = ("Q8_0", "Q4_0", "Q2_K")
    found = measured(model(folder, "F16"), *(model(folder, kind) for kind in kinds))
    assert {quant.type for quant in reports.front(found.quants)} <= set(kinds)
    largest = max(found.quants, key=lambda quant: quant.size)
    nearest = min(found.quants, key=lambda quant: quant.whole.kld.value)  # type: ignore[union-attr]
    front = reports.front(found.quants)
    assert nearest in front
    assert front == sorted(front, key=lambda quant: quant.size)
    assert largest is nearest
    report = reports.report(found)
    assert "Q8_0 is nearest to the base" in report.summary[0]
    assert "Q2_K is farthest" in report.summary[1]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["smol-135m-F16", "smol-135m-Q4_K_M"], ["F16", "Q4_K_M"]),
        (["Tiny-F16", "tiny"], ["Tiny-F16", "tiny"]),
        (["a/Tiny", "b/Tiny"], ["a/Tiny", "b/Tiny"]),
        (["Tiny-F16"], ["Tiny-F16"]),
        (["Q4_K_M", "Q4_K_S"], ["Q4_K_M", "Q4_K_S"]),
    ],
)
def test_short_names_in_charts(names: list[str], told: list[str]) -> None:
    assert list(reports.short(names).values()) == told


def test_divergences_for_people() -> None:
    assert reports.divergence(likelihood.Estimate(0.1234567, 0.0123)) == "0.1235 ± 0.0123"
    assert reports.divergence(likelihood.Estimate(0.0045, 0.000089)) == "0.00450 ± 0.00009"
    assert reports.divergence(likelihood.Estimate(0.0, 0.0)) == "0"
    assert reports.nats(0.00332123) == "0.00332"
    assert losses.Note("loss.note-few", {"tokens": 12}).text.startswith("12 tokens are few")
