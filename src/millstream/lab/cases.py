"""A person's own app on each quantization: cases from a file, what is expected, what came.

A line of the file is a case: `{"inputs": {"text": "…"}, "expect": {"contains": "…"}}`.

    inputs   for the app's start node; `query`: what a person says to a chat app; `name`: for people
    expect   any of: "contains" (a text, or a list of which each must be there), "equals" (a value),
             "json-schema" (that the output must fulfil); "output": which output is looked at, by
             default the only one, or all of them as an object. Without it a case passes if the run
             comes to its end.

How like the base's an output is, is told by pairs of neighbouring characters: twice those that both
have, over those of both (Dice's coefficient; white space counts as one blank, letters as they are).
1 is the same text; it needs no words, so it holds for Chinese too.

The lab runs no app by itself: it is handed something that does (`Open`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from millstream.base import BadInput, MillstreamError, Place, say
from millstream.lab.likelihood import Estimate, mean, share

EXPECTATIONS = ("contains", "equals", "json-schema")


class Case(msgspec.Struct, frozen=True):
    """A case. line: where it stands in its file. expect: as in the file, None for none."""

    line: int
    inputs: dict[str, Any]
    query: str | None = None
    name: str = ""
    expect: dict[str, Any] | None = None


class Ran(msgspec.Struct, frozen=True):
    """What a run gave. error: why it failed, "" if it didn't; next: what would help. asked: whether
    it came to ask a model. seconds: of the run; tokens: that models wrote."""

    outputs: dict[str, Any] = {}
    error: str = ""
    next: str = ""
    asked: bool = True
    seconds: float = 0.0
    tokens: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """A case on one model. failure: why it did not pass, for people; next: what would help. asked:
    whether it came to ask the model. similarity: to the base's output, between 0 and 1; None for
    the base, and where one of the two runs failed."""

    line: int
    name: str
    passed: bool
    failure: str
    output: Any
    seconds: float
    tokens: int
    similarity: float | None = None
    asked: bool = True
    next: str = ""


class AppRun(msgspec.Struct, frozen=True):
    """All cases on one model. passed: share; similarity, seconds: means. same: outputs that are
    the base's to the letter. memory: bytes that the model's process had at most, None where the
    system doesn't say."""

    model: str
    outcomes: tuple[Outcome, ...]
    passed: Estimate
    seconds: Estimate
    similarity: Estimate | None
    same: int | None
    memory: int | None

    @property
    def unasked(self) -> bool:
        """Whether every case failed before it asked the model: they say nothing of it."""
        return not any(each.passed or each.asked for each in self.outcomes)


Run = Callable[[Case], Awaitable[Ran]]
Peak = Callable[[], "int | None"]
Open = Callable[[int], "AbstractAsyncContextManager[tuple[Run, Peak]]"]
"""By the number of a model: something that runs a case on it, and tells the memory it took."""

Listen = Callable[[str, int, int], None]  # model, cases done, cases in all


# ---------------------------------------------------------------------------------------- the file


