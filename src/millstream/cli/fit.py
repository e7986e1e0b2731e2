"""`millstream fit`: what a model takes, whether it fits here, and a plan for a whole app."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from millstream.base import BadInput, NotHere, Place, say
from millstream.cli.given import Given, read_bytes
from millstream.cli.here import load, machine, size
from millstream.cli.parser import Parser, binding_options
from millstream.cli.terminal import StatusLine, Terminal, clean, label

if TYPE_CHECKING:
    from millstream.lab.fit import Fit
    from millstream.lab.hardware import Machine as Hardware
    from millstream.lab.hardware import Speed
    from millstream.lab.names import Model
    from millstream.lab.plan import AppPlan, Call, Score
    from millstream.lab.training import Training
    from millstream.models.footprint import Use
    from millstream.runtime import App
    from millstream.runtime.machine import Machine

DOES_NOT_FIT = 3
CACHES = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL")
METHODS = ("full", "lora", "qlora")
_MOST = 1 << 40
_FEW_SLOTS = (1, 4)
_OF_APPS = ("input", "query", "items", "result", "really")  # options that go with --for
_OF_TRAINING = ("train_precision", "optimizer", "train_batch", "sequence", "rank", "checkpointing")


def arguments(parser: Parser) -> None:
    parser.arg("models", metavar="MODEL", nargs="*", default=[], help="models")
    parser.set_defaults(more="models")
    parser.arg("--context", "-c", metavar="TOKENS", type=int, default=8192, help="context")
    parser.arg("--slots", "-s", metavar="N", type=int, default=1, help="slots")
    parser.arg("--batch", "-b", metavar="TOKENS", type=int, default=128, help="batch")
    parser.arg("--keys", metavar="TYPE", choices=CACHES, default="F16", help="keys")
    parser.arg("--values", metavar="TYPE", choices=CACHES, default="F16", help="values")
    parser.arg("--no-flash", action="store_true", help="no-flash")
    parser.arg("--train", choices=METHODS, help="train")
    kinds = ("mixed", "bf16", "fp32")
    parser.arg("--train-precision", choices=kinds, help="train-precision")
    optimizers = ("adamw", "adamw-8bit", "paged-adamw-8bit", "adafactor", "sgd")
    parser.arg("--optimizer", choices=optimizers, help="optimizer")
    parser.arg("--train-batch", metavar="N", type=int, help="train-batch")
    parser.arg("--sequence", metavar="TOKENS", type=int, help="sequence")
    parser.arg("--rank", metavar="N", type=int, help="rank")
    parser.arg("--checkpointing", action="store_true", help="checkpointing")
    parser.arg("--measure", action="store_true", help="measure")
    parser.arg("--no-speed", action="store_true", help="no-speed")
    parser.arg("--calibrate", action="store_true", help="calibrate")
    parser.arg("--for", dest="file", metavar="APP.yml", help="for")
    parser.arg("--input", metavar="FILE.json", help="input")
    parser.arg("--query", metavar="TEXT", help="query")
    parser.arg("--items", metavar="N", type=int, help="items")
    parser.arg("--run", action="store_true", dest="really", help="run")
    parser.arg("--result", metavar="FILE.json", help="result")
    binding_options(parser)
    parser.arg("--offline", action="store_true", help="cli.bindings.offline")
    parser.arg("--all", action="store_true", help="all")
    parser.arg("--report", metavar="FILE", type=Path, help="report")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    _sound(args)
    return asyncio.run(_run(args, terminal))


def _sound(args: Namespace) -> None:
    """Raises BadInput for options that mean nothing, before anything is looked at."""
    if not args.models and not args.file:
        raise BadInput("fit.nothing-asked")
    numbers = ("context", "slots", "batch", "train_batch", "sequence", "rank", "items")
    for name in numbers:
        value = getattr(args, name)
        if value is not None and not 1 <= value < _MOST:
            raise BadInput("bench.bad-number", option=_option(name), given=str(value), least=1)
    for name in _OF_APPS:
        if _given(args, name) and not args.file:
            raise BadInput("fit.only-with-app", option=_option(name))
    for name in _OF_TRAINING:
        if _given(args, name) and not args.train:
            raise BadInput("fit.only-with-training", option=_option(name))
    if args.rank is not None and args.train == "full":
        raise BadInput("fit.only-with-adapters", option="--rank")
    if args.train and args.file:
        raise BadInput("cli.not-together", what="--train", other="--for")
    if args.result and args.really:
        raise BadInput("cli.not-together", what="--result", other="--run")
    if args.no_flash and args.values.upper() not in ("F32", "F16", "BF16"):
        raise BadInput("fit.values-need-flash", type=args.values)
    if args.report is not None:
        from millstream.lab.report import html

        html.check(args.report)


def _given(args: Namespace, name: str) -> bool:
    return getattr(args, name) not in (None, False)


def _option(name: str) -> str:
    """An option, as a person writes it."""
    return "--run" if name == "really" else f"--{name.replace('_', '-')}"


async def _run(args: Namespace, terminal: Terminal) -> int:
    from millstream.lab import hardware, names

    here = machine(args, terminal)
    line = StatusLine(terminal)
    app = load(args, terminal) if args.file else None
    try:
        found = []
        for word in args.models:
            line.say(say("fit.finding", word=label(word)))
            found.append(await names.find(word, here.home, here.http))
        hard = await hardware.look()
        if app is not None:
            return await _plan(app, found, hard, here, args, terminal, line)
        speed = await _speed(found, here, args, line)
        made = [await _fit(model, hard, speed, args, line) for model in found]
    finally:
        line.say("")
        await here.close()
    return _finish(made, args, terminal)


async def _speed(
    models: list[Model], here: Machine, args: Namespace, line: StatusLine
) -> Speed | None:
    """This machine's calibration. None where nobody asked, or llama.cpp's library is not here."""
    if args.no_speed:
        return None
    from millstream.lab import hardware

    types = {t.type_name for m in models for t in m.tensors if len(t.shape) > 1}
    known = {kind.name for kind in _types() if kind.bits}
    line.say(say("fit.calibrating"))
    try:
        wanted = [*hardware.USUAL_TYPES, *sorted(types & known)]
        return await hardware.speed(here.home, wanted, anew=args.calibrate)
    except NotHere as missing:
        line.terminal.tell(line.terminal.paint(missing.message, "dim"))
        return None
    finally:
        line.say("")


def _types() -> Any:
    from millstream.models.gguf import TYPES

    return TYPES.values()


async def _fit(
    model: Model, hard: Hardware, speed: Speed | None, args: Namespace, line: StatusLine
) -> Fit:
    from millstream.lab.fit import fit
    from millstream.lab.weigh import weigh

    use = _use(args)
    made = fit(model, use, hard, speed=speed, how=_training(args))
    if args.measure:
        line.say(say("fit.asking", word=label(model.name)))
        source = model.path if model.path is not None else model.headers
        weighed = await weigh(source, [made.use])
        made = msgspec.structs.replace(made, measured=weighed.buffers[0])
        line.say("")
    return made


def _use(args: Namespace) -> Use:
    from millstream.models.footprint import Use

    return Use(
        context=args.context,
        slots=args.slots,
        batch=args.batch,
        keys=args.keys,
        values=args.values,
        flash=not args.no_flash,
    )


def _training(args: Namespace) -> Training | None:
    if args.train is None:
        return None
    from millstream.lab.training import Training

    names = {"train_precision": "precision", "train_batch": "batch"}
    given = {names.get(n, n): getattr(args, n) for n in _OF_TRAINING if _given(args, n)}
    return Training(method=args.train, **given)


# ---------------------------------------------------------------------------------------- models


def _finish(made: list[Fit], args: Namespace, terminal: Terminal) -> int:
    from millstream.lab.report import fit as words

    if args.report is not None:
        from millstream.lab.report import html

        html.write(words.report(made), args.report)
    if args.json:
        terminal.write(msgspec.json.encode({"models": [_plain(each) for each in made]}).decode())
        terminal.write("\n")
    else:
        if len(made) > 1:
            _side_by_side(made, args, terminal)
        if len(made) == 1 or args.all:
            told = words.common(made)
            for each in made:
                _tell(each, args, terminal, told)
    short = any(each.fits is False or each.trains is False for each in made)
    return DOES_NOT_FIT if short else 0


def _plain(made: Fit) -> dict[str, Any]:
    """A model's figures as data, with the sums."""
    data: dict[str, Any] = msgspec.to_builtins(made)
    data["memory"]["total"] = made.memory.total
    if made.training is not None:
        data["training"]["total"] = made.training.total
    for name in ("advice", "notes"):
        data[name] = [advice.plain for advice in getattr(made, name)]
    return data


