"""One model in every precision: what each saves, what it loses, how much faster it is.

The rule that is quoted everywhere says, against FP32: FP16 takes half the memory, loses under 1 %
and is 1.5 to 2 times as fast; INT8 a quarter, 1 to 5 %, 2 to 4 times; INT4 an eighth, 5 to 10 %, 4
to 8 times. It stands beside what is foreseen for this model on this machine, and what is measured
here: the files are made by `quantize`, read by `loss` and timed by `bench`. What the rule calls
loss has no definition; here it is the rise of the perplexity, the nearest that has one.

INT8 is Q8_0 and INT4 is Q4_K_M, the types that local runtimes use for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from millstream.base import MillstreamError
from millstream.lab.bench.figures import figures
from millstream.lab.bench.measure import Ask, Bench, Measured, Trouble
from millstream.lab.bench.stats import Spread, spread
from millstream.lab.bench.subject import Embedded
from millstream.lab.fit import fit
from millstream.lab.hardware import Calibration, Machine, Speed
from millstream.lab.likelihood import Accuracy, Divergence, Estimate
from millstream.lab.loss import Loss, Model, Options, shipped
from millstream.lab.loss import measure as measure_loss
from millstream.lab.mixes import DEFAULTS
from millstream.models import gguf
from millstream.models.footprint import Use, footprint

if TYPE_CHECKING:
    from millstream.home import Home
    from millstream.lab import names
    from millstream.lab.loss import Progress as LossProgress
    from millstream.models.http import Http

Label = Literal["FP32", "FP16", "INT8", "INT4", ""]
Verdict = Literal["as said", "better", "worse", "open"]

USUAL = ("F32", "F16", "Q8_0", "Q4_K_M")
PRECISIONS: dict[str, Label] = {
    "F32": "FP32", "F16": "FP16", "BF16": "FP16", "Q8_0": "INT8",
    "Q4_K_M": "INT4", "Q4_K_S": "INT4", "Q4_0": "INT4", "Q4_1": "INT4",
    "IQ4_NL": "INT4", "IQ4_XS": "INT4", "MXFP4": "INT4",
}  # fmt: skip
_NEAR = 0.05  # of a share of memory, that is still "as said"
_SURE = 2.0  # standard deviations
_SMALL = 0.01  # a loss that the rule calls FP16's
_SAME = 0.9  # of the first choices


class Rule(msgspec.Struct, frozen=True):
    """What is quoted of a precision, against FP32. memory: share that is left; loss and speed:
    from, to, as a share and as a factor."""

    memory: float
    loss: tuple[float, float]
    speed: tuple[float, float]


RULES: dict[Label, Rule] = {
    "FP16": Rule(1 / 2, (0.0, 0.01), (1.5, 2.0)),
    "INT8": Rule(1 / 4, (0.01, 0.05), (2.0, 4.0)),
    "INT4": Rule(1 / 8, (0.05, 0.10), (4.0, 8.0)),
}


class Timed(msgspec.Struct, frozen=True):
    """How a file ran here. memory: the most that its process took; foreseen: what the formulas
    say for the same use; loading: seconds. decode, prefill: tokens a second, first: seconds to the
    first token, each over the repetitions. noisy: a neighbour disturbed it."""

    memory: int
    foreseen: int
    loading: float
    threads: int
    decode: Spread | None
    prefill: Spread | None
    first: Spread | None
    noisy: bool


class Lost(msgspec.Struct, frozen=True):
    """What a file predicts worse than the base. perplexity: its rise as a share of the base's;
    tasks: done right."""

    perplexity: Estimate
    figures: Divergence
    tasks: Accuracy | None


class Row(msgspec.Struct):
    """A precision. weights: bytes; bits: of one on average; fallbacks of tensors have a larger type
    than wanted; repack: bytes of second copies on this processor. memory: foreseen for the use;
    decode, prefill: foreseen tokens a second, None where the machine's speed is unknown.
    impossible: why it can't be made; trouble: why it could not be measured."""

    type: str
    precision: Label
    weights: int
    bits: float
    fallbacks: int
    tensors: int
    repack: int
    memory: int
    fits: bool | None
    decode: float | None = None
    prefill: float | None = None
    impossible: str = ""
    trouble: str = ""
    size: int = 0
    timed: Timed | None = None
    lost: Lost | None = None
    verdicts: dict[str, Verdict] = {}

    @property
    def rule(self) -> Rule | None:
        return RULES.get(self.precision)


