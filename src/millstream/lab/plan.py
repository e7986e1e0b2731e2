"""A plan for a whole app: which model each node asks, what it will take, how long it will go on.

The app is compiled and nothing of it runs. How many tokens a prompt will have is estimated: its
own text by its letters, a variable by what it is known to hold (an input that was given, the
answer of another node) or by a usual length. So the plan is a forecast, and is scored against a
run afterwards: what was wrong in the number of tokens is told apart from what was wrong in speed.

Every node counts once, and a container's once for each item that is expected; of branches that
exclude each other the longest counts, so that a run may be shorter. On one processor calls at once
take as long as one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from millstream.engine.plan import Graph, Plan, Step
from millstream.engine.ports import ModelRef
from millstream.lab.fit import CALIBRATE, GOOD, Advice, Offload, capacity, disturbed, offload
from millstream.lab.hardware import Machine, Speed
from millstream.lab.names import Model
from millstream.lab.precision import in_precision
from millstream.lab.speed import Pace, predict, work
from millstream.models.footprint import Footprint, Use, footprint
from millstream.models.shape import shape

ANSWER = 300  # tokens of an answer that nothing bounds
VARIABLE = 150  # tokens of a variable of which nothing is known
_TEMPLATE = 12  # tokens that a chat template adds to a message
_REFERENCE = re.compile(r"\{\{#([^#{}]+)#\}\}|\{\{\s*([^#{}][^{}]*)\}\}")
_WIDE = re.compile(r"[぀-ヿ㐀-鿿가-힯豈-﫿]")
_BLOCK = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.S)
_SHORT = 60  # tokens of an answer that is some values
_ABOUT = 100  # tokens of what such a node tells the model beside its own texts
_PROMPTS = ("prompt_template", "instruction", "parameters")
_LIMITS = ("max_tokens", "num_predict", "max_output_tokens", "max_completion_tokens")


class Call(msgspec.Struct, frozen=True):
    """A node that calls a model. prompt, output: tokens, as estimated; bounded: the file bounds
    the answer. times: expected executions."""

    node: str
    title: str
    ref: ModelRef
    prompt: int
    output: int
    bounded: bool
    times: int


class Loaded(msgspec.Struct, frozen=True):
    """A model of the plan. needed: tokens of the longest call; at_once: calls that may run at the
    same time. memory, pace: None for a model that runs elsewhere. offloads: how much of it each
    card takes. instead: the best quantization that fits where this one doesn't, "" for none."""

    name: str
    source: str
    quantization: str
    context: int
    slots: int
    needed: int
    at_once: int
    memory: Footprint | None
    pace: Pace | None
    offloads: tuple[Offload, ...] = ()
    instead: str = ""


class Planned(msgspec.Struct, frozen=True):
    """A node of the plan. seconds: of all its executions, None where nobody can tell."""

    call: Call
    model: str
    seconds: float | None


class AppPlan(msgspec.Struct, frozen=True):
    """The plan of an app. peak: bytes with all models loaded; seconds: of all calls that one run
    may make, without the loads, by the machine's calibration; None where a model runs elsewhere.
    notes: what these figures are not sure of."""

    app: str
    calls: tuple[Planned, ...]
    models: tuple[Loaded, ...]
    peak: int
    seconds: float | None
    advice: tuple[Advice, ...]
    notes: tuple[Advice, ...] = ()


class Scored(msgspec.Struct, frozen=True):
    """A node, as it was planned and as it went. seconds: as planned; corrected: as it would have
    been planned with the tokens that there really were; took: seconds of its calls."""

    node: str
    title: str
    prompt: int
    prompt_was: int
    output: int
    output_was: int
    seconds: float | None
    corrected: float | None
    took: float


class Score(msgspec.Struct, frozen=True):
    """A plan against a run. peak_was: bytes, 0 where nobody measured."""

    nodes: tuple[Scored, ...]
    seconds: float | None
    corrected: float | None
    took: float
    peak: int
    peak_was: int


# ------------------------------------------------------------------------------------ what it asks


def calls(
    plan: Plan,
    inputs: Mapping[str, Any] | None = None,
    *,
    answer: int = ANSWER,
    variable: int = VARIABLE,
    items: int = 1,
) -> list[Call]:
    """Every node that calls a model. inputs: of the start node, where known. answer, variable:
    tokens of what nobody knows. items: that each container goes through."""
    guess = _Guess(answer, variable, items)
    if plan.start is not None and plan.root.steps:
        start = plan.root.steps[0].id
        for name, value in (inputs or {}).items():
            where = name if name.startswith("sys.") else f"{start}.{name}"
            guess.known[where] = tokens(value if isinstance(value, str) else str(value))
    guess.go_through(plan.root, 1)
    return guess.calls


