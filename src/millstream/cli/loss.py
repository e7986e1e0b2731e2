"""`millstream loss`: what quantizations of a model lose, in predictions, tasks and an app."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from millstream.base import BadInput, Failed, MillstreamError, NotHere, Place, say
from millstream.cli.here import choice, machine, read, size
from millstream.cli.parser import Parser, binding_options
from millstream.cli.terminal import StatusLine, Terminal, clean, label, percent

if TYPE_CHECKING:
    from millstream import dsl
    from millstream.lab.cases import AppRun, Case, Peak, Ran, Run
    from millstream.lab.loss import Loss, Model, Options, Original, Progress, Quant, Text
    from millstream.lab.names import Model as Named
    from millstream.runtime import App
    from millstream.runtime.machine import Machine
    from millstream.runtime.pinned import PinnedMachine

INTERRUPTED = 130
STDIN = "-"
_FAILURES = 12  # cases whose failure is shown
_REASONS = 3  # that are told for a model which no case has asked
_OF_APPS = ("local", "bind", "bind_tool", "own_sampling")  # options that go with --app


def arguments(parser: Parser) -> None:
    parser.arg("base", metavar="BASE", help="base")
    parser.arg("quants", metavar="QUANT", nargs="+", help="quants")
    parser.set_defaults(more="quants")
    parser.arg("--text", metavar="TEXT", action="append", help="text")
    parser.arg("--context", "-c", metavar="TOKENS", type=int, default=512, help="context")
    parser.arg("--chunks", metavar="N", type=int, default=8, help="chunks")
    parser.arg("--batch", "-b", metavar="TOKENS", type=int, default=128, help="batch")
    parser.arg("--threads", "-t", metavar="N", type=int, help="threads")
    parser.arg("--scratch", metavar="DIR", type=Path, help="scratch")
    parser.arg("--no-text", action="store_true", help="no-text")
    parser.arg("--no-tasks", action="store_true", help="no-tasks")
    parser.arg("--app", metavar="APP.yml", help="app")
    parser.arg("--cases", metavar="FILE.jsonl", type=Path, help="cases")
    binding_options(parser, model=False)
    parser.arg("--own-sampling", action="store_true", help="own-sampling")
    parser.arg("--report", metavar="FILE", type=Path, help="report")
    parser.arg("--json", action="store_true", help="json")


def run(args: Namespace, terminal: Terminal) -> int:
    return asyncio.run(_run(args, terminal))


async def _run(args: Namespace, terminal: Terminal) -> int:
    options = _options(args)
    texts = [] if args.no_text else _texts(args.text or ["en", "zh"])
    ours = _App(args, terminal) if args.app else None
    here = machine(args, terminal)
    try:
        models = await _models([args.base, *args.quants], here, terminal)
    finally:
        await here.close()
    work = _Work(ours, _Line(terminal))
    ended: MillstreamError | asyncio.CancelledError | None = None
    try:
        await work.do(models, texts, options)
    except (MillstreamError, asyncio.CancelledError) as error:
        ended = error
    finally:
        work.line.say("")
    if work.loss is not None or work.apps:
        _finish(work.loss, work.apps, ours, args, terminal)
    elif isinstance(ended, asyncio.CancelledError):
        raise ended
    if ours is not None and ended is not None and 0 < work.cases < work.all_cases:
        text = say("loss.app-cut", done=work.cases, total=work.all_cases)
        terminal.err(terminal.paint("! ", "yellow") + text)
    for trouble in work.kept.left:
        if trouble is not ended:
            terminal.error(trouble)
    if isinstance(ended, MillstreamError):
        raise ended
    return 0 if ended is None else INTERRUPTED


class _Work:
    """What is measured, and what has come of it when that ends. all_cases: that were to run, on
    all models."""

    def __init__(self, ours: _App | None, line: _Line) -> None:
        from millstream.lab.loss import Kept

        self.ours, self.line = ours, line
        self.kept = Kept()
        self.loss: Loss | None = None
        self.apps: list[AppRun] = []
        self.all_cases = 0

    async def do(self, models: Sequence[Model], texts: Sequence[Text], options: Options) -> None:
        """Everything, without the models that are no good. Raises the first trouble in the end."""
        from millstream.lab.loss import measure

        if self.ours is not None:
            await self.ours.prepare(models[0].path)
        if texts or options.languages:
            base, *quants = models
            try:
                self.loss = await measure(base, quants, texts, options, self.line.show, self.kept)
            except BaseException:
                self.loss = self.kept.loss
                raise
            good = {self.loss.base.path, *(quant.path for quant in self.loss.quants)}
            models = [model for model in models if str(model.path) in good]
        if self.ours is not None:
            self.all_cases = len(self.ours.cases) * len(models)
            await self.ours.run(models, self.line, self.apps)
            if error := _unasked(self.apps):
                raise error
        if self.kept.left:
            raise self.kept.left[0]

    @property
    def cases(self) -> int:
        """Those that have run."""
        return sum(len(run.outcomes) for run in self.apps)


# ----------------------------------------------------------------------------------- what is asked


def _options(args: Namespace) -> Options:
    from millstream.lab.loss import Options
    from millstream.lab.tasks import LANGUAGES

    for option, given, least in (
        ("--context", args.context, 8),
        ("--chunks", args.chunks, 0),
        ("--batch", args.batch, 1),
        ("--threads", args.threads, 1),
    ):
        if given is not None and given < least:
            raise BadInput("loss.number", option=option, given=given, least=least)
    if bool(args.app) != bool(args.cases):
        raise BadInput("loss.app-needs-cases")
    for name in _OF_APPS:
        if getattr(args, name) and not args.app:
            raise BadInput("loss.only-with-app", option=f"--{name.replace('_', '-')}")
    if args.no_text and args.no_tasks and not args.app:
        raise BadInput("loss.nothing")
    if args.report is not None:
        from millstream.lab.report import html

        html.check(args.report)
    return Options(
        context=args.context,
        chunks=args.chunks,
        batch=args.batch,
        threads=args.threads or 0,
        languages=() if args.no_tasks else LANGUAGES,
        folder=args.scratch,
    )


def _texts(words: Sequence[str]) -> list[Text]:
    """The texts that words name, each once, under names that differ. Raises BadInput."""
    from millstream.lab.loss import Text

    once: dict[str, str] = {}
    for word in words:
        once.setdefault(word if _apart(word) else os.path.realpath(word), word)
    found = [(word, _text(word)) for word in once.values()]
    count = Counter(text.name for _, text in found)
    return [text if count[text.name] == 1 else Text(word, text.text) for word, text in found]


def _apart(word: str) -> bool:
    """Whether a word means standard input or a text that is shipped, not a file."""
    from millstream.lab import texts

    return word == STDIN or (word in texts.LANGUAGES and not Path(word).exists())


def _text(word: str) -> Text:
    """The text that a word names. Raises BadInput."""
    from millstream.lab import texts
    from millstream.lab.loss import Text

    if _apart(word) and word != STDIN:
        return Text(word, texts.text(word))
    try:
        data = sys.stdin.buffer.read() if word == STDIN else Path(word).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        known = ", ".join(texts.LANGUAGES)
        raise BadInput("loss.text-unreadable", file=word, reason=reason, known=known) from None
    name = say("cli.stdin") if word == STDIN else Path(word).name
    try:
        return Text(name, data.decode())
    except UnicodeDecodeError as error:
        raise BadInput("loss.text-not-utf8", file=name, at=error.start + 1) from None


async def _models(words: Sequence[str], here: Machine, terminal: Terminal) -> list[Model]:
    """The models that words mean, under names that differ. Raises BadInput, NotHere; of several
    troubles the last one, the others are told."""
    from millstream.lab import names
    from millstream.lab.loss import Model

    models, bad = [], []
    for word in words:
        try:
            found = await names.find(word, here.home, here.http)
            if found.path is None:
                raise _no_file(word, found)
            models.append(Model.of(found.path, found.name))
        except MillstreamError as error:
            bad.append(error)
    for trouble in bad[:-1]:
        terminal.error(trouble)
    if bad:
        raise bad[-1]
    count = Counter(model.name for model in models)
    return [
        model
        if count[model.name] == 1
        else Model(f"{model.path.parent.name}/{model.name}", model.path, model.headers)
        for model in models
    ]


def _no_file(word: str, found: Named) -> MillstreamError:
    """Why a model that was found cannot be measured, and what would help."""
    if found.kind == "typical" and found.stands_for != found.name:
        return BadInput("loss.no-model", name=found.name)
    if found.kind == "config" and Path(word).expanduser().exists():
        key = "no-weights" if found.lacking and not found.stored else "no-gguf"
        return BadInput(f"loss.{key}", folder=word)
    return NotHere("loss.not-here", name=found.name)


# ------------------------------------------------------------------------------------------ the app


class _App:
    """The app of --app and its cases, to be run on one file after the other."""

    def __init__(self, args: Namespace, terminal: Terminal) -> None:
        from millstream.lab import cases

        self.args, self.terminal = args, terminal
        self.file: dsl.App = read(args.app, terminal)
        self.name = self.file.name or args.app
        self.cases: list[Case] = cases.read(args.cases)
        self.substitutes: list[dict[str, str]] = []
        app = self._load()
        app.sound()
        for case in self.cases:
            try:
                app.accept(case.inputs)
                self._asked(app, case)
            except MillstreamError as error:
                place = Place(file=str(args.cases), line=case.line)
                raise type(error)(error.code, place=place, **error.values) from None

    async def prepare(self, path: Path) -> None:
        """See that all is here that the app needs, and tell what stands in for a tool. Raises
        NotHere."""
        app = self._load()
        app.use(self._machine(path))
        async with app:
            self.substitutes = await app.prepare()
        for text in self.told():
            self.terminal.tell(self.terminal.paint("≈ ", "yellow") + text)

    def told(self) -> list[str]:
        """What stands in for a tool, in words."""
        from millstream.cli import watch

        return list(watch.substitutes(self.substitutes))

    async def run(self, models: Sequence[Model], line: _Line, found: list[AppRun]) -> None:
        """All cases on all models; found: takes what comes of it."""
        from millstream.lab import cases

        @asynccontextmanager
        async def open(number: int) -> AsyncIterator[tuple[Run, Peak]]:
            app = self._load()
            here = self._machine(models[number].path)
            app.use(here)

            async def run(case: Case) -> Ran:
                return await self._case(app, here, case)

            async with app:
                await here.open()
                yield run, lambda: _peak(here)

        names = [model.name for model in models]
        await cases.compare(self.cases, names, open, line.running, found)

    async def _case(self, app: App, here: PinnedMachine, case: Case) -> Ran:
        from millstream.lab.cases import Ran

        before = here.asked
        result = await app.arun(case.inputs, query=case.query)
        error = {} if result.ok else result.error or {}
        return Ran(
            result.outputs,
            str(error.get("message") or ("" if result.ok else result.status)),
            str(error.get("next", "")),
            here.asked > before,
            result.elapsed,
            result.usage.completion_tokens,
        )

    def _load(self) -> App:
        from millstream.runtime import App

        return App(self.file, choice=choice(self.args), home=self.args.home)

    def _machine(self, path: Path) -> PinnedMachine:
        from millstream.runtime.pinned import PinnedMachine

        return PinnedMachine(
            path, self.args.home, fixed=not self.args.own_sampling, label=say("loss.measured")
        )

    @staticmethod
    def _asked(app: App, case: Case) -> None:
        from millstream.cli.watch import outputs
        from millstream.runtime.app import CHAT_MODES

        if case.query is None and app.mode in CHAT_MODES:
            raise BadInput("loss.case-needs-query")
        known = outputs(app)
        wanted = (case.expect or {}).get("output")
        if wanted is not None and wanted not in known:
            raise BadInput("cli.no-output", name=str(wanted), known=", ".join(known) or "-")


def _unasked(apps: Sequence[AppRun]) -> Failed | None:
    """The error about models that no case came to ask: their figures say nothing."""
    silent = [run for run in apps if run.unasked]
    if not silent:
        return None
    cases = [each for run in silent for each in run.outcomes]
    reasons = list(dict.fromkeys(each.failure for each in cases))[:_REASONS]
    advice = list(dict.fromkeys(each.next for each in cases if each.next))[:_REASONS]
    names = ", ".join(run.model for run in silent)
    return Failed("loss.unasked", models=names, reason="; ".join(reasons), next=" ".join(advice))


def _peak(here: PinnedMachine) -> int | None:
    """Bytes that the model's process has had in memory at most."""
    from millstream.lab.bench.watch import peak_of

    return max((peak_of(loaded.pid) for loaded in here.embedded.loaded()), default=0) or None


