"""The HTML report: whole, harmless, readable without its charts, and right in a real browser."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream.base import BadInput, Failed, set_language
from millstream.lab.report import html
from millstream.lab.report.axis import MOST, linear_ticks, log_ticks, ruler
from millstream.lab.report.document import (
    Axis,
    Bar,
    Bars,
    Column,
    Plot,
    Point,
    Report,
    Section,
    Series,
    Table,
)
from millstream.lab.report.figures import axis_figures, cell, figure
from millstream.lab.report.ink import breadth, cut, ink

EVIL = "</text><script>document.title='owned'</script><img src=x onerror=alert(1)>&\"'\x00\u202e"
SVG = "{http://www.w3.org/2000/svg}"
XHTML = "{http://www.w3.org/1999/xhtml}"


def bars(name: str = "Q8_0", scale: float = 1.0) -> Bars:
    parts = ("weights", "cache")
    some = (Bar(name, (4.3e9 * scale, 1.1e9 * scale), "fits"), Bar("F16", (14e9 * scale, 1.1e9)))
    return Bars("Memory", parts, some, "bytes", (("free", 11e9), ("rule", 9e15)))


def plot(name: str = "Q8_0", scale: str = "log") -> Plot:
    points = tuple(Point(10.0**n, 3.0 / (n + 1), f"{name}{n}", 0.1) for n in range(4))
    bound = (Point(1, 5), Point(1000, 5))
    series = (Series(name, points, "points"), Series("bound", bound, faint=True))
    return Plot("Speed", Axis("size", "bytes", scale), Axis("speed", "tokens/s"), series)  # type: ignore[arg-type]


def table(name: str = "Q8_0") -> Table:
    columns = (Column("type"), Column("size", "bytes"), Column("KLD", "nats", strong=True))
    columns += (Column("same", "percent"), Column("first", "seconds"), Column("why"))
    rows = ((name, 4_700_000_000, 0.0061, 0.958, 0.35, "the default"),)
    return Table(columns, (*rows, ("Q2_K", None, 0.5, 0.61, 12.3, None)), "Types", marked=(0,))


def report(name: str = "Q8_0") -> Report:
    cdf = Plot(
        "Latency",
        Axis("time", "seconds", "log"),
        Axis("share", "percent"),
        (Series(name, tuple(Point(n / 100, n / 200) for n in range(1, 201)), "steps"),),
    )
    sections = (
        Section("Memory", (f"About {name}.", bars(name))),
        Section("Loss", (table(name), plot(name))),
        Section("Speed", (cdf, Plot("Empty", Axis("x"), Axis("y"), ()))),
    )
    return Report(f"Report of {name}", (f"{name} is small.",), (("model", name),), sections)


def parsed(text: str) -> ET.Element:
    assert text.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(text.split("\n", 1)[1])


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


# ----------------------------------------------------------------------------------------- the page


def test_a_page_has_its_parts_in_order() -> None:
    page = parsed(html.render(report()))
    assert page.get("lang") == "en"
    assert [words(each) for each in page.iter(f"{XHTML}h1")] == ["Report of Q8_0"]
    assert [words(each) for each in page.iter(f"{XHTML}h2")] == ["Memory", "Loss", "Speed"]
    text = words(page.find(f"{XHTML}body") or page)
    assert text.index("Q8_0 is small.") < text.index("Memory") < text.index("Types")
    targets = {each.get("href") for each in page.iter(f"{XHTML}a")}
    assert targets == {f"#{each.get('id')}" for each in page.iter(f"{XHTML}section")}


def test_tables_say_what_their_cells_are() -> None:
    page = parsed(html.render(report()))
    types = next(t for t in page.iter(f"{XHTML}table") if "Types" in words(t))
    rows = [[words(cell) for cell in row] for row in types.iter(f"{XHTML}tr")]
    assert rows[0] == ["type", "size", "KLD nats", "same", "first", "why"]
    assert rows[1] == ["Q8_0", "4.7 GB", "0.00610", "95.8 %", "350 ms", "the default"]
    assert rows[2] == ["Q2_K", "–", "0.500", "61.0 %", "12.3 s", "–"]
    scopes = [cell.get("scope") for cell in types.iter(f"{XHTML}th")]
    assert scopes == ["col"] * 6 + ["row"] * 2
    assert [row.get("class") for row in types.iter(f"{XHTML}tr")] == [None, "marked", None]


def test_every_chart_says_in_words_what_it_shows() -> None:
    page = parsed(html.render(report()))
    charts = [svg for svg in page.iter(f"{SVG}svg") if svg.get("role") == "img"]
    assert len(charts) == 2 * 3  # wide and narrow
    abouts = [svg.get("aria-label", "") for svg in charts]
    assert "Q8_0: 5.4 GB · fits" in abouts[0]
    assert "free: 11.0 GB" in abouts[0]
    assert "3.00" in abouts[2] or "3 tokens/s" in abouts[2]
    figures = list(page.iter(f"{XHTML}figure"))
    assert "There is nothing to draw here." in words(figures[-1])
    for each in figures[:-1]:
        assert each.find(f"{XHTML}details/{XHTML}div/{XHTML}table") is not None
    assert "4.3 GB" in words(figures[0])
    assert "40 of 200 points" in words(figures[2])


def test_a_page_asks_nothing_of_a_network() -> None:
    text = html.render(report("https://example.org/x.js"))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)', text)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1]
    assert "url(" not in text
    assert "@import" not in text
    for element in parsed(text).iter():
        assert element.tag.split("}")[1] not in {"script", "link", "img", "iframe", "use", "image"}
        assert not {"src", "srcset", "style"} & set(element.keys())
        assert element.get("href", "#").startswith("#")


class Tags(HTMLParser):
    """What a browser's way of reading sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def seen(text: str) -> tuple[set[str], set[str]]:
    tags = Tags()
    tags.feed(text)
    return tags.tags, tags.attributes


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from([EVIL, "]]>", "<!--", "</style><style>*{display:none}", "\ud800", "&#60;"]),
        st.text(st.sampled_from("<>&\"'/=!-[]{}\x00\x1b\u202e\ud83d\n"), max_size=40),
    )
)
def test_no_name_is_more_than_a_name(name: str) -> None:
    plain = html.render(report("Q8_0"))
    text = html.render(report(name))
    text.encode()
    assert seen(text) == seen(plain)
    page = parsed(text)
    assert [e.tag for e in page.iter() if e.tag.endswith("}h1")] == [f"{XHTML}h1"]
    assert len(list(page.iter(f"{XHTML}tr"))) == len(list(parsed(plain).iter(f"{XHTML}tr")))