def _side_by_side(made: list[Fit], args: Namespace, terminal: Terminal) -> None:
    from millstream.lab.report.fit import common, fits, notes

    names = ("model", "quantization", "bits", "weights", "context", "total", "fits", "speed")
    rows = [[say(f"fit.head-{name}") for name in names]]
    for each in made:
        speed = f"{each.pace.decode:.3g}" if each.pace else "–"
        sizes = [size(each.memory.weights), f"{each.use.context:,}", size(each.memory.total)]
        bits = f"{each.own.bits:.2f}"
        rows.append([each.name, each.own.label or "?", bits, *sizes, fits(each.fits), speed])
    _table(say("fit.title-models"), rows, terminal)
    told = common(made)
    shown = [clean(text) for text in told]
    for each in made if not args.all else ():
        shown += [f"{label(each.name)}: {clean(text)}" for text in notes(each, told)]
    for text in shown:
        terminal.out(f"  {terminal.paint_out('!', 'yellow')} {text}")
    if shown:
        terminal.out()


def _tell(made: Fit, args: Namespace, terminal: Terminal, told: list[str]) -> None:
    from millstream.lab.report import fit as words

    terminal.out(terminal.paint_out(label(made.name), "bold"))
    about = [words.about(made), words.use(made), words.pace(made)]
    about += words.notes(made, told)
    for text in filter(None, about):
        terminal.out(f"  {clean(text)}")
    terminal.out()
    head = ["part", "what", "size"] + (["said"] if made.measured else [])
    rows = [[say(f"fit.head-{name}") for name in head]]
    for item in words.memory(made):
        row = [item.part, item.what, size(item.size)]
        if made.measured:
            row.append("–" if item.said is None else size(item.said))
        rows.append(row)
    _table(say("fit.title-memory"), rows, terminal)
    _precisions(made, args, terminal)
    slots, places = words.grid(made)
    shown = [i for i, n in enumerate(slots) if args.all or n in (*_FEW_SLOTS, made.use.slots)]
    rows = [[say("fit.head-context"), *(say("fit.head-slots", slots=slots[i]) for i in shown)]]
    for context, cells in places:
        marks = [f"{size(cells[i].total)}{'' if cells[i].fits else ' ✗'}" for i in shown]
        rows.append([f"{context:,}", *marks])
    _table(say("fit.title-grid"), rows, terminal)
    if made.training is not None and made.how is not None:
        trained = words.count(made.training.trained)
        rows = [[say("fit.head-part"), say("fit.head-size")]]
        rows += [[item.part, size(item.size)] for item in words.training(made)]
        title = say("fit.trained", method=made.how.method, trained=trained)
        _table(f"{say('fit.title-training')} – {title}", rows, terminal)
    _machine(made, terminal)