# ----------------------------------------------------------------------------------------- progress


class _Line(StatusLine):
    """How far a measurement is."""

    def show(self, progress: Progress) -> None:
        self._show(f"loss.{progress.step}", progress.model, progress.done, progress.total)

    def running(self, model: str, done: int, total: int) -> None:
        self._show("loss.running", model, done, total)

    def _show(self, key: str, model: str, done: int, total: int) -> None:
        self.often(lambda: say(key, model=label(model)) + percent(done, total))


# --------------------------------------------------------------------------------------- the result


def _finish(
    loss: Loss | None, apps: list[AppRun], ours: _App | None, args: Namespace, terminal: Terminal
) -> None:
    app = ours.name if ours is not None else ""
    if args.report is not None:
        from millstream.lab.report import html
        from millstream.lab.report.loss import report

        told = ours.told() if ours is not None else []
        html.write(report(loss, apps, app, told), args.report)
    if args.json:
        found = None
        if apps and ours is not None:
            found = {
                "name": app,
                "fixed": not args.own_sampling,
                "substitutes": ours.substitutes,
                "runs": apps,
            }
        terminal.write(msgspec.json.encode({"loss": loss, "app": found}).decode() + "\n")
    else:
        if loss is not None:
            _tell(loss, terminal)
            if loss.missing:
                terminal.err(terminal.paint("! ", "yellow") + loss.missing[0].text)
        if apps:
            _tell_app(apps, app, args, terminal)


