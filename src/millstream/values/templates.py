"""Jinja2 templates that are safe to render in this process, and telling them from the others.

A template of an app file is compiled once and rendered often. Three kinds:

* literals and plain `{{ name }}` only: cut into pieces and joined, jinja2 is not even imported;
* *static* ones: whatever their inputs, time and output grow no faster than template times input
  (`_StaticRule` says how that is known). Rendered here, by jinja2's compiled code;
* all others: a loop in a loop, `range`, `set`, calls … may run for ever or fill the memory. They
  are checked here for errors, but only the `sandbox` port may render them.

The text is what `jinja2.Template(source).render(variables)` gives: a missing variable is "",
None is "None", line ends become "\\n", one line end at the very end of the source is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from millstream.base import BadInput, Failed, Place

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

OUTPUT_LIMIT: Final = 64 * 1024 * 1024
"""Characters that a template may yield here, unless told; the sandbox's limit for the rest."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLAIN: Final = re.compile(r"\{\{[ \t\r\n]*([A-Za-z_][A-Za-z0-9_]*)[ \t\r\n]*\}\}")
_LINE_END: Final = re.compile(r"\r\n|\r")
# Names that jinja2 reads as constants, operators or its own objects when no variable hides them.
_NOT_PLAIN: Final = _words(
    "and or not in is if else true false none True False None self super caller varargs kwargs "
    "loop range dict lipsum cycler joiner namespace"
)
_WORK: Final = 4_000_000  # evaluations of an expression that are made here, in a row
_LETTERS: Final = 32  # that an expression passes over in the time of one evaluation
_FEW: Final = 8  # expressions that are evaluated here whatever the size of their values


class Heavy(Exception):
    """A static template has so much to do with these values that the sandbox should render it:
    nothing else goes on here meanwhile."""


class Template:
    """A compiled template. Immutable.

    static: whether it may be rendered here; if not, hand `source` to the sandbox port.
    names: the variables that it reads from outside.
    """

    __slots__ = ("_render", "names", "source", "static")

    def __init__(self, source: str, names: Iterable[str], render: _Render | None) -> None:
        self.source = source
        self.names = frozenset(names)
        self.static = render is not None
        self._render = render

    def render(self, variables: Mapping[str, Any], *, limit: int = OUTPUT_LIMIT) -> str:
        """The text of a static template.

        Raises Heavy where the sandbox should render it after all. Raises Failed, with the line
        in the template where it is known: what the template does with a value does not work, or it
        yields more than `limit` characters.
        """
        if self._render is None:
            raise RuntimeError("not a static template: let the sandbox port render its source")
        return self._render(variables, limit)


_Render = Callable[[Mapping[str, Any], int], str]


def compile_template(source: str) -> Template:
    """Compile a Jinja2 template; raises BadInput with the line if it is not one."""
    pieces = _plain_pieces(source)
    if pieces is not None:
        return Template(source, pieces[1::2], _plain_render(pieces))
    return _compile(source)


def failed(error: Exception, line: int | None) -> Failed:
    """The error of a template that raised while it was rendered."""
    problem = str(error) or type(error).__name__
    return Failed("values.template-failed", place=_line(line), problem=problem)


# ----------------------------------------------------------------------- literals and plain names


def _plain_pieces(source: str) -> list[str] | None:
    """Literal, name, literal, name, …, literal; None if the template is more than that."""
    pieces = _PLAIN.split(_line_ends(source))
    for name in pieces[1::2]:
        if name in _NOT_PLAIN:
            return None
    for i in range(0, len(pieces), 2):
        literal = pieces[i]
        if "{{" in literal or "{%" in literal or "{#" in literal:
            return None
        if literal.endswith("{") and i + 1 < len(pieces):  # "{{{ x }}": a mapping begins
            return None
    return pieces


def _line_ends(source: str) -> str:
    """A source as jinja2 reads it: "\\n" for every line end, none at the very end."""
    return _LINE_END.sub("\n", source).removesuffix("\n")


def _plain_render(pieces: list[str]) -> _Render:
    holes = tuple((i, pieces[i]) for i in range(1, len(pieces), 2))
    fixed = sum(map(len, pieces[::2]))

    def render(variables: Mapping[str, Any], limit: int) -> str:
        out = pieces.copy()
        room = limit - fixed
        for i, name in holes:
            value = variables.get(name, "")
            if type(value) is not str:
                try:
                    value = str(value)
                except Exception as error:  # a whole number of 5,000 digits has no text
                    raise failed(error, "".join(pieces[:i]).count("\n") + 1) from None
            out[i] = value
            room -= len(value)
            if room < 0:
                raise _too_long(limit)
        return "".join(out)

    return render


