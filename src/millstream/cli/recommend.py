"""`millstream models recommend`: which models to take on this machine, and why."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import msgspec

from millstream.base import NotHere, say
from millstream.cli.here import machine, read, size
from millstream.cli.terminal import StatusLine, Terminal, clean, label

if TYPE_CHECKING:
    from millstream.lab.fit import Advice
    from millstream.lab.hardware import Speed
    from millstream.lab.recommend import Choice, Needs
    from millstream.runtime.machine import Machine

NOTHING_FITS = 3
_STEP = 1024  # tokens that a need is rounded up to
_CHINESE = re.compile(r"[\u4e00-\u9fff]{2}")


async def recommend(args: Namespace, terminal: Terminal) -> int:
    from millstream.lab import hardware
    from millstream.lab.fit import CALIBRATE_ELSEWHERE, disturbed, shown
    from millstream.lab.recommend import Needs
    from millstream.lab.recommend import recommend as choose

    if args.report is not None:
        from millstream.lab.report import html

        html.check(args.report)
    here = machine(args, terminal)
    try:
        needs, facts = Needs(), []
        if args.file:
            needs, name = _needs(args, terminal)
            facts.append(say("fit.for-app", app=label(name), context=needs.context))
        hard = await hardware.look()
        speed = None if args.no_speed else await _speed(here, terminal)
        shelf = [model.name for model in here.home.shelf.list()]
    finally:
        await here.close()
    found = choose(hard, speed, needs, shelf=shelf)
    notes = list(disturbed(speed, again=CALIBRATE_ELSEWHERE)) if found else []
    facts.insert(0, say("fit.machine", processor=hard.processor, cores=hard.cores))
    if hard.memory is not None and hard.free is not None:
        values = {"free": shown(hard.free), "total": shown(hard.memory)}
        facts.insert(1, say("fit.memory", **values))
    if not found and not args.json:
        raise NotHere("lab.nothing-fits", free=shown(hard.free or 0))
    if args.report is not None:
        from millstream.lab.report.fit import choices_report

        heads = (say("fit.fact-machine"), say("fit.fact-memory"), say("fit.fact-use"))
        told = list(zip(heads, facts, strict=False))
        html.write(choices_report(found, told, notes), args.report)
    if args.json:
        data = {
            "machine": hard,
            "models": [_plain(each) for each in found],
            "notes": [note.plain for note in notes],
        }
        terminal.write(msgspec.json.encode(data).decode() + "\n")
    else:
        _tell(found, facts, notes, terminal)
    return 0 if found else NOTHING_FITS


def _needs(args: Namespace, terminal: Terminal) -> tuple[Needs, str]:
    """What an app asks of its models, and its name."""
    from millstream.lab import plan
    from millstream.lab.recommend import Needs
    from millstream.runtime import App

    app = App(read(args.file, terminal), home=args.home)
    app.sound()
    calls = plan.calls(app.plan)
    longest = max((call.prompt + call.output for call in calls), default=0)
    prompts = [step.spec.raw for step in app.plan.steps() if step.id in {c.node for c in calls}]
    chinese = bool(_CHINESE.search(str(prompts)))
    context = max(4 * _STEP, -(-longest // _STEP) * _STEP)
    return Needs(context, chinese), app.name


async def _speed(here: Machine, terminal: Terminal) -> Speed | None:
    from millstream.lab import hardware

    with StatusLine(terminal) as line:
        line.say(say("fit.calibrating"))
        try:
            return await hardware.speed(here.home)
        except NotHere:
            return None


def _plain(choice: Choice) -> dict[str, Any]:
    """A model of the list as data, with the words of its reasons."""
    data: dict[str, Any] = msgspec.to_builtins(choice)
    data["why"] = [advice.plain for advice in choice.why]
    return data


def _tell(found: list[Choice], facts: list[str], notes: list[Advice], terminal: Terminal) -> None:
    from millstream.lab.recommend import QUICK

    for text in facts:
        terminal.out(terminal.paint_out(clean(text), "dim"))
    names = ("model", "quantization", "size", "memory", "context", "speed", "licence", "reasons")
    rows = [[say(f"fit.head-{name}") for name in names]]
    for each in found:
        speed = f"{each.pace.decode:.3g}" if each.pace else "–"
        sizes = [size(each.size), size(each.memory), f"{each.context:,}"]
        why = "; ".join(advice.text for advice in each.why)
        rows.append([each.name, each.quantization, *sizes, speed, each.licence, why])
    for text in terminal.table(rows, ["cyan"]):
        terminal.out(text)
    for note in notes:
        terminal.out(f"{terminal.paint_out('!', 'yellow')} {clean(note.text)}")
    quick = [each for each in found if each.pace is None or each.pace.decode >= QUICK]
    first = (quick or found)[0]
    if not first.here:
        terminal.out(f"→ {say('fit.pull', name=first.name)}")