def _tell(loss: Loss, terminal: Terminal) -> None:
    from millstream.lab.report.loss import divergence, in_percent, nats, of_share, plus_minus

    measured = [(quant, quant.whole) for quant in loss.quants if quant.whole is not None]
    if measured:
        names = ["model", "size", "bits", "fallbacks", "kld", "median", "99", "max", "same", "rms"]
        rows = [[say(f"loss.head-{name}") for name in names]]
        base = loss.base
        own = say("loss.base", name=label(base.name))
        rows.append([own, size(base.size), f"{base.bits:.2f}", *["–"] * 7])
        for quant, whole in measured:
            fallbacks = sum(fallback.tensors for fallback in quant.fallbacks)
            rows.append(
                [
                    label(quant.name),
                    size(quant.size),
                    f"{quant.bits:.2f}",
                    f"{fallbacks}/{quant.tensors}",
                    divergence(whole.kld),
                    nats(whole.percentiles["50"]),
                    nats(whole.percentiles["99"]),
                    nats(whole.percentiles["100"]),
                    of_share(whole.same_top),
                    in_percent(whole.delta_rms.value, 2),
                ]
            )
        _table(say("loss.title-divergence"), rows, terminal)
    names = ["model"]
    names += ["perplexity", "ratio"] if loss.base.whole is not None else []
    languages = [name for name in loss.base.tasks if name]
    names += [f"tasks-{name}" for name in languages]
    names += ["tasks", "agree"] if languages else []
    rows = [[say(f"loss.head-{name}") for name in names]]
    models: list[Original | Quant] = [loss.base, *loss.quants]
    for model in models:
        first = model is loss.base
        row = [say("loss.base", name=label(model.name)) if first else label(model.name)]
        if model.whole is not None:
            row.append(plus_minus(model.whole.perplexity, 2))
            ratio = getattr(model.whole, "log_ratio", None)
            row.append("–" if ratio is None else plus_minus(ratio, 4))
        for language in languages:
            done = model.tasks[language]
            row.append(f"{done.right}/{done.tasks}")
        if languages:
            total = model.tasks[""]
            row.append(of_share(total.share))
            row.append("–" if total.agree is None else f"{total.agree}/{total.tasks}")
        rows.append(row)
    if len(names) > 1:
        _table(say("loss.title-ability"), rows, terminal)
    if terminal.quiet:
        return
    about = say(
        "loss.about",
        tokens=sum(text.scored for text in loss.texts),
        texts=", ".join(label(text.name) for text in loss.texts) or "–",
        context=loss.context,
        tasks=loss.base.tasks[""].tasks if loss.base.tasks else 0,
        threads=loss.threads,
        seconds=loss.seconds,
    )
    terminal.err(terminal.paint(about, "dim"))
    for note in loss.notes:
        terminal.err(terminal.paint("! ", "yellow") + clean(note.text))