class _Guess:
    """An app on paper: what each node would give, in tokens, in the order of a run."""

    def __init__(self, answer: int, variable: int, items: int) -> None:
        self.answer = answer
        self.variable = variable
        self.items = max(1, items)
        self.known: dict[str, int] = {}  # a variable, or a node for all of its outputs
        self.calls: list[Call] = []

    def go_through(self, graph: Graph, times: int) -> None:
        for step in graph.steps:
            data = step.spec.raw.get("data")
            data = data if isinstance(data, dict) else {}
            inside = getattr(step.node, "graph", None)
            if isinstance(inside, Graph):
                self.go_through(inside, times * self.items)
            ref = next((need.ref for need in step.node.needs() if need.kind == "model"), None)
            if ref is not None:
                self._call(step, ref, data, times)
            elif (size := self._given(step.type, data)) is not None:
                self.known[step.id] = size

    def _call(self, step: Step, ref: ModelRef, data: Mapping[str, Any], times: int) -> None:
        limit = _limit(data)
        output = self.answer if limit is None else min(limit, self.answer)
        prompt = self._prompt(data)
        if step.type != "llm":
            output = min(output, _SHORT)
            prompt += _TEMPLATE + _ABOUT
        self.known[step.id] = output
        bounded = limit is not None
        self.calls.append(Call(step.id, step.title, ref, prompt, output, bounded, times))

    def _given(self, type: str, data: Mapping[str, Any]) -> int | None:
        """What a node gives that writes texts together; None for any other."""
        if type == "template-transform" and isinstance(data.get("template"), str):
            return self._text(data["template"], _named(data.get("variables")))
        if type == "variable-aggregator" and isinstance(data.get("variables"), list):
            return max((self._selected(each) for each in data["variables"]), default=None)
        if type == "iteration" and _is_selector(data.get("output_selector")):
            return self.items * self._selected(data["output_selector"])
        return None

    def _prompt(self, data: Mapping[str, Any]) -> int:
        jinja = data.get("prompt_config")
        jinja = jinja.get("jinja2_variables") if isinstance(jinja, dict) else None
        names = _named(jinja)
        total = 0
        for text in _texts([data[key] for key in _PROMPTS if key in data]):
            total += _TEMPLATE + self._text(text, names)
        if _is_selector(data.get("query")):
            total += _TEMPLATE + self._selected(data["query"])
        return total

    def _text(self, text: str, names: Mapping[str, str]) -> int:
        """names: of a template's variables, and what they stand for."""
        total = tokens(_BLOCK.sub("", _REFERENCE.sub("", text)))
        for reference in _REFERENCE.finditer(text):
            name = (reference[1] or reference[2].partition("|")[0]).strip()
            total += self._variable(names.get(name, name))
        return total

    def _selected(self, selector: Any) -> int:
        return self._variable(".".join(map(str, selector))) if _is_selector(selector) else 0

    def _variable(self, name: str) -> int:
        return self.known.get(name, self.known.get(name.partition(".")[0], self.variable))


def _is_selector(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(p, str) for p in value)


def _named(variables: Any) -> dict[str, str]:
    """A template's variables: name → what it stands for."""
    found = {}
    for each in variables if isinstance(variables, list) else ():
        if isinstance(each, dict) and _is_selector(each.get("value_selector")):
            found[str(each.get("variable"))] = ".".join(each["value_selector"])
    return found


