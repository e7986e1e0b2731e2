"""Which model to take on this machine: a short list with reasons.

From the recommended models those that fit with a context and a slot to work with, with what they
take and how fast they will be by this machine's calibration. Three of them at most: the best, one
that is quick, and the smallest that is of use. Where a system doesn't say what is free, 4 GiB are
taken for granted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millstream.lab import typical
from millstream.lab.fit import Advice, capacity
from millstream.lab.hardware import Machine, Speed
from millstream.lab.mixes import retyped
from millstream.lab.precision import in_precision
from millstream.lab.speed import Pace, predict, work
from millstream.models.footprint import Use, footprint
from millstream.models.gguf import Header
from millstream.models.recommended import RECOMMENDED, Recommended
from millstream.models.shape import shape

QUICK = 8.0  # tokens a second that people read along with
_SPARE = 0.85  # of the free memory, that a model may take
_GRANTED = 4 << 30


class Needs(msgspec.Struct, frozen=True):
    """What an app asks of its models. context: tokens of its longest call. chinese: its prompts
    are written in Chinese."""

    context: int = 8192
    chinese: bool = False


class Choice(msgspec.Struct, frozen=True):
    """A model of the list. memory: bytes as the runtime loads it; pace: None where the machine
    was not measured. name: to pull it by; here: it need not be fetched. why: reasons, the one that
    it is in the list for first."""

    name: str
    quantization: str
    parameters: float
    size: int
    memory: int
    context: int
    pace: Pace | None
    licence: str
    languages: str
    ollama: str
    here: bool
    why: tuple[Advice, ...]


def recommend(
    machine: Machine,
    speed: Speed | None = None,
    needs: Needs | None = None,
    *,
    shelf: Sequence[str] = (),
) -> list[Choice]:
    """The models to take, the best first; empty if none fits. shelf: names of those that are on
    this machine already."""
    needs = needs or Needs()
    room = capacity(machine)
    room = _GRANTED if room is None else room
    found, left_out = [], False
    for model in RECOMMENDED:
        if needs.chinese and "zh" not in model.languages:
            continue
        made = _choice(model, speed, needs, shelf)
        if made is None:
            left_out = True
        elif made.memory <= _SPARE * room:
            found.append(made)
    if not found:
        return []
    found.sort(key=_worth, reverse=True)
    if left_out:
        why = (*found[0].why, Advice("lab.why-context", {"context": needs.context}))
        found[0] = msgspec.structs.replace(found[0], why=why)
    chosen = {found[0].name: (found[0], Advice("lab.why-best"))}
    quick = [each for each in found if each.pace and each.pace.decode >= QUICK]
    if quick:
        certain = speed is None or not speed.noisy
        why_fast = Advice("lab.why-fast" if certain else "lab.why-fast-noisy")
        chosen.setdefault(quick[0].name, (quick[0], why_fast))
    useful = [each for each in found if each.parameters >= 0.5] or found
    chosen.setdefault(useful[-1].name, (useful[-1], Advice("lab.why-small")))
    return [
        msgspec.structs.replace(each, why=(reason, *each.why)) for each, reason in chosen.values()
    ]


def _worth(choice: Choice) -> float:
    """How good a model is, roughly: its size. Models of experts are somewhat below dense ones."""
    return choice.parameters


def _choice(
    model: Recommended, speed: Speed | None, needs: Needs, shelf: Sequence[str]
) -> Choice | None:
    """A model with its figures; None for one whose context is too short."""
    header = typical.named("SmolLM2-135M" if not model.repository else model.name)
    if header is None:
        return None
    made = in_precision(header, header.tensors, model.quantization)
    tensors = retyped(header, model.quantization)
    whole = Header(header.file, 3, header.metadata, tensors, 0, lambda offset, length: b"")
    sizes = shape(whole)
    context = min(needs.context, sizes.context or needs.context)
    if context < needs.context:
        return None
    use = Use(context=context, slots=1, batch=128)
    todo = work(tensors, sizes)
    pace = predict(todo, speed, use, depth=min(1024, context // 2)) if speed else None
    here = any(name.lower().startswith(model.name.lower()) for name in shelf)
    why = []
    if here:
        why.append(Advice("lab.why-here"))
    if "zh" not in model.languages:
        why.append(Advice("lab.why-english"))
    if sizes.experts:
        active = sum(m.weights for part in (todo.layers, todo.head) for m in part.values())
        values = {"active": active / 1e9, "parameters": whole.parameters / 1e9}
        why.append(Advice("lab.why-experts", values))
    return Choice(
        name=model.name if model.repository else "smollm2",
        quantization=model.quantization,
        parameters=model.parameters,
        size=made.weights,
        memory=footprint([whole], use, sizes=sizes).total,
        context=context,
        pace=pace,
        licence=model.licence,
        languages=model.languages,
        ollama=model.ollama,
        here=here,
        why=tuple(why),
    )
