"""The report of `quantize`: which files there are now, how large, and why larger than they say."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from millstream.base import say
from millstream.lab.quantize import Plan, Quantized, Source, quantizer
from millstream.lab.report.document import Bar, Bars, Block, Cell, Column, Report, Section, Table
from millstream.lab.report.figures import figure
from millstream.models.gguf import TYPES

_FEW = 12  # tensors of one kind that are named
_KINDS = {name: number for number, name in enumerate(kind.name for kind in TYPES.values())}


def report(made: Sequence[Quantized | Plan], source: Source) -> Report:
    """Everything that was made, or would be."""
    whole = sum(path.stat().st_size for path in source.paths)
    sections = [Section(say("quantize.section-files"), tuple(_files(made, whole)))]
    fallen = [each for each in made if each.fallbacks]
    if fallen:
        sections.append(Section(say("quantize.section-fallbacks"), tuple(_fallbacks(fallen))))
    smallest: Quantized | Plan = min(made, key=lambda each: each.size)
    summary = [say("quantize.summary", **_words(smallest, whole), count=len(made))]
    if fallen:
        worst = max(fallen, key=lambda each: len(each.fallbacks))
        count, tensors = len(worst.fallbacks), sum(worst.types.values())
        summary.append(
            say("quantize.summary-fallbacks", type=_type(worst), count=count, tensors=tensors)
        )
    summary += source.warnings
    return Report(
        say("quantize.report-title", name=source.name),
        tuple(summary),
        tuple(_facts(source)),
        tuple(sections),
    )


def _type(each: Quantized | Plan) -> str:
    return each.type if isinstance(each, Quantized) else each.ftype


def _words(each: Quantized | Plan, whole: int) -> dict[str, object]:
    return {"type": _type(each), "share": round(100 * each.size / whole), "bits": each.bits}


def _facts(source: Source) -> Iterator[tuple[str, str]]:
    first = source.first
    yield say("quantize.fact-source"), source.paths[0].name
    yield say("quantize.fact-weights"), f"{first.architecture}, {first.quantization or '–'}"
    if first.licence:
        yield say("quantize.fact-licence"), first.licence
    yield say("quantize.fact-quantizer"), quantizer()
    yield say("quantize.fact-when"), time.strftime("%Y-%m-%d %H:%M")


def _files(made: Sequence[Quantized | Plan], whole: int) -> Iterator[Block]:
    columns = [
        Column(say("quantize.head-type")),
        Column(say("quantize.head-size"), "bytes", strong=True),
        Column(say("quantize.head-of-source"), "percent"),
        Column(say("quantize.head-bits")),
        Column(say("quantize.head-fallbacks")),
    ]
    done = any(isinstance(each, Quantized) for each in made)
    if done:
        columns.append(Column(say("quantize.head-time")))
    rows = []
    for each in made:
        row: list[Cell] = [_type(each), each.size, each.size / whole, f"{each.bits:.2f}"]
        row.append(f"{len(each.fallbacks)}/{sum(each.types.values())}")
        if isinstance(each, Quantized):
            row.append(say("quantize.kept") if each.kept else f"{each.seconds:.1f} s")
        rows.append(tuple(row))
    yield Table(tuple(columns), tuple(rows))
    kinds = sorted({kind for each in made for kind in each.types}, key=lambda k: _KINDS.get(k, 99))
    bars = tuple(Bar(_type(each), (float(each.size),), _end(each)) for each in made)
    title = say("quantize.bars")
    limits = ((say("quantize.limit-source"), float(whole)),)
    yield Bars(title, (say("quantize.head-size"),), bars, "bytes", limits)
    heads = (say("quantize.head-type"), *kinds)
    yield Table(
        tuple(Column(head) for head in heads),
        tuple((_type(each), *(each.types.get(kind) for kind in kinds)) for each in made),
        say("quantize.tensors-by-type"),
    )
    if done:
        heads = (say("quantize.head-file"), say("quantize.head-sha256"))
        sums = ((f"{e.name}.gguf", e.sha256) for e in made if isinstance(e, Quantized))
        yield Table(tuple(Column(head) for head in heads), tuple(sums))


def _end(each: Quantized | Plan) -> str:
    """What stands behind a file's bar."""
    return say("quantize.bar-note", size=figure(each.size, "bytes"), bits=each.bits)


def _fallbacks(fallen: Sequence[Quantized | Plan]) -> Iterator[Block]:
    yield say("quantize.fallbacks-about")
    rows: list[tuple[Cell, ...]] = []
    for each in fallen:
        groups: dict[tuple[str, str], list[str]] = {}
        for fallback in each.fallbacks:
            groups.setdefault((fallback.wanted, fallback.type), []).append(fallback.tensor)
        for (wanted, got), names in groups.items():
            some = ", ".join(names[:_FEW]) + (" …" if len(names) > _FEW else "")
            rows.append((_type(each), wanted, got, len(names), some))
    heads = ("type", "wanted", "got", "count", "tensors")
    yield Table(tuple(Column(say(f"quantize.head-{head}")) for head in heads), tuple(rows))