# ---------------------------------------------------------------------------- what needs jinja2


def _compile(source: str) -> Template:
    import jinja2
    from jinja2 import meta

    try:
        tree = _environment().parse(source)
        rule = _StaticRule()
        if rule.holds(tree):
            names = meta.find_undeclared_variables(tree)
            return Template(source, names, _render_code(tree, rule.expressions))
        names = _names_without_running(source)
    except jinja2.TemplateSyntaxError as error:
        problem = error.message or "syntax error"
        raise BadInput(
            "values.template-syntax", place=_line(error.lineno), problem=problem
        ) from None
    except (RecursionError, MemoryError, SyntaxError):
        raise BadInput("values.template-syntax", problem="it is nested too deeply") from None
    except Exception as error:  # numbers with too many digits and the like
        raise BadInput("values.template-syntax", problem=str(error)) from None
    return Template(source, names, None)


def _names_without_running(source: str) -> set[str]:
    """The outside names of any template; raises TemplateSyntaxError for unknown filters too.

    jinja2 looks for names by generating code, and generating code evaluates what is constant:
    `{{ "a" * 10**10 }}` would fill the memory already here. So neither operators nor filters of
    this environment can be evaluated.
    """
    from jinja2 import meta

    inert = _inert_environment()
    return meta.find_undeclared_variables(inert.parse(source))


@cache
def _environment() -> Environment:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(cache_size=0)
    environment.filters.update(_bounded_filters())
    environment.filters[_TURNS] = _turns
    environment.globals["range"] = range  # the rule allows only short ones; theirs stops at 100,000
    return environment


_TURNS: Final = " turns"  # no template can call a filter by such a name


def _turns(items: Any, most: int) -> Any:
    """What a loop goes over; raises Heavy if that is more than `most`."""
    try:
        count = len(items)
    except TypeError:
        return items
    if count > most:
        raise Heavy
    return items


def _bounded_filters() -> dict[str, Callable[..., str]]:
    """Those whose text is as long as their input times what the template says: the product is
    looked at before it is made. jinja2 may do so early, when it compiles what is constant."""
    from jinja2 import filters, pass_eval_context

    @pass_eval_context
    def join(context: Any, value: Any, d: Any = "", attribute: Any = None) -> str:
        items = list(value)
        if len(items) * len(str(d)) > OUTPUT_LIMIT:
            raise _too_long(OUTPUT_LIMIT)
        return filters.sync_do_join(context, items, d, attribute)

    @pass_eval_context
    def replace(context: Any, s: Any, old: Any, new: Any, count: int | None = None) -> str:
        text, old, new = str(s), str(old), str(new)
        turns = text.count(old)
        if count is not None and 0 <= count < turns:
            turns = count
        if len(text) + turns * (len(new) - len(old)) > max(OUTPUT_LIMIT, len(text)):
            raise _too_long(OUTPUT_LIMIT)
        return filters.do_replace(context, text, old, new, count)

    return {"join": join, "replace": replace}


@cache
def _inert_environment() -> Environment:
    from jinja2 import pass_context
    from jinja2.sandbox import SandboxedEnvironment

    class Inert(SandboxedEnvironment):
        intercepted_binops = frozenset(SandboxedEnvironment.default_binop_table)
        intercepted_unops = frozenset(SandboxedEnvironment.default_unop_table)

    @pass_context
    def nothing(*_: Any) -> None:
        """Never called: needing a context is what keeps jinja2 from evaluating a filter early."""

    inert = Inert(cache_size=0)
    inert.filters = dict.fromkeys(inert.filters, nothing)
    inert.tests = dict.fromkeys(inert.tests, nothing)
    return inert


def _render_code(tree: nodes.Template, expressions: int) -> _Render:
    from jinja2 import nodes as n
    from jinja2.runtime import Context

    most = _WORK // max(1, expressions)
    for loop in tree.find_all(n.For):
        loop.iter = n.Filter(loop.iter, _TURNS, [n.Const(most)], [], None, None)
    code: Any = _environment().from_string(tree)
    environment, root, shared = code.environment, code.root_render_func, dict(code.globals)

    def render(variables: Mapping[str, Any], limit: int) -> str:
        if expressions > _FEW and _larger(variables.values(), most):
            raise Heavy
        context = Context(environment, {**shared, **variables}, None, {})
        try:
            return "".join(_counted(root(context), limit))
        except (Failed, Heavy):
            raise
        except Exception as error:
            raise failed(error, line_in_template(error)) from None

    return render


