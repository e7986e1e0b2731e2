"""Templates that only the sandbox may render."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest

from millstream.base import BadInput, Failed

pytestmark = pytest.mark.asyncio(loop_scope="module")

RENDERED = [
    "{% for a in rows %}{% for b in a.items() %}{{ b[0] }}={{ b[1] }};{% endfor %}{% endfor %}",
    "{% set found = [] %}{% for a in rows %}{% set _ = found.append(a.n) %}{% endfor %}{{ found }}",
    "{% for i in range(n) %}{{ loop.index }}{% endfor %}",
    "{% set ns = namespace(sum=0) %}{% for a in rows %}{% set ns.sum = ns.sum + a.n %}"
    "{% endfor %}{{ ns.sum }}",
    "{% macro row(a, b='-') %}<{{ a }}{{ b }}>{% endmacro %}{{ row(1) }}{{ row(2, b=3) }}",
    "{{ '%05d' | format(n) }} {{ 'a' * 3 }} {{ text | center(20) }} {{ rows | batch(2) | list }}",
    "{% filter upper %}{{ text }}{% endfilter %}{{ text.split('-') }}{{ missing }}{{ none }}",
    "a\r\nb\r{{ 1 * 1 }}\n",
    "{{ range(200000) | length }}",
    "{{ '%s' % text }}{{ rows | map(attribute='n') | map('string') | join(',') }}",
]
VALUES: dict[str, Any] = {"rows": [{"n": 1}, {"n": 2}], "n": 3, "text": "ä-b", "none": None}


@pytest.mark.parametrize("template", RENDERED)
async def test_the_text_is_jinja2_s(sandbox: Any, template: str) -> None:
    text = await sandbox.render(template, VALUES)
    assert text == jinja2.Template(template).render(VALUES)


BOMBS = {
    "loops in loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        "time-limit",
    ),
    "doubling": (
        "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}"
        "{% endfor %}{{ ns.s | length }}",
        "memory-limit",
    ),
    "lorem ipsum": ("{{ lipsum(n=1000000) }}", "time-limit memory-limit"),
    "a text times a billion": ("{{ ('a' * 10 ** 9) | length }}", "memory-limit"),
    "a wide format": ("{{ '%1000000000d' | format(1) | length }}", "memory-limit"),
    "a power": ("{{ 9 ** (9 ** 9) }}", "time-limit"),
    "a macro in itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "template-failed"),
    "a long text": ("{{ 'ab' * 3000000 }}", "output-limit"),
    "many lines": ("{% for a in range(10 ** 9) %}{{ a }}\n{% endfor %}", "time-limit memory-limit"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_bombs_are_stopped(sandbox: Any, name: str) -> None:
    template, expected = BOMBS[name]
    sandbox.wait_for(expected)
    error = await sandbox.refusal(template)
    assert error.code.partition(".")[2] in expected.split(), error
    sandbox.wait_for("")
    assert await sandbox.render("{{ a * 2 }}", {"a": 2}) == "4"
    assert await sandbox.children("jinja2") == []


async def test_an_error_has_the_line_of_the_template(sandbox: Any) -> None:
    error = await sandbox.refusal("one\n{% set a = 1 %}\n{{ b.c.d }}", b={})
    assert isinstance(error, Failed)
    assert str(error) == (
        "line 3: the Jinja2 template could not be rendered: 'dict object' has no attribute 'c'"
    )
    error = await sandbox.refusal("one\n{% set a = %}")
    assert isinstance(error, BadInput)
    assert str(error).startswith("line 2: the Jinja2 template cannot be read: Expected an express")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ lipsum.__globals__['os'].environ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ ().__class__ | attr('__base__') }}",
    ],
)
async def test_private_attributes_are_out_of_reach(sandbox: Any, template: str) -> None:
    try:
        text = await sandbox.render(template, {})
    except Failed as error:
        text = error.message
        assert "unsafe" in text
    assert "object at" not in text
    assert "PATH" not in text
