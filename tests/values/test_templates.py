"""Jinja2 templates: the text is jinja2's own, and only harmless ones are rendered in process."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millstream.base import BadInput, Failed
from millstream.values.templates import Heavy, compile_template

CORPUS = Path(__file__).parents[2] / "../shared/corpus"

VALUES: dict[str, Any] = {
    "text": "Hé\r\n<b>",
    "none": None,
    "zero": 0,
    "items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}],
    "words": ["x", "y"],
    "data": {"a": {"b": 1.5}, "empty": ""},
    "yes": True,
}

STATIC = [
    "{{ text }}-3",
    "{{text}}{{ missing }}{{ none }}{{ zero }}{{ yes }}",
    "a\r\nb\rc\n",
    "a\n\n",
    "{{ items }} {{ data }}",
    "{ {{ text }} }",
    "{{ text }}}",
    "{{ true }} {{ None }} {{ 'a' }}",
    "{{- text -}} b",
    "{# gone #}{{ text }}",
    "{% raw %}{{ text }}{% endraw %}",
    "{{ data.a.b }} {{ data['a'].b }} {{ words[0] }} {{ words[-1] }} {{ text[1:3] }}",
    "{% if none %}1{% elif yes and not zero %}2{% else %}3{% endif %}",
    "{% for x in items %}{{ loop.index }}. {{ x.name }}{% if not loop.last %},{% endif %}"
    "{% endfor %}",
    "{% for x in items if x.n > 1 %}{{ x['name'] | upper }}{% else %}none{% endfor %}",
    "{% for k, v in data.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for i in range(items | length) %}{{ words[i] }}{{ items[i].name }}{% endfor %}",
    "{% for i in range(1, 4) %}{{ i }}{% endfor %}",
    "{% for x in items %}{% if x.name == text %}={% endif %}{{ text }}{% endfor %}",
    "{{ words | join(', ') }} {{ items | map(attribute='name') | list }}",
    "{{ missing | default('d') }} {{ text | e }} {{ items | tojson }}",
    "{{ 'zh' in ['zh', 'en'] }} {{ zero is defined }} {{ 'a' if yes else 'b' }}",
    "{{ text ~ zero }} {{ zero + 1 }}",
    "{{ items | sort(attribute='n', reverse=true) }} {{ items | sum(attribute='n') }}",
]

# Each could be made to run for ever, to fill the memory, or to change a value.
NOT_STATIC = [
    "{% for a in x %}{% for b in x %}{{ b }}{% endfor %}{% endfor %}",
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(n) %}{% endfor %}",
    "{% set a = 'x' %}{{ a }}",
    "{{ 'a' * 10**9 }}",
    "{{ x * n }}",
    "{{ n ** n }}",
    "{{ '%1000000000d' % n }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ x | center(1000000000) }}",
    "{{ x | indent(1000000000) }}",
    "{{ n | round(1000000000, 'ceil') }}",
    "{{ x | map('center', 1000000000) | list }}",
    "{{ x | replace('a', 'aa') | replace('a', 'aa') }}",
    "{{ x | tojson | tojson }}",
    "{{ x | join(y) }}",
    "{{ x | batch(1000000000, ' ') | list }}",
    "{{ lipsum(1000000) }}",
    "{{ x.append(1) }}",
    "{{ x | random }}",
    "{% for a in x %}{% if a in y %}{% endif %}{% endfor %}",
    "{% for a in x %}{% if y | upper %}{% endif %}{% endfor %}",
    "{% for a in x %}{% if (y ~ y) == a %}{% endif %}{% endfor %}",
    "{% for a in x %}{% if y == z %}{% endif %}{% endfor %}",
    "{% for a in x recursive %}{{ loop(a) }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% filter upper %}{{ x }}{% endfilter %}",
    "{% include 'x' %}",
    "{{ x }}" * 250 + "{{ y | upper }}" * 250,
    "{{ " + " ~ ".join(["x"] * 17) + " }}",
    "{% if " + " + ".join(["x"] * 17) + " %}{% endif %}",
    "{{ [" + ", ".join(["x"] * 17) + "] | join }}",
]


def test_no_output_is_made_that_is_far_beyond_the_limit() -> None:
    text, item = "a" * 100_000, "b" * 10_000
    for source in (
        f"{{{{ x | replace('a', '{item}') }}}}",
        f"{{{{ x | replace('', '{item}', 9999) }}}}",
        f"{{{{ x | join('{item}') }}}}",
        f"{{{{ '{text}' | replace('a', '{item}') }}}}",  # jinja2 would do that early
        "{{ x }}" * 99,
        "{{ x | upper }}" * 99,
    ):
        tracemalloc.start()
        try:
            template = compile_template(source)
            with pytest.raises((Failed, Heavy)) as caught:
                template.render({"x": text * 10 if "}}{{" in source else text})
            assert tracemalloc.get_traced_memory()[1] < 150 << 20
        finally:
            tracemalloc.stop()
        if isinstance(caught.value, Failed):
            assert caught.value.code == "values.template-too-long"
    assert (
        compile_template("{{ x | replace('a', 'bb', 1) ~ x | join('-') }}").render({"x": "aa"})
        == "bbaa-a"
    )


@pytest.mark.parametrize(
    "source",
    [
        "{% for c in x %}{% if c == 'b' %}{{ c }}{% endif %}{% endfor %}",
        "{% for c in d.x %}{{ c if c == 'b' }}{% endfor %}",
        "{% for c in x | list %}{{ loop.index }}{% endfor %}",
        "{% for c in x | upper if c == 'b' %}{{ c }}{% endfor %}",
        "{% if d.x | upper %}{% endif %}" * 20,
    ],
)
def test_much_work_is_not_done_here(source: str) -> None:
    template = compile_template(source)
    assert template.static
    small, large = "ab" * 50, "a" * 10_000_000
    theirs = jinja2.Template(source).render(x=small, d={"x": small})
    assert template.render({"x": small, "d": {"x": small}}) == theirs
    begun = time.process_time()
    with pytest.raises(Heavy):
        template.render({"x": large, "d": {"x": large}})
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("source", STATIC)
def test_static_template_gives_the_text_of_jinja2(source: str) -> None:
    template = compile_template(source)
    assert template.static
    assert template.render(VALUES) == jinja2.Template(source).render(VALUES)


@pytest.mark.parametrize("source", NOT_STATIC)
def test_template_that_could_do_harm_is_not_rendered_here(source: str) -> None:
    template = compile_template(source)
    assert not template.static
    with pytest.raises(RuntimeError):
        template.render({})


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ a }}{{ b }}{{ a }}", {"a", "b"}),
        ("{% for x in rows %}{{ x }}{{ loop.index }}{{ title }}{% endfor %}", {"rows", "title"}),
        ("{% set a = b %}{{ a }}{{ range(c) }}{{ d | center(e) }}", {"b", "c", "d", "e"}),
        ("text", set()),
    ],
)
def test_names_are_the_variables_read_from_outside(source: str, names: set[str]) -> None:
    assert compile_template(source).names == names


WORDS = re.findall(
    r"\S+",
    "{{ }} {% %} for in if endfor endif else elif set x y . [ ] ( ) | ~ + * 'a' 1 == join upper , "
    ": range loop is defined not {# #} - raw macro block ** %",
)

pieces = st.one_of(
    st.sampled_from(["{{", "}}", "{", "}", "{%", "%}", "{#", "#}", "-", " ", "\n", "\r\n", "\r"]),
    st.sampled_from(["{{ x }}", "{{y}}", "{{\tz\n}}", "{{ x -}}", "{{ true }}", "{{ x }}"]),
    st.text(max_size=4),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=600)
@given(st.lists(pieces, max_size=12).map("".join), st.dictionaries(st.sampled_from("xyz"), values))
@example("{{{ x }}", {})
@example("{{ x }}\n\r\n", {"x": "\n"})
@example("{{ x\u2028}}", {"x": 1})
def test_any_text_is_rendered_as_jinja2_does_or_refused_as_it_does(
    source: str, variables: dict[str, Any]
) -> None:
    try:
        expected = jinja2.Template(source)
    except jinja2.TemplateSyntaxError as error:
        with pytest.raises(BadInput, match=f"line {error.lineno}: "):
            compile_template(source)
        return
    template = compile_template(source)
    if template.static:
        assert template.render(variables) == expected.render(variables)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_any_words_of_the_language_compile_or_are_bad_input(source: str) -> None:
    with suppress(BadInput, Failed):
        template = compile_template(source)
        if template.static:
            template.render({"x": ["a"], "y": {"a": 1}})


def test_a_syntax_error_says_the_line() -> None:
    with pytest.raises(BadInput) as caught:
        compile_template("fine\n{{ a }}\n{% if %}")
    assert str(caught.value) == (
        "line 3: the Jinja2 template cannot be read: Expected an expression, got 'end of statement "
        "block'"
    )
    assert caught.value.next_step == "Correct the template on that line."


@pytest.mark.parametrize("source", ["a\n{{ x | nosuch }}", "a\n{% set y = x | nosuch %}"])
def test_an_unknown_filter_is_found_before_any_run(source: str) -> None:
    with pytest.raises(BadInput, match=r"line 2: .*No filter named 'nosuch'"):
        compile_template(source)


@pytest.mark.parametrize(
    "source", ["{{ " + "(" * 900 + ")" * 900 + " }}", "{{ x" + ".a" * 3000 + " }}"]
)
def test_a_template_nested_too_deeply_is_bad_input(source: str) -> None:
    with pytest.raises(BadInput, match="nested too deeply"):
        compile_template(source)


def test_a_value_that_the_template_cannot_use_is_named_with_the_line() -> None:
    template = compile_template("one\ntwo {{ data.a.b }}")
    with pytest.raises(Failed) as caught:
        template.render({"data": {}})
    assert str(caught.value) == (
        "line 2: the Jinja2 template could not be rendered: 'dict object' has no attribute 'a'"
    )
    with pytest.raises(Failed, match=r"line 2: .*4300 digits"):
        compile_template("\n{{ x }}").render({"x": 10**5000})


@pytest.mark.parametrize("source", ["{% for x in a %}{{ b }}{% endfor %}", "{{ b }}" * 1000])
def test_an_output_beyond_the_limit_is_an_error_that_names_the_setting(source: str) -> None:
    template = compile_template(source)
    inputs = {"a": list(range(1000)), "b": "x" * 1000}
    assert len(template.render(inputs)) == 1_000_000
    with pytest.raises(Failed, match="more than 999999 characters") as caught:
        template.render(inputs, limit=999_999)
    assert "`sandbox.output_mb`" in caught.value.next_step


def test_compiling_never_evaluates_what_is_constant() -> None:
    for source in ("{{ 'a' * 10**12 }}", "{{ 9 ** 9 ** 9 }}", "{{ 'a' | center(10**12) }}"):
        assert not compile_template(source).static


def test_private_attributes_are_out_of_reach() -> None:
    template = compile_template("{{ text.__class__.__mro__ }}")
    with pytest.raises(Failed, match="unsafe"):
        template.render(VALUES)


def test_plain_templates_do_not_load_jinja2() -> None:
    code = (
        "import sys; from millstream.values.templates import compile_template as c;"
        "print(c('Dear {{ name }}').render({'name': 'you'}), 'jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Dear you False\n"


def templates_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "template-transform" and isinstance(value.get("template"), str):
            yield value["template"]
        for inner in value.values():
            yield from templates_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from templates_of(inner)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of public exports is not here")
def test_every_template_of_the_corpus_is_static_and_equal() -> None:
    seen: set[str] = set()
    for path in sorted(CORPUS.glob("*.yml")):
        try:
            seen.update(templates_of(yaml.load(path.read_bytes(), yaml.CSafeLoader)))
        except yaml.YAMLError:
            continue
    assert len(seen) > 30
    for source in seen:
        template = compile_template(source)
        assert template.static, source
        row = {"name": "n", "title": "t", "content": "c", "url": "u"}
        inputs: dict[str, Any] = {name: [row, row] for name in template.names}
        try:
            expected = jinja2.Template(source).render(inputs)
        except Exception:
            with pytest.raises(Failed):
                template.render(inputs)
        else:
            assert template.render(inputs) == expected