def _larger(values: Iterable[Any], most: int) -> bool:
    """Whether values have more parts than `most`; so many letters count as one."""
    rest = list(values)
    count = len(rest)
    while rest and count <= most:
        value = rest.pop()
        if isinstance(value, str):
            count += len(value) // _LETTERS
        elif isinstance(value, dict | list | tuple):
            count += len(value)
            rest.extend(value.values() if isinstance(value, dict) else value)
    return count > most


def line_in_template(error: BaseException) -> int | None:
    """The innermost line of a compiled template that an error passed through."""
    line = None
    step = error.__traceback__
    while step is not None:
        template = step.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(step.tb_lineno)
        step = step.tb_next
    return line


def _counted(pieces: Iterable[str], limit: int) -> Iterator[str]:
    room = limit
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise _too_long(limit)
        yield piece


def _too_long(limit: int) -> Failed:
    return Failed("values.template-too-long", limit=limit)


def _line(number: int | None) -> Place | None:
    return Place(line=number) if number else None


# ------------------------------------------------------------------------------- the static rule

_MAX_EXPRESSIONS: Final = 500
_MAX_COPIES: Final = 16  # inputs in one value

# Filters whose cost does not depend on the size of their input …
_CONSTANT_FILTERS: Final = _words("count d default first last length")
# … those whose time is linear in it (or n log n) and whose output is no longer, given constant
# arguments …
_LINEAR_FILTERS: Final = _words(
    "abs attr capitalize float int items list lower max min reject rejectattr reverse round safe "
    "select selectattr sort sum title trim truncate unique upper wordcount"
)
# … and those whose output is longer by a factor: two of them, one on the other, multiply.
_GROWING_FILTERS: Final = _words("e escape forceescape join replace string tojson urlencode")
# `map("center", 10**9)` would call any filter; these take only a path or a test by name.
_BY_ATTRIBUTE: Final = frozenset(["map", "groupby"])
_TESTS: Final = _words(
    "boolean defined even false float integer iterable mapping none number odd sequence string "
    "true undefined"
)
_METHODS: Final = _words("get items keys values")
_MAX_NUMBER: Final = 10_000  # of a filter argument: `round(10**9)` computes 10**10**9