def _precisions(made: Fit, args: Namespace, terminal: Terminal) -> None:
    from millstream.lab.report import fit as words

    names = ["precision", "weights", "bits", "total", "fits"]
    names += ["speed"] if made.pace else []
    names.append("rule")
    rows = [[say(f"fit.head-{name}") for name in names]]
    reasons = []
    for row in made.rows:
        each = row.precision
        if not args.all and each.label not in words.SHORT:
            continue
        cells = [each.label]
        if each.impossible:
            cells += ["–"] * 4
        else:
            cells += [size(each.weights), f"{each.bits:.2f}", size(row.total), words.fits(row.fits)]
        if made.pace:
            cells.append(f"{row.pace.decode:.3g}" if row.pace else "–")
        rows.append([*cells, words.rule(row) or "–"])
        if why := words.why(row):
            reasons.append([each.label, why])
    _table(say("fit.title-types"), rows, terminal, gap=args.all)
    if not args.all:
        terminal.out("  " + terminal.paint_out(say("fit.all-types"), "dim"))
        terminal.out()
    if reasons:
        terminal.out(terminal.paint_out(say("fit.title-why"), "bold"))
        wide = max(len(name) for name, _ in reasons)
        for name, why in reasons:
            terminal.out(f"  {terminal.paint_out(name.ljust(wide), 'cyan')}  {clean(why)}")
        terminal.out()