class Compared(msgspec.Struct):
    """A model in several precisions. against: the type that memory and speed are compared with;
    base: the one that losses are measured against, "" for none. calibration: what the speeds that
    are foreseen rest on, None where there are none. measured: anything was, not only
    foreseen. interrupted: before all of it was. trouble: the first that a file had
    while it was timed. requantized: types that the source
    itself is quantized to, "" for plain weights. notes: of the measurement of losses."""

    name: str
    source: str
    architecture: str
    parameters: int
    use: Use
    machine: Machine
    rows: list[Row]
    calibration: Calibration | None = None
    against: str = ""
    base: str = ""
    base_perplexity: Estimate | None = None
    base_tasks: Accuracy | None = None
    tokens: int = 0
    measured: bool = False
    interrupted: bool = False
    requantized: str = ""
    dequantized: bool = False
    notes: list[str] = []
    trouble: Trouble | None = None
    prompt: int = 0
    output: int = 0

    def row(self, type: str) -> Row | None:
        return next((row for row in self.rows if row.type == type), None)

    def share(self, row: Row) -> float | None:
        """Of the weights of FP32 (or of the base) that a row has."""
        base = self.row(self.against)
        return row.weights / base.weights if base and base.weights and row.weights else None

    def faster(self, row: Row, figure: str = "decode") -> Estimate | None:
        """How many times as fast a row is as the base, with the error of both."""
        base = self.row(self.against)
        mine = getattr(row.timed, figure, None)
        theirs = getattr(base.timed, figure, None) if base else None
        if mine is None or theirs is None or not theirs.mean:
            return None
        ratio = mine.mean / theirs.mean
        parts = [(s.sd / s.mean) ** 2 / s.count for s in (mine, theirs) if s.mean]
        return Estimate(ratio, ratio * math.sqrt(sum(parts)) if row is not base else 0.0)

    def foreseen(self, row: Row, figure: str = "decode") -> float | None:
        """How many times as fast a row should be."""
        base = self.row(self.against)
        mine, theirs = getattr(row, figure), getattr(base, figure) if base else None
        return mine / theirs if mine and theirs else None


def order(types: Sequence[str]) -> list[str]:
    """Types from the most bits to the fewest, each once."""
    return sorted(set(types), key=list(DEFAULTS).index)


def foresee(
    model: names.Model,
    types: Sequence[str],
    use: Use,
    machine: Machine,
    speed: Speed | None = None,
    *,
    depth: int = 256,
) -> Compared:
    """What can be said without making or loading anything. Raises BadInput."""
    made = fit(model, use, machine, speed=speed, labels=order(types), depth=depth)
    rows = [
        Row(
            type=each.precision.label,
            precision=PRECISIONS.get(each.precision.label, ""),
            weights=each.precision.weights,
            bits=each.precision.bits,
            fallbacks=sum(fallback.tensors for fallback in each.precision.fallbacks),
            tensors=len(model.tensors),
            repack=each.precision.repack,
            memory=each.total,
            fits=each.fits,
            decode=each.pace.decode if each.pace else None,
            prefill=each.pace.prefill if each.pace else None,
            impossible=each.precision.impossible,
            verdicts={},
        )
        for each in made.rows
    ]
    found = Compared(
        name=model.name,
        source=model.source,
        architecture=made.architecture,
        parameters=made.parameters,
        use=made.use,
        machine=machine,
        rows=rows,
        calibration=speed.calibration if speed else None,
        against=rows[0].type,
        notes=[],
    )
    judge(found)
    return found