def tokens(text: str) -> int:
    """Tokens of a text, roughly: one for four letters, one for each Chinese, Japanese or Korean
    character."""
    wide = len(_WIDE.findall(text))
    return wide + -(-(len(text) - wide) // 4)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a piece of a node's data; of messages and classes the text, not the role."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        chosen = "jinja2_text" if value.get("edition_type") == "jinja2" else "text"
        for key in (chosen if value.get(chosen) else "content", "name", "description"):
            if isinstance(value.get(key), str):
                yield value[key]


def _limit(data: Mapping[str, Any]) -> int | None:
    model = data.get("model")
    params = model.get("completion_params") if isinstance(model, dict) else None
    if not isinstance(params, dict):
        return None
    for name in _LIMITS:
        value = params.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def at_once(plan: Plan, nodes: Iterable[str]) -> int:
    """How many of some nodes may run at the same time: those of which none waits for another and
    none is on a branch that excludes another's, times the parallel items of a container."""
    return max(1, _at_once(plan.root, set(nodes)))


def _at_once(graph: Graph, wanted: set[str]) -> int:
    order = _Order(graph)
    width: dict[int, int] = {}
    for number, step in enumerate(graph.steps):
        inside = getattr(step.node, "graph", None)
        if isinstance(inside, Graph):
            width[number] = _parallel(step) * _at_once(inside, wanted)
        elif step.id in wanted:
            width[number] = 1
    return round(_most(width, order.together))


def longest(plan: Plan, seconds: Mapping[str, float]) -> float:
    """Seconds of all calls that one run may make, by those of each node: of branches that exclude
    each other the longest."""
    return _longest(plan.root, seconds)


def _longest(graph: Graph, seconds: Mapping[str, float]) -> float:
    order = _Order(graph)
    lasts: dict[int, float] = {}
    for number, step in enumerate(graph.steps):
        inside = getattr(step.node, "graph", None)
        if isinstance(inside, Graph):
            lasts[number] = _longest(inside, seconds)
        elif step.id in seconds:
            lasts[number] = seconds[step.id]
    return _most(lasts, lambda one, other: not order.exclude(one, other))


def _most(sizes: Mapping[int, float], fits: Callable[[int, int], bool]) -> float:
    """The largest sum of sizes that fit together, found from the largest of them on."""
    most = 0.0
    downwards = sorted(sizes, key=lambda number: -sizes[number])
    for first in sizes:
        group = [first]
        for number in downwards:
            if number != first and all(fits(number, member) for member in group):
                group.append(number)
        most = max(most, sum(sizes[number] for number in group))
    return most


class _Order:
    """Which steps of a graph wait for which, and which are on branches that exclude each other."""

    def __init__(self, graph: Graph) -> None:
        before: list[set[int]] = [set() for _ in graph.steps]
        ways: list[dict[int, set[str]]] = [{} for _ in graph.steps]
        reached: set[int] = set()
        for number, step in enumerate(graph.steps):  # every edge leads to a later step
            for handle, target in step.ways:
                before[target] |= before[number] | {number}
                chosen = {branch: set(taken) for branch, taken in ways[number].items()}
                if step.branching:
                    chosen[number] = {handle}
                if target in reached:  # only what all ways to it have in common
                    old = ways[target]
                    common = old.keys() & chosen
                    chosen = {branch: old[branch] | chosen[branch] for branch in common}
                ways[target] = chosen
                reached.add(target)
        self._before, self._ways = before, ways

    def exclude(self, one: int, other: int) -> bool:
        """Whether two steps never run in the same passage."""
        mine, theirs = self._ways[one], self._ways[other]
        return any(not mine[branch] & theirs[branch] for branch in mine.keys() & theirs.keys())

    def together(self, one: int, other: int) -> bool:
        """Whether two steps may run at the same time."""
        waits = one in self._before[other] or other in self._before[one]
        return not waits and not self.exclude(one, other)


def _parallel(step: Step) -> int:
    data = step.spec.raw.get("data")
    if not isinstance(data, dict) or not data.get("is_parallel"):
        return 1
    count = data.get("parallel_nums")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 10


# ------------------------------------------------------------------------------- what it will take


def make(
    plan: Plan,
    asked: Sequence[Call],
    models: Mapping[str, Model | None],
    labels: Mapping[str, str],
    machine: Machine,
    speed: Speed | None,
    *,
    context: int,
    slots: int,
    batch: int = 128,
) -> AppPlan:
    """The plan. models: by node, None for one that runs elsewhere; labels: what answers, by node.
    context, slots, batch: as the runtime loads models where nobody asks for more."""
    groups: dict[str, list[Call]] = {}
    for call in asked:
        groups.setdefault(labels.get(call.node, "?"), []).append(call)
    loaded: dict[str, Loaded] = {}
    for label, many in groups.items():
        model = models.get(many[0].node)
        together = at_once(plan, [call.node for call in many])
        needed = max(call.prompt + call.output for call in many)
        use = Use(context=context, slots=slots, batch=batch)
        loaded[label] = _load(label, model, needed, together, machine, speed, use)
    planned = []
    for call in asked:
        label = labels.get(call.node, "?")
        pace = loaded[label].pace
        seconds = call.times * _seconds(models[call.node], call, speed, pace)
        planned.append(Planned(call, label, seconds if pace else None))
    lasts = {each.call.node: each.seconds for each in planned if each.seconds is not None}
    return AppPlan(
        app=plan.app.name,
        calls=tuple(planned),
        models=tuple(loaded.values()),
        peak=sum(m.memory.total for m in loaded.values() if m.memory),
        seconds=longest(plan, lasts) if len(lasts) == len(planned) else None,
        advice=tuple(_advice(list(loaded.values()), machine)),
        notes=tuple(disturbed(speed if lasts else None, again=CALIBRATE)),
    )


def _load(
    label: str,
    model: Model | None,
    needed: int,
    together: int,
    machine: Machine,
    speed: Speed | None,
    use: Use,
) -> Loaded:
    if model is None:
        return Loaded(label, "", "", 0, 0, needed, together, None, None)
    sizes = shape(model.header)
    trained = sizes.context or use.context
    use = msgspec.structs.replace(use, context=min(use.context, trained))
    pace = None
    if speed is not None:
        todo = work(model.tensors, sizes)
        pace = predict(todo, speed, use, depth=needed, prompt=max(1, needed))
    memory = footprint(model.headers, use, sizes=sizes)
    return Loaded(
        name=label,
        source=model.source,
        quantization=model.header.quantization,
        context=use.context,
        slots=use.slots,
        needed=needed,
        at_once=together,
        memory=memory,
        pace=pace,
        offloads=tuple(offload(model, sizes, use, gpu, machine) for gpu in machine.gpus),
        instead=_instead(model, memory, capacity(machine)),
    )


def _instead(model: Model, memory: Footprint, room: int | None) -> str:
    """The best quantization that fits, for a model that doesn't as it is."""
    if room is None or memory.total <= room:
        return ""
    rest = memory.total - memory.weights - memory.repack
    for label in GOOD:
        made = in_precision(model.header, model.tensors, label)
        if 0 < made.weights < memory.weights and rest + made.weights + made.repack <= room:
            return label
    return ""


def _seconds(model: Model | None, call: Call, speed: Speed | None, pace: Pace | None) -> float:
    """Seconds of one execution: the prompt is read, then tokens come, deeper and deeper."""
    if model is None or speed is None or pace is None:
        return 0.0
    return duration(model, speed, call.prompt, call.output)


def duration(model: Model, speed: Speed, prompt: int, output: int, *, batch: int = 128) -> float:
    """Seconds that a call takes by a machine's calibration."""
    sizes = shape(model.header)
    depth = prompt + output // 2
    use = Use(batch=batch)
    found = predict(work(model.tensors, sizes), speed, use, depth=depth, prompt=max(1, prompt))
    return found.seconds(prompt, output)


def _advice(loaded: Sequence[Loaded], machine: Machine) -> Iterator[Advice]:
    room, alone = capacity(machine), True
    for each in loaded:
        if each.memory is None:
            continue
        if room is not None and each.memory.total > room:
            alone = False
            values = {"model": each.name, "size": each.memory.total, "free": room}
            if each.instead:
                yield Advice("lab.plan-instead", {**values, "type": each.instead})
            else:
                yield Advice("lab.plan-too-large", values)
        if each.needed > each.context:
            advised = -(-each.needed // 1024) * 1024
            values = {"model": each.name, "needed": each.needed, "context": each.context}
            yield Advice("lab.plan-context", {**values, "advised": advised})
        if each.at_once > each.slots:
            values = {"model": each.name, "wanted": each.at_once, "slots": each.slots}
            yield Advice("lab.plan-slots", values)
    total = sum(each.memory.total for each in loaded if each.memory)
    if room is not None and total > room and alone:
        yield Advice("lab.plan-together", {"size": total, "free": room})
    if not loaded:
        yield Advice("lab.plan-no-models")


# ------------------------------------------------------------------------------------ how it went


def score(
    made: AppPlan,
    result: Mapping[str, Any],
    models: Mapping[str, Model | None],
    speed: Speed | None,
    *,
    peak: int = 0,
) -> Score:
    """A plan against the result of a run, in the form of `run --json`. peak: bytes that the
    models' processes had at most, where measured."""
    went = usages_of(result)
    scored = []
    for planned in made.calls:
        call, usages = planned.call, went.get(planned.call.node, [])
        if not usages:
            continue
        prompt, output = _sum(usages, "prompt_tokens"), _sum(usages, "completion_tokens")
        model, corrected = models.get(call.node), None
        if model is not None and speed is not None:
            each = len(usages)
            one = duration(model, speed, round(prompt / each), round(output / each))
            corrected = each * one
        times = max(1, call.times)
        scored.append(
            Scored(
                call.node,
                call.title,
                times * call.prompt,
                round(prompt),
                times * call.output,
                round(output),
                planned.seconds,
                corrected,
                _sum(usages, "latency"),
            )
        )
    known = [each.corrected for each in scored if each.corrected is not None]
    return Score(
        nodes=tuple(scored),
        seconds=made.seconds,
        corrected=sum(known) if scored and len(known) == len(scored) else None,
        took=sum(each.took for each in scored),
        peak=made.peak,
        peak_was=peak,
    )


def usages_of(result: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """What each node of a run that asked a model used of it, once for each execution."""
    went: dict[str, list[Mapping[str, Any]]] = {}
    nodes = result.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and isinstance(node.get("usage"), dict):
            went.setdefault(str(node.get("id")), []).append(node["usage"])
    return went


def _sum(usages: Sequence[Mapping[str, Any]], name: str) -> float:
    values = [usage.get(name) for usage in usages]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return sum(v for v in numbers if 0 <= v < 1 << 53)