def test_a_hostile_name_stays_readable() -> None:
    heading = next(parsed(html.render(report(EVIL))).iter(f"{XHTML}h1")).text or ""
    assert "</text><script>document.title='owned'</script>" in heading
    assert "\u202e" not in heading


def test_chinese() -> None:
    set_language("zh")
    page = parsed(html.render(report()))
    assert page.get("lang") == "zh-Hans"
    text = words(page)
    assert "图表数据" in text
    assert "没有可绘制的数据。" in text
    assert figure(12.3, "tokens/s") == "12.3 token/秒"
    assert figure(725, "seconds") == "12 分 5 秒"


numbers = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf, 1e-308, 1e300, 5e-324, -0.0]),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=6), st.booleans(), st.booleans())
def test_any_numbers_are_drawn_or_left_out(
    values: list[tuple[float, float, float]], log_x: bool, log_y: bool
) -> None:
    points = tuple(Point(x, y, "a", spread) for x, y, spread in values)
    chart = Plot(
        "t",
        Axis("x", "bytes", "log" if log_x else "linear"),
        Axis("y", "seconds", "log" if log_y else "linear"),
        tuple(Series(form, points, form) for form in ("points", "line", "steps")),
    )
    row = tuple(Bar("b", (x, y)) for x, y, _ in values)
    stack = Bars("t", ("p", "q"), row, "percent", tuple(("l", z) for _, _, z in values))
    made = Report("t", (), (), (Section("s", (chart, stack)),))
    text = html.render(made)
    parsed(text)
    for place in re.findall(r'(?:[xy]|cx|cy|d|width|height)="([^"]*)"', text):
        assert "nan" not in place
        assert "inf" not in place