def judge(found: Compared) -> None:
    """Hold every row against the rule. A speed or a loss that is not measured stays open."""
    plain, base = PRECISIONS.get(found.against) == "FP32", found.row(found.against)
    for row in found.rows:
        row.verdicts = {}
        rule = row.rule
        if rule is None or not plain or row.impossible:
            continue
        share = found.share(row)
        if share is not None:
            row.verdicts["memory"] = _of_memory(share, rule.memory)
        faster = found.faster(row)
        if faster is not None:
            both = (row.timed, base.timed if base else None)
            calm = not any(timed is not None and timed.noisy for timed in both)
            told = _between(faster, rule.speed, more_is_better=True)
            row.verdicts["speed"] = told if calm else "open"
        if row.lost is not None:
            said = (rule.loss[0] or -math.inf, rule.loss[1])  # a gain is under 1 %, too
            row.verdicts["loss"] = _between(row.lost.perplexity, said, more_is_better=False)


def _of_memory(share: float, said: float) -> Verdict:
    if abs(share - said) <= _NEAR * said:
        return "as said"
    return "worse" if share > said else "better"


def _between(found: Estimate, said: tuple[float, float], *, more_is_better: bool) -> Verdict:
    """Where an estimate is, if its error lets it be told."""
    low, high = found.value - _SURE * found.error, found.value + _SURE * found.error
    if said[0] <= low and high <= said[1]:
        return "as said"
    if high < said[0]:
        return "worse" if more_is_better else "better"
    if low > said[1]:
        return "better" if more_is_better else "worse"
    return "open"


def nearly_lossless(found: Compared) -> Row | None:
    """The smallest that surely loses less than a hundredth, and keeps nine of ten first choices."""
    good = [
        row
        for row in found.rows
        if row.lost is not None
        and row.lost.perplexity.value + _SURE * row.lost.perplexity.error < _SMALL
        and row.lost.figures.same_top.value >= _SAME
    ]
    return min(good, key=lambda row: row.weights, default=None)


def fastest(found: Compared) -> Row | None:
    """The row that writes the most tokens a second; None where its speed, or that of the base, was
    disturbed, so that nobody can tell."""
    timed = [(row.timed.decode.mean, row) for row in found.rows if row.timed and row.timed.decode]
    if not timed:
        return None
    best = max(timed, key=lambda pair: pair[0])[1]
    both = (best, found.row(found.against))
    return None if any(row and row.timed and row.timed.noisy for row in both) else best


# ------------------------------------------------------------------------------------- measuring


class Progress(msgspec.Struct, frozen=True):
    """How far it is: of one file's timing, or of all files' reading."""

    step: Literal["timing", "losing"]
    name: str
    done: int
    total: int


Listen = Callable[[Progress], None]


class Trial(msgspec.Struct, frozen=True):
    """How it is measured. rounds: times that each file is loaded and timed, forwards and backwards
    in turn, so that a machine that gets slower or faster disturbs all alike."""

    prompt: int = 256
    output: int = 64
    rounds: int = 2
    repetitions: int = 3
    loss: Options = Options()


async def measure(
    found: Compared,
    files: Mapping[str, Path],
    home: Home,
    http: Http,
    trial: Trial,
    listen: Listen = lambda progress: None,
) -> None:
    """Time the files of some rows and measure what they lose; the rows take it up as it comes.

    files: by type. Raises what `loss` raises; what can't be timed is the row's trouble."""
    found.prompt, found.output = trial.prompt, trial.output
    rows = [row for row in found.rows if row.type in files]
    for row in rows:
        row.size = sum(part.stat().st_size for part in gguf.shard_paths(files[row.type]))
    if len(rows) < len(found.rows):
        found.against = rows[0].type
    await _losses(found, rows, files, trial, listen)
    judge(found)
    await _times(found, rows, files, home, http, trial, listen)
    judge(found)