def _machine(made: Fit, terminal: Terminal) -> None:
    from millstream.lab.fit import trains
    from millstream.lab.report import fit as words

    terminal.out(terminal.paint_out(say("fit.title-machine"), "bold"))
    here = made.machine
    lines = [say("fit.machine", processor=here.processor, cores=here.cores)]
    if here.memory is not None and here.free is not None:
        lines.append(say("fit.memory", free=size(here.free), total=size(here.memory)))
    lines += [words.card(each) for each in made.offloads] or [say("fit.no-card")]
    rooms = [
        say("fit.room", slots=room.slots, context=f"{room.context:,}")
        for room in made.room
        if room.context
    ]
    if rooms:
        lines.append(say("fit.rooms", rooms=" · ".join(rooms)))
    for text in lines:
        terminal.out(f"  {clean(text)}")
    signs = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}
    sign, color = signs[made.fits]
    for advice in made.advice:
        terminal.out(f"  {terminal.paint_out(sign, color)} {clean(advice.text)}")
    if (advised := trains(made)) is not None:
        sign, color = signs[made.trains]
        terminal.out(f"  {terminal.paint_out(sign, color)} {clean(advised.text)}")
    terminal.out()


def _table(title: str, rows: list[list[str]], terminal: Terminal, *, gap: bool = True) -> None:
    terminal.out(terminal.paint_out(title, "bold"))
    for text in terminal.table(rows, ["cyan"]):
        terminal.out(f"  {text}")
    if gap:
        terminal.out()


# ----------------------------------------------------------------------------------- a whole app


async def _plan(
    app: App,
    found: list[Model],
    hard: Hardware,
    here: Machine,
    args: Namespace,
    terminal: Terminal,
    line: StatusLine,
) -> int:
    """A plan for the app on each of the models, or on what its bindings say."""
    from millstream.lab import plan

    app.sound()
    given = Given(app, query=args.query)
    if args.input:
        given.json_file(args.input)
    before = _result(args.result) if args.result else None
    asked = plan.calls(app.plan, given.inputs, items=args.items or 1)
    if before is not None and not plan.usages_of(before).keys() & {call.node for call in asked}:
        raise BadInput("fit.other-result", file=args.result, app=app.name)
    ways: list[tuple[Mapping[str, Model | None], Mapping[str, str]]] = [
        ({c.node: model for c in asked}, {c.node: model.name for c in asked}) for model in found
    ] or [await _bound(app, asked, here, args)]
    every = list({id(m): m for models, _ in ways for m in models.values() if m}.values())
    speed = await _speed(every, here, args, line) if every else None
    embedded = here.home.settings.embedded
    context, slots = embedded.context or args.context, embedded.slots or max(2, args.slots)
    if found:
        context, slots = args.context, args.slots
    scored: list[tuple[AppPlan, Score | None]] = []
    for models, labels in ways:
        made = plan.make(
            app.plan, asked, models, labels, hard, speed,
            context=context, slots=slots, batch=args.batch,
        )  # fmt: skip
        result, peak = before, 0
        if args.really:
            line.say(say("fit.running", app=label(app.name)))
            result, peak = await _really(app, given, models, here, args)
            line.say("")
        score = plan.score(made, result, models, speed, peak=peak) if result else None
        scored.append((made, score))
    return _finish_plans(scored, hard, args, terminal)


async def _bound(
    app: App, asked: list[Call], here: Machine, args: Namespace
) -> tuple[Mapping[str, Model | None], Mapping[str, str]]:
    """The model that answers each node, by the bindings; None for one that runs elsewhere.
    Raises NotHere where nothing answers."""
    from millstream.cli.here import choice
    from millstream.lab import names

    resolver = here.resolver(choice(args), app.dsl.file)
    models: dict[str, Model | None] = {}
    labels: dict[str, str] = {}
    known: dict[str, Model] = {}
    for call in asked:
        met = await resolver.resolve(call.ref)
        if met.error is not None:
            raise met.error
        labels[call.node] = met.label
        near = met.label.startswith(("embedded/", "ollama/"))
        if near and met.label not in known:
            known[met.label] = await names.find(met.label, here.home, here.http)
        models[call.node] = known.get(met.label)
    return models, labels


def _result(file: str) -> dict[str, Any]:
    """What `run --json` printed. Raises BadInput."""
    try:
        found = msgspec.json.decode(read_bytes(Path(file)))
    except ValueError:
        found = None
    if not isinstance(found, dict) or "nodes" not in found:
        raise BadInput("fit.not-a-result", place=Place(file=file), file=file)
    return found