# ------------------------------------------------------------------------------------------ charts


def test_parts_of_a_bar_have_their_share_of_its_length() -> None:
    page = parsed(html.render(Report("t", (), (), (Section("s", (bars(),)),))))
    svg = next(s for s in page.iter(f"{SVG}svg") if s.get("class") == "w")
    rects = [r for r in svg.iter(f"{SVG}rect") if (r.get("class") or "").startswith("b ")]
    lengths = [float(r.get("width", 0)) + 1 for r in rects]
    assert lengths[0] / lengths[1] == pytest.approx(4.3 / 1.1, rel=0.01)
    assert lengths[2] / lengths[0] == pytest.approx(14 / 4.3, rel=0.01)
    assert "rule: 9.0 PB, beyond the right edge →" in words(svg)


def test_points_are_where_their_numbers_say() -> None:
    page = parsed(html.render(Report("t", (), (), (Section("s", (plot(),)),))))
    svg = next(s for s in page.iter(f"{SVG}svg") if s.get("class") == "w")
    circles = list(svg.iter(f"{SVG}circle"))
    xs = [float(c.get("cx", 0)) for c in circles]
    steps = [b - a for a, b in pairwise(xs)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)  # decades are equally long
    texts = [words(t) for t in svg.iter(f"{SVG}text")]
    assert {"1 B", "10 B", "100 B", "1 kB"} <= set(texts)
    assert {"Q8_00", "Q8_01", "Q8_02", "Q8_03"} <= set(texts)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.floats(1, 1e6), st.floats(1, 100), st.text("abcMW中文_", min_size=1, max_size=12)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_labels_lie_on_nothing(points: list[tuple[float, float, str]]) -> None:
    some = tuple(Point(x, y, label) for x, y, label in points)
    chart = Plot("t", Axis("x"), Axis("y"), (Series("s", some, "points"),))
    page = parsed(html.render(Report("t", (), (), (Section("s", (chart,)),))))
    for svg in page.iter(f"{SVG}svg"):
        labels = [t for t in svg.iter(f"{SVG}text") if t.get("class") == "p"]
        boxes = [
            (x, y - 9, x + breadth(t.text or "", 11.5), y + 3)
            for t in labels
            for x, y in [(float(t.get("x", 0)), float(t.get("y", 0)))]
        ]
        dots = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in svg.iter(f"{SVG}circle")]
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[:number]:
                apart = right <= other[0] + 0.2 or other[2] <= left + 0.2
                assert apart or bottom <= other[1] + 0.2 or other[3] <= top + 0.2
            for x, y in dots:
                assert not (left < x < right and top < y < bottom)


def test_in_a_crowd_only_names_that_are_clear_are_written() -> None:
    """A name between others' points would be taken for theirs."""
    crowd = tuple(Point(1, 100 + 4 * n, f"a name of point {n}") for n in range(9))
    lonely = Point(2, 180, "lonely")
    series = Series("s", (*crowd, lonely, Point(3, 0)), "points")
    chart = Plot("t", Axis("x"), Axis("y"), (series,))
    page = parsed(html.render(Report("t", (), (), (Section("s", (chart,)),))))
    svg = next(s for s in page.iter(f"{SVG}svg") if s.get("class") == "w")
    said = {t.text for t in svg.iter(f"{SVG}text") if t.get("class") == "p"}
    assert said == {"a name of point 0", "a name of point 8", "lonely"}


def test_a_spread_goes_below_zero_only_where_the_quantity_can() -> None:
    line = Series("s", (Point(1, 40.0, spread=60.0), Point(2, 100.0)))
    for unit, least in (("tokens/s", "0"), ("", "−25")):
        chart = Plot("t", Axis("x"), Axis("y", unit), (line,))
        page = parsed(html.render(Report("t", (), (), (Section("s", (chart,)),))))
        svg = next(s for s in page.iter(f"{SVG}svg") if s.get("class") == "w")
        ticks = [t.text for t in svg.iter(f"{SVG}text") if t.get("text-anchor") == "end"]
        assert ticks[0] == least