def read(path: Path) -> list[Case]:
    """The cases of a file. Raises BadInput with the line that is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput("loss.cases-unreadable", file=str(path), reason=reason) from None
    found = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            found.append(_case(line, Place(file=str(path), line=number)))
    if not found:
        raise BadInput("loss.no-cases", file=str(path))
    return found


def _case(line: bytes, place: Place) -> Case:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise BadInput("loss.case-not-json", place=place, problem=str(error)) from None
    if not isinstance(told, dict):
        raise BadInput("loss.case-not-object", place=place)
    for key in told:
        if key not in ("inputs", "query", "name", "expect"):
            raise BadInput(
                "loss.case-key", place=place, key=key, known="inputs, query, name, expect"
            )
    inputs, query, expect = told.get("inputs", {}), told.get("query"), told.get("expect")
    if not isinstance(inputs, dict):
        raise BadInput("loss.case-inputs", place=place)
    if query is not None and not isinstance(query, str):
        raise BadInput("loss.case-query", place=place)
    if expect is not None:
        _check_expect(expect, place)
    return Case(place.line or 0, inputs, query, str(told.get("name", "")), expect)


def _check_expect(expect: Any, place: Place) -> None:
    known = (*EXPECTATIONS, "output")
    if not isinstance(expect, dict) or not any(key in expect for key in EXPECTATIONS):
        raise BadInput("loss.case-expect", place=place)
    for key in expect:
        if key not in known:
            raise BadInput("loss.case-key", place=place, key=key, known=", ".join(known))
    wanted = expect.get("contains", "")
    if not isinstance(wanted, str) and not (
        isinstance(wanted, list) and wanted and all(isinstance(each, str) for each in wanted)
    ):
        raise BadInput("loss.case-contains", place=place)
    if "json-schema" in expect:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for

        schema = expect["json-schema"]
        try:
            if not isinstance(schema, dict):
                raise SchemaError("a schema is an object")
            validator_for(schema).check_schema(schema)
        except SchemaError as error:
            raise BadInput("loss.case-schema", place=place, problem=error.message) from None


# ------------------------------------------------------------------------------------ what is found


async def compare(
    cases: Sequence[Case],
    models: Sequence[str],
    open: Open,
    listen: Listen,
    found: list[AppRun],
) -> None:
    """Run all cases on all models, one after the other; the first one is the base. A case that
    fails is a result like others. found: takes a result for each model; what has run is there
    too when this is interrupted. Raises what `open` raises."""
    total = len(cases) * len(models)
    for number, name in enumerate(models):
        outcomes: list[Outcome] = []
        memory = None
        try:
            async with open(number) as (run, peak):
                for case in cases:
                    listen(name, number * len(cases) + len(outcomes), total)
                    try:
                        ran = await run(case)
                    except MillstreamError as error:
                        ran = Ran(error=str(error), next=error.next_step, asked=False)
                    outcomes.append(_outcome(case, ran, _at(found, len(outcomes))))
                memory = peak()
        finally:
            if outcomes:
                found.append(_summed(name, outcomes, memory, base=number == 0))


def _at(found: list[AppRun], index: int) -> Outcome | None:
    """What the base has made of a case; None while the base itself is run."""
    return found[0].outcomes[index] if found else None


def _summed(name: str, outcomes: list[Outcome], memory: int | None, *, base: bool) -> AppRun:
    alike = [each.similarity for each in outcomes if each.similarity is not None]
    return AppRun(
        name,
        tuple(outcomes),
        share(sum(each.passed for each in outcomes), len(outcomes)),
        mean([each.seconds for each in outcomes]),
        None if base or not alike else mean(alike),
        None if base else sum(value == 1.0 for value in alike),
        memory,
    )


def _outcome(case: Case, ran: Ran, base: Outcome | None) -> Outcome:
    wanted = (case.expect or {}).get("output")
    failure = ran.error
    output: Any = None
    if not failure:
        output, failure = _looked_at(ran.outputs, wanted)
    if not failure and case.expect is not None:
        failure = unmet(output, case.expect)
    similarity = None
    if base is not None and output is not None and base.output is not None:
        similarity = alike(as_text(output), as_text(base.output))
    return Outcome(
        case.line,
        case.name,
        not failure,
        failure,
        output,
        ran.seconds,
        ran.tokens,
        similarity,
        ran.asked,
        ran.next,
    )


def _looked_at(outputs: dict[str, Any], wanted: str | None) -> tuple[Any, str]:
    """The output that counts, and why there is none."""
    if wanted is None:
        shown = {name: value for name, value in outputs.items() if name != "files" or value}
        return (next(iter(shown.values())) if len(shown) == 1 else shown), ""
    if wanted not in outputs:
        return None, say("loss.no-output", name=wanted, known=", ".join(outputs) or "–")
    return outputs[wanted], ""


def unmet(output: Any, expect: dict[str, Any]) -> str:
    """What of an expectation an output does not fulfil; "" if nothing."""
    text = as_text(output)
    wanted = expect.get("contains", [])
    for part in [wanted] if isinstance(wanted, str) else wanted:
        if part not in text:
            return say("loss.lacks", text=part)
    if "equals" in expect:
        value = expect["equals"]
        same = text.strip() == value.strip() if isinstance(value, str) else _data(output) == value
        if not same:
            return say("loss.differs", text=as_text(value))
    if "json-schema" in expect:
        return _against_schema(output, expect["json-schema"])
    return ""


def _against_schema(output: Any, schema: Any) -> str:
    import re

    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    value = _data(output)
    if isinstance(output, str) and value is output:
        return say("loss.not-json")
    try:  # nothing is fetched from elsewhere
        for error in validator_for(schema)(schema, registry=Registry()).iter_errors(value):
            return say("loss.not-schema", problem=str(error.message)[:200])
    except Unresolvable as error:
        return say("loss.not-schema", problem=f"{error.ref} is not in the schema"[:200])
    except (RecursionError, re.error) as error:
        return say("loss.not-schema", problem=(str(error) or type(error).__name__)[:200])
    return ""


def _data(output: Any) -> Any:
    """A text that is JSON as its value; anything else as it is."""
    if isinstance(output, str):
        try:
            return json.loads(output)
        except ValueError:
            return output
    return output


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def alike(one: str, other: str) -> float:
    """How like two texts are, between 0 and 1: Dice's coefficient of neighbouring characters."""
    one, other = " ".join(one.split()), " ".join(other.split())
    if one == other:
        return 1.0
    mine, theirs = (Counter(a + b for a, b in pairwise(t)) for t in (one, other))
    both = sum((mine & theirs).values())
    count = mine.total() + theirs.total()
    # Texts with the same pairs in another order are not the same.
    return min(2 * both / count, 0.9999) if count else 0.0