async def _losses(
    found: Compared,
    rows: Sequence[Row],
    files: Mapping[str, Path],
    trial: Trial,
    listen: Listen,
) -> None:
    models = [Model.of(files[row.type], row.type) for row in rows]
    if len(models) < 2:
        return

    def told(progress: LossProgress) -> None:
        listen(Progress("losing", progress.model, progress.done, progress.total))

    options = trial.loss
    trained = models[0].header.context_length
    if trained and options.context > trained:
        options = msgspec.structs.replace(options, context=trained)
    try:
        loss = await measure_loss(models[0], models[1:], shipped(), options, told)
    except MillstreamError as error:
        if (type := error.values.get("model")) in files:  # the models here are called by their type
            error.values["model"] = f"{found.name} ({type})"
        raise
    take(found, loss)


def take(found: Compared, loss: Loss) -> None:
    """Enter what was lost."""
    found.measured = True
    found.base = loss.base.name
    found.dequantized = not loss.base.original
    found.base_perplexity = loss.base.whole.perplexity if loss.base.whole else None
    found.base_tasks = loss.base.tasks.get("")
    found.tokens = sum(text.scored for text in loss.texts)
    found.notes = [note.text for note in loss.notes]
    for quant in loss.quants:
        row = found.row(quant.name)
        if row is None or quant.whole is None:
            continue
        ratio = math.exp(quant.whole.log_ratio.value)
        rise = Estimate(ratio - 1, ratio * quant.whole.log_ratio.error)
        row.lost = Lost(rise, quant.whole, quant.tasks.get(""))


async def _times(
    found: Compared,
    rows: Sequence[Row],
    files: Mapping[str, Path],
    home: Home,
    http: Http,
    trial: Trial,
    listen: Listen,
) -> None:
    ask = Ask(prompts=(trial.prompt,), outputs=(trial.output,), repetitions=trial.repetitions)
    taken: dict[str, list[Measured]] = {row.type: [] for row in rows}
    total, done = trial.rounds * len(rows), 0
    for number in range(trial.rounds):
        for row in rows if number % 2 == 0 else reversed(rows):
            listen(Progress("timing", row.type, done, total))
            done += 1
            if row.trouble:
                continue
            model = await _described(files[row.type], home, http)
            bench = Bench(ask, machine=found.machine)
            subject = Embedded(row.type, files[row.type], home, http, model)
            measured = await bench.measure(subject)
            if measured.trouble is not None:
                row.trouble = measured.trouble.message
                found.trouble = found.trouble or measured.trouble
            if measured.stages and measured.stages[0].figures.calls:
                taken[row.type].append(measured)
                row.timed = _summed(taken[row.type], model)
                found.measured = True


async def _described(path: Path, home: Home, http: Http) -> names.Model:
    from millstream.lab import names

    return await names.find(str(path), home, http)


def _summed(taken: Sequence[Measured], model: names.Model) -> Timed:
    """All rounds of a file as one measurement."""
    stages = [measured.stages[0] for measured in taken]
    calls = [
        msgspec.structs.replace(call, repetition=1000 * number + call.repetition)
        for number, stage in enumerate(stages)
        for call in stage.calls
    ]
    made, opened = figures(calls), stages[-1].opened
    use = Use(context=opened.context, slots=opened.slots, batch=opened.batch)
    return Timed(
        memory=max(stage.memory.peak for stage in stages),
        foreseen=footprint(model.headers, use).total,
        loading=min(stage.opened.seconds for stage in stages),
        threads=opened.threads,
        decode=spread(made.each.get("decode", [])),
        prefill=spread(made.each.get("prefill", [])),
        first=spread(made.each.get("first", [])),
        noisy=any(stage.noisy for stage in stages),
    )


def measurable(found: Compared) -> Iterator[Row]:
    """The rows that can be made and that fit into this machine's memory now."""
    for row in found.rows:
        if not row.impossible and row.fits is not False:
            yield row