def _tell_app(apps: list[AppRun], app: str, args: Namespace, terminal: Terminal) -> None:
    from millstream.lab.report.loss import came, of_share

    names = ["model", "passed", "similarity", "identical", "seconds", "memory"]
    rows = [[say(f"loss.head-{name}") for name in names]]
    for number, run in enumerate(apps):
        count = len(run.outcomes)
        passed = sum(each.passed for each in run.outcomes)
        rows.append(
            [
                label(run.model) if number else say("loss.base", name=label(run.model)),
                f"{passed}/{count} ({of_share(run.passed, 0)})",
                "–" if run.similarity is None else f"{run.similarity.value:.3f}",
                "–" if run.same is None else f"{run.same}/{count}",
                f"{run.seconds.value:.2f} ± {run.seconds.error:.2f} s",
                "–" if run.memory is None else size(run.memory),
            ]
        )
    title = say("loss.title-app", name=label(app), count=len(apps[0].outcomes))
    _table(title, rows, terminal)
    told = [run for run in apps if not run.unasked]  # the others are one error
    failed = [(run.model, each) for run in told for each in run.outcomes if not each.passed]
    for model, each in failed[:_FAILURES]:
        where = label(each.name) or say("loss.case", line=each.line)
        what = clean(each.failure.splitlines()[0] if each.failure else "")
        if output := came(each):
            what += f" ← {label(output)}"
        terminal.out(terminal.paint_out(f"  ✗ {label(model)}, {where}: {what}", "dim"))
    if len(failed) > _FAILURES:
        more = say("loss.more-failures", count=len(failed) - _FAILURES)
        terminal.out(terminal.paint_out(f"  {more}", "dim"))
    if not terminal.quiet:
        key = "loss.own-sampling" if args.own_sampling else "loss.fixed"
        terminal.err(terminal.paint(say(key), "dim"))


def _table(title: str, rows: list[list[str]], terminal: Terminal) -> None:
    terminal.out(terminal.paint_out(title, "bold"))
    for line in terminal.table(rows, ["cyan"]):
        terminal.out("  " + line)