# -------------------------------------------------------------------------------------------- axes

finite = st.floats(-1e12, 1e12, allow_nan=False).map(lambda v: 0.0 if abs(v) < 1e-12 else v)


@given(finite, finite, st.integers(1, 12))
def test_ticks_cover_the_range_and_are_few(one: float, other: float, wanted: int) -> None:
    low, high = min(one, other), max(one, other)
    ticks = linear_ticks(low, high, wanted)
    crumb = 1e-6 * max(abs(low), abs(high))
    assert ticks[0] <= low + crumb
    assert ticks[-1] >= high - crumb
    assert all(a < b for a, b in pairwise(ticks))
    assert 2 <= len(ticks) <= MOST
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) - min(steps) <= 1e-6 * max(map(abs, ticks))


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 12))
def test_ticks_of_counts_are_whole(one: int, other: int, wanted: int) -> None:
    low, high = float(min(one, other)), float(max(one, other))
    ticks = linear_ticks(low, high, wanted, whole=True)
    assert all(tick == round(tick) for tick in ticks)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= MOST
    assert linear_ticks(1, 2, whole=True) == (1, 2)


@given(st.floats(1e-12, 1e15), st.floats(1, 1e12))
def test_ticks_of_powers_cover_the_range_and_are_few(low: float, times: float) -> None:
    high = low * times
    ticks = log_ticks(low, high)
    assert 0 < ticks[0] <= low * (1 + 1e-9)
    assert ticks[-1] >= high * (1 - 1e-9)
    assert all(a < b for a, b in pairwise(ticks))
    assert 2 <= len(ticks) <= MOST


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=9), st.sampled_from(["linear", "log"]))
def test_values_stay_within_their_axis_and_in_their_order(values: list[float], scale: Any) -> None:
    on = ruler(values, scale, 50, 750)
    places = [on.at(value) for value in sorted(values)]
    assert all(50 - 1e-6 <= place <= 750 + 1e-6 for place in places)
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("values", "unit", "texts", "word"),
    [
        ([0, 5e7, 1e8, 1.5e8], "bytes", ["0", "50", "100", "150"], "MB"),
        ([0, 0.25, 0.5], "seconds", ["0", "250", "500"], "ms"),
        ([0, 0.2, 0.4], "percent", ["0", "20", "40"], "%"),
        ([-2.5, 0, 2.5], "", ["−2.5", "0.0", "2.5"], ""),
        ([0, 10000], "count", ["0", "10,000"], ""),
    ],
)
def test_ticks_of_an_axis_have_one_unit(
    values: list[float], unit: Any, texts: list[str], word: str
) -> None:
    assert axis_figures(values, unit) == (texts, word)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4_700_000_000, "bytes", "4.7 GB"),
        (271_000_000, "bytes", "271 MB"),
        (999_999_999, "bytes", "1.0 GB"),
        (0, "bytes", "0 B"),
        (12.34, "tokens/s", "12.3 tokens/s"),
        (0.35, "seconds", "350 ms"),
        (0.0875, "seconds", "87.5 ms"),
        (1.0, "seconds", "1.00 s"),
        (0.9999, "seconds", "1.00 s"),
        (8.5e-7, "seconds", "850 ns"),
        (725, "seconds", "12 min 5 s"),
        (7260, "seconds", "2 h 1 min"),
        (0.958, "percent", "95.8 %"),
        (1, "percent", "100 %"),
        (0.0006, "percent", "0.060 %"),
        (-0.0312, "percent", "−3.1 %"),
        (0.0061, "nats", "0.00610 nats"),
        (3.1e10, "flop/s", "31.0 GFLOP/s"),
        (2.5e-7, "", "2.50 × 10⁻⁷"),
        (1234567, "count", "1,234,567"),
        (math.nan, "bytes", "–"),
        (math.inf, "seconds", "–"),
    ],
)
def test_figures(value: float, unit: Any, text: str) -> None:
    assert figure(value, unit) == text