async def _really(
    app: App,
    given: Given,
    models: Mapping[str, Model | None],
    here: Machine,
    args: Namespace,
) -> tuple[dict[str, Any], int]:
    """Run the app; its result, and the most memory that the models' processes had."""
    from millstream.lab.bench.watch import peak_of
    from millstream.runtime import App
    from millstream.runtime.pinned import PinnedMachine

    machine = here
    chosen = next(iter(models.values()), None)
    if args.models:
        if chosen is None or chosen.path is None:
            raise NotHere("fit.cannot-run", model=args.models[0])
        machine = PinnedMachine(chosen.path, args.home, fixed=False)
    again = App(app.dsl, choice=app.choice, home=args.home)
    again.use(machine)
    missing = given.missing()
    if missing:
        raise BadInput("nodes.input-missing", name=missing[0].variable, label="")
    try:
        result = await again.arun(given.inputs, query=given.query)
        peak = sum(peak_of(loaded.pid) for loaded in machine.embedded.loaded())
    finally:
        if machine is not here:
            await machine.close()
    return dict(msgspec.to_builtins(result)), peak


def _finish_plans(
    scored: list[tuple[AppPlan, Score | None]],
    hard: Hardware,
    args: Namespace,
    terminal: Terminal,
) -> int:
    from millstream.lab.fit import capacity
    from millstream.lab.report import fit as words
    from millstream.lab.report.fit import plan_total, score_total, seconds

    if args.json:
        plans = [{"plan": _plain_plan(made), "score": score} for made, score in scored]
        terminal.write(msgspec.json.encode({"plans": plans}).decode() + "\n")
    for number, (made, score) in enumerate(scored if not args.json else ()):
        if number:
            terminal.out()
        terminal.out(terminal.paint_out(say("fit.plan", app=label(made.app)), "bold"))
        for each in made.models:
            if each.memory is None:
                terminal.out(f"  {say('lab.plan-elsewhere')}: {label(each.name)}")
                continue
            terminal.out(f"  {clean(words.loaded(each))}")
            for card in each.offloads:
                terminal.out(f"    {clean(words.card(card))}")
        terminal.out()
        names = ("node", "model", "times", "prompt", "output", "seconds")
        rows = [[say(f"fit.head-{name}") for name in names]]
        for planned in made.calls:
            c = planned.call
            counts = [f"{c.times}", f"{c.prompt:,}", f"{c.output:,}"]
            rows.append([c.title, planned.model, *counts, seconds(planned.seconds)])
        if made.calls:
            _table(plan_total(made), rows, terminal)
        else:
            terminal.out(f"  {plan_total(made)}")
        for advice in made.advice:
            terminal.out(f"  {terminal.paint_out('!', 'yellow')} {clean(advice.text)}")
        if score is not None:
            heads = ("node", "prompt", "was", "output", "was", "seconds", "corrected", "was")
            rows = [[say(f"fit.head-{name}") for name in heads]]
            for n in score.nodes:
                tokens = [f"{x:,}" for x in (n.prompt, n.prompt_was, n.output, n.output_was)]
                times = [seconds(n.seconds), seconds(n.corrected), seconds(n.took)]
                rows.append([n.title, *tokens, *times])
            _table(f"{say('fit.score')}: {score_total(score)}", rows, terminal)
    for text in words.plan_notes(made for made, _ in scored) if not args.json else ():
        terminal.out(f"  {terminal.paint_out('!', 'yellow')} {clean(text)}")
    if args.report is not None:
        from millstream.lab.report import html

        html.write(words.plan_report(scored), args.report)
    room = capacity(hard)
    models = [each for made, _ in scored for each in made.models if each.memory is not None]
    # Models that fit one by one are loaded in turn.
    alone = all(room is None or each.memory.total <= room for each in models if each.memory)
    return 0 if alone else DOES_NOT_FIT


def _plain_plan(made: AppPlan) -> dict[str, Any]:
    """A plan as data, with the sums and the words."""
    data: dict[str, Any] = msgspec.to_builtins(made)
    for loaded, told in zip(made.models, data["models"], strict=True):
        if loaded.memory is not None:
            told["memory"]["total"] = loaded.memory.total
    for name in ("advice", "notes"):
        data[name] = [advice.plain for advice in getattr(made, name)]
    return data