class _StaticRule:
    """Whether a template is harmless whatever its inputs.

    Allowed: output, `if`, `for` that is not inside another, and expressions whose cost is linear
    in the values that they read. Inside a loop an expression of values from outside the loop is
    paid for at every turn, so there it must cost the same for every size; one of the loop's own
    items may be linear, since all items together are no bigger than what is looped over.
    """

    def __init__(self) -> None:
        self.expressions = 0

    def holds(self, tree: nodes.Template) -> bool:
        return self._body(tree.body, None)

    def _body(self, body: Iterable[nodes.Node], loop: frozenset[str] | None) -> bool:
        return all(self._statement(node, loop) for node in body)

    def _statement(self, node: nodes.Node, loop: frozenset[str] | None) -> bool:
        from jinja2 import nodes as n

        match node:
            case n.Output():
                return all(
                    isinstance(x, n.TemplateData) or self._cheap(x, loop) for x in node.nodes
                )
            case n.If():
                branches = (node.body, node.elif_, node.else_)
                return self._cheap(node.test, loop) and all(
                    self._body(branch, loop) for branch in branches
                )
            case n.For() if loop is None and not node.recursive:
                targets = frozenset(x.name for x in _names(node.target))
                inside = targets | {"loop"}
                return (
                    (self._cheap(node.iter, None) or self._short_range(node.iter))
                    and not _grows(node.iter)
                    and (node.test is None or self._cheap(node.test, targets))
                    and self._body(node.body, inside)
                    and self._body(node.else_, None)
                )
        return False

    def _cheap(self, node: nodes.Node | None, loop: frozenset[str] | None) -> bool:
        """Whether evaluating an expression costs no more than the rule allows."""
        from jinja2 import nodes as n

        self.expressions += 1
        if self.expressions > _MAX_EXPRESSIONS:
            return False

        def all_cheap(parts: Iterable[nodes.Node | None]) -> bool:
            return all(part is None or self._cheap(part, loop) for part in parts)

        linear = loop is None or all(name.name in loop for name in _names(node))
        match node:
            case n.Const() | n.Name(ctx="load"):
                return True
            case n.Getattr():
                return self._cheap(node.node, loop)
            case n.Getitem(arg=n.Slice() as cut):
                return linear and all_cheap((node.node, cut.start, cut.stop, cut.step))
            case n.Getitem():
                return all_cheap((node.node, node.arg))
            case n.And() | n.Or():
                return all_cheap((node.left, node.right))
            case n.Not():
                return self._cheap(node.node, loop)
            case n.CondExpr():
                return all_cheap((node.test, node.expr1, node.expr2))
            case n.Add() | n.Sub():
                return linear and _few_names(node) and all_cheap((node.left, node.right))
            case n.Concat():
                return linear and _few_names(node) and all_cheap(node.nodes)
            case n.Neg():
                return linear and self._cheap(node.node, loop)
            case n.List() | n.Tuple(ctx="load"):
                return _few_names(node) and all_cheap(node.items)
            case n.Compare():
                return all_cheap((node.expr, *(op.expr for op in node.ops))) and (
                    linear or self._bounded_comparison(node, loop or frozenset())
                )
            case n.Test():
                return node.name in _TESTS and not node.args and self._cheap(node.node, loop)
            case n.Call():
                return self._known_method(node) and all_cheap((node.node, *node.args))
            case n.Filter(node=n.Expr()):
                return self._known_filter(node, linear) and all_cheap((node.node, *node.args))
        return False

    def _short_range(self, node: nodes.Node) -> bool:
        """`range` up to a small number, or to the length of something."""
        from jinja2 import nodes as n

        def short(end: nodes.Expr) -> bool:
            if isinstance(end, n.Filter) and end.name in ("length", "count"):
                return not end.args and self._cheap(end, None)
            return _small_constant(end)

        return (
            isinstance(node, n.Call)
            and isinstance(node.node, n.Name)
            and node.node.name == "range"
            and all(short(end) for end in node.args)
            and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        )

    def _bounded_comparison(self, node: nodes.Compare, loop: frozenset[str]) -> bool:
        """Two values are compared up to the end of the shorter one; a search goes to the end."""
        sides = [node.expr, *(op.expr for op in node.ops)]
        outer = sum(any(x.name not in loop for x in _names(side)) for side in sides)
        return outer <= 1 and all(op.op not in ("in", "notin") for op in node.ops)

    def _known_method(self, node: nodes.Call) -> bool:
        from jinja2 import nodes as n

        return (
            isinstance(node.node, n.Getattr)
            and node.node.attr in _METHODS
            and len(node.args) <= 2
            and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
        )

    def _known_filter(self, node: nodes.Filter, linear: bool) -> bool:
        if node.dyn_args or node.dyn_kwargs:
            return False
        if node.name in _CONSTANT_FILTERS:
            return not node.kwargs
        arguments = [*node.args, *(pair.value for pair in node.kwargs)]
        if not linear or not all(_small_constant(x) for x in arguments):
            return False
        if node.name in _BY_ATTRIBUTE:
            return not node.args and [pair.key for pair in node.kwargs] == ["attribute"]
        if node.name in _GROWING_FILTERS:
            return not _grows(node.node)
        return node.name in _LINEAR_FILTERS


def _grows(node: nodes.Node | None) -> bool:
    """Whether the value of an expression may be longer than the values that it reads."""
    from jinja2 import nodes as n

    if node is None or isinstance(node, n.Add | n.Concat):
        return node is not None
    if isinstance(node, n.Filter) and node.name in _GROWING_FILTERS:
        return True
    return any(_grows(child) for child in node.iter_child_nodes())


def _names(node: nodes.Node | None) -> Iterator[nodes.Name]:
    from jinja2 import nodes as n

    if isinstance(node, n.Name):
        yield node
    elif node is not None:
        yield from node.find_all(n.Name)


def _few_names(node: nodes.Node) -> bool:
    """Whether a value made of others is not of very many: each may be as large as an input."""
    return sum(1 for _ in _names(node)) <= _MAX_COPIES


def _small_constant(node: nodes.Node) -> bool:
    from jinja2 import nodes as n

    if isinstance(node, n.Neg):
        node = node.node
    if not isinstance(node, n.Const):
        return False
    return isinstance(node.value, str) or node.value is None or abs(node.value) <= _MAX_NUMBER