@given(numbers, st.sampled_from(["bytes", "seconds", "tokens/s", "percent", "nats", "flop/s", ""]))
def test_every_number_has_a_text(value: float, unit: Any) -> None:
    assert cell(value, unit)
    assert len(figure(value, unit)) < 40 or abs(value) > 1e15


@given(st.text(max_size=60), st.floats(20, 300))
def test_a_cut_text_fits(text: str, room: float) -> None:
    assert breadth(cut(text, room)) <= room or cut(text, room) == "…"
    ET.fromstring(f"<t>{ink(text)}</t>")


# ------------------------------------------------------------------------------------------ writing


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    html.write(report(), file)
    assert file.read_text() == html.render(report())
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize("name", ["nowhere/r.html", "folder", "a\x00b", "x" * 300])
def test_a_place_where_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Failed) as caught:
        html.write(report(), tmp_path / name)
    assert "cannot be written" in caught.value.message
    assert "--report" in caught.value.next_step
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_bad_place_is_known_beforehand(tmp_path: Path) -> None:
    html.check(tmp_path / "r.html")
    for path in (tmp_path / "nowhere" / "r.html", tmp_path):
        with pytest.raises(BadInput, match="cannot be written"):
            html.check(path)


def test_only_a_report_is_replaced_by_a_report(tmp_path: Path) -> None:
    """A model, or an app, may have been named by mistake."""
    mine, empty, model = (tmp_path / name for name in ("r.html", "empty", "m.gguf"))
    html.write(report(), mine)
    empty.touch()
    model.write_bytes(b"GGUF\x03" + bytes(5000))
    for path in (mine, empty):
        html.check(path)
        html.write(report("Anew"), path)
        assert "Anew" in path.read_text()
    for act in (html.check, lambda path: html.write(report(), path)):
        with pytest.raises(BadInput, match="is no report of Millstream"):
            act(model)
    assert model.read_bytes() == b"GGUF\x03" + bytes(5000)


# ---------------------------------------------------------------------------------- a real browser


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
@pytest.mark.slow
@pytest.mark.parametrize("width", [1100, 400])
def test_a_browser_shows_it(tmp_path: Path, width: int) -> None:
    """Nothing of a hostile name runs, nothing is wider than the window, one of the two widths of
    each chart shows. A frame of that width around the report measures it: small windows of a
    browser without a screen are wider than asked."""
    long = "a-model-with-a-name-that-is-far-longer-than-any-telephone-is-wide-" * 3
    html.write(report(f"{long}{EVIL}"), tmp_path / "r.html")
    (tmp_path / "frame.html").write_text(
        f"""<iframe id="f" src="r.html" width="{width}" height="800"></iframe><pre id="o"></pre>
        <script>document.getElementById("f").onload = (event) => {{
          const page = event.target.contentDocument, root = page.documentElement
          const shown = [...page.querySelectorAll("figure svg[role=img]")]
            .filter((svg) => svg.getBoundingClientRect().width > 0)
          const texts = shown.flatMap((svg) => [...svg.querySelectorAll("text")])
          document.getElementById("o").textContent = JSON.stringify({{
            title: page.title, wide: root.scrollWidth, window: root.clientWidth,
            kinds: [...new Set(shown.map((svg) => svg.classList[0]))], charts: shown.length,
            outside: texts.filter((text) => text.getBoundingClientRect().right >
              root.clientWidth + 1 || text.getBoundingClientRect().left < -1)
              .map((text) => text.textContent),
            bare: page.querySelectorAll("script, img").length}})
        }}</script>"""
    )
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'b'}",
         "--enable-logging=stderr", "--virtual-time-budget=4000", "--window-size=1200,900",
         "--dump-dom", (tmp_path / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    found = re.search(r'<pre id="o">(\{.*?\})</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    said = json.loads(unescape(found[1]))
    assert said["title"].startswith("Report of a-model")
    assert width - 20 <= said["window"] <= width  # a bar to scroll by may take some
    assert said["wide"] <= said["window"]
    assert said["kinds"] == ["w" if width > 768 else "n"]
    assert said["charts"] == 3
    assert said["outside"] == []
    assert said["bare"] == 0
    assert "CONSOLE" not in done.stderr
