"""Records a run in a terminal as an SVG picture that moves: docs/terminal.svg.

    scripts/record [FILE] -- COMMAND …

The command runs in a pseudo terminal; what a terminal would show is worked out at each moment and
becomes a frame. Pauses longer than a second are cut to one. Where nothing moves (a viewer without
animation, a reader who wants none) the last frame is seen.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from html import escape
from unicodedata import east_asian_width

COLUMNS, ROWS = 92, 30
LINE, LETTER, MARGIN, BAR = 19.0, 8.4, 18.0, 34.0
LONGEST = 1.0  # seconds that nothing may happen
LAST = 4.0  # seconds of the last frame
FRAMES_PER_SECOND = 8.0

TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[=>]|([\r\n])|([^\x1b\r\n]+)")
COLORS = {31: "#f47067", 32: "#57ab5a", 33: "#daaa3f", 34: "#539bf5", 36: "#39c5cf"}

Cell = tuple[str, str]  # letter and style


class Screen:
    """As much of a terminal as our own output needs."""

    def __init__(self) -> None:
        self.lines: list[list[Cell]] = [[]]
        self.row = self.column = 0
        self.style = ""

    def feed(self, text: str) -> None:
        for codes, command, move, letters in TOKEN.findall(text):
            if letters:
                for letter in letters:
                    self.put(letter)
            elif move == "\n":
                self.row += 1
                while len(self.lines) <= self.row:
                    self.lines.append([])
            elif move == "\r":
                self.column = 0
            elif command == "A":
                self.row = max(0, self.row - int(codes or 1))
            elif command == "K":
                del self.lines[self.row][0 if codes == "2" else self.column :]
            elif command == "J":
                del self.lines[self.row][self.column :]
                del self.lines[self.row + 1 :]
            elif command == "m":
                self.paint(codes)

    def put(self, letter: str) -> None:
        wide = east_asian_width(letter) in "WF"
        if self.column + 1 + wide > COLUMNS:
            self.column = 0
            self.row += 1
            while len(self.lines) <= self.row:
                self.lines.append([])
        line = self.lines[self.row]
        while len(line) <= self.column + wide:
            line.append((" ", ""))
        line[self.column] = (letter, self.style)
        if wide:
            line[self.column + 1] = ("", self.style)
        self.column += 1 + wide

    def paint(self, codes: str) -> None:
        for code in map(int, filter(None, codes.split(";"))):
            if code == 0:
                self.style = ""
            elif code == 1:
                self.style += "font-weight:bold;"
            elif code == 2:
                self.style += "opacity:.6;"
            elif code in COLORS:
                self.style += f"fill:{COLORS[code]};"
        if not codes:
            self.style = ""

    def frame(self) -> tuple[tuple[Cell, ...], ...]:
        lines = [tuple(line) for line in self.lines]
        while lines and not any(letter.strip() for letter, _ in lines[-1]):
            lines.pop()
        return tuple(lines[-ROWS:])


Frame = tuple[tuple[Cell, ...], ...]


def record(command: list[str]) -> list[tuple[float, Frame]]:
    """Run a command; the frames and when they came, pauses cut."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "en_US.UTF-8"}
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
    )
    os.close(inner)
    screen, frames = Screen(), [(0.0, ((("", ""),),))]
    clock, last, data = 0.0, time.monotonic(), b""
    while True:
        ready = select.select([outer], [], [], 0.2)[0]
        try:
            piece = os.read(outer, 65536) if ready else b""
        except OSError:
            break
        if not piece:
            if process.poll() is not None:
                break
            continue
        data += piece
        text = data.decode(errors="ignore")
        cut = text.rfind("\x1b")
        if cut > 0 and not TOKEN.match(text[cut:]):
            text = text[:cut]
        screen.feed(text)
        data = data[len(text.encode()) :]
        now = time.monotonic()
        clock += min(now - last, LONGEST)
        last = now
        if screen.frame() != frames[-1][1]:
            if clock - frames[-1][0] < 1 / FRAMES_PER_SECOND and len(frames) > 1:
                frames[-1] = (frames[-1][0], screen.frame())
            else:
                frames.append((clock, screen.frame()))
    process.wait()
    return frames


def draw(frames: list[tuple[float, Frame]], title: str) -> Iterator[str]:
    """The picture: each different line is drawn once and shown by the frames that have it."""
    rows = max(len(frame) for _, frame in frames)
    wide, high = COLUMNS * LETTER + 2 * MARGIN, rows * LINE + BAR + MARGIN
    total = frames[-1][0] + LAST
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" '
        f'width="{wide:.0f}" height="{high:.0f}" role="img">'
    )
    yield f"<title>{escape(title)}</title><style>"
    yield (
        "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
        "'Noto Sans Mono CJK SC',monospace;fill:#d5dbe3;white-space:pre}"
        ".f{visibility:hidden}.f:last-child{visibility:visible}"
        "@media not (prefers-reduced-motion:reduce){"
    )
    yield f".f,.f:last-child{{visibility:hidden;animation:{total:.2f}s step-end infinite}}"
    for number, (start, _) in enumerate(frames):
        end = frames[number + 1][0] if number + 1 < len(frames) else total
        a, b = 100 * start / total, 100 * end / total
        steps = f"0%{{visibility:hidden}}{a:.2f}%{{visibility:visible}}"
        steps += f"{b:.2f}%{{visibility:hidden}}" if b < 100 else ""
        yield f"@keyframes k{number}{{{steps}}}#f{number}{{animation-name:k{number}!important}}"
    yield "}</style>"
    yield f'<rect width="{wide:.0f}" height="{high:.0f}" rx="9" fill="#1c2128"/>'
    for number, color in enumerate(("#f47067", "#daaa3f", "#57ab5a")):
        yield f'<circle cx="{18 + 18 * number}" cy="17" r="5.5" fill="{color}"/>'
    shapes: dict[tuple[Cell, ...], str] = {}
    yield "<defs>"
    for _, frame in frames:
        for line in frame:
            if line and line not in shapes:
                shapes[line] = f"l{len(shapes)}"
                yield f'<text id="{shapes[line]}">{"".join(spans(line))}</text>'
    yield "</defs>"
    yield "<g>"
    for number, (_, frame) in enumerate(frames):
        uses = "".join(
            f'<use href="#{shapes[line]}" x="{MARGIN:.0f}" y="{BAR + LINE * row + 12:.0f}"/>'
            for row, line in enumerate(frame)
            if line
        )
        yield f'<g class="f" id="f{number}">{uses}</g>'
    yield "</g></svg>"


def spans(line: tuple[Cell, ...]) -> Iterator[str]:
    column = 0
    while column < len(line):
        style = line[column][1]
        end = column
        while end < len(line) and line[end][1] == style:
            end += 1
        text = "".join(letter for letter, _ in line[column:end])
        if text.strip():
            look = f' style="{style}"' if style else ""
            length = f' textLength="{(end - column) * LETTER:.1f}"'
            place = f' x="{column * LETTER:.1f}"' if column else ' x="0"'
            yield f"<tspan{place}{length}{look}>{escape(text)}</tspan>"
        column = end


def title(frames: list[tuple[float, Frame]]) -> str:
    """The first line that was seen: a command, without where it lies on the disk."""
    first = next((line for line in frames[-1][1] if line), ())
    return "".join(letter for letter, _ in first).strip(" $\\")


def main(words: list[str]) -> None:
    at = words.index("--")
    file = words[0] if at else "docs/terminal.svg"
    command = words[at + 1 :]
    frames = record(command)
    with open(file, "w", encoding="utf-8") as out:
        out.write("\n".join(draw(frames, title(frames))) + "\n")
    print(f"{file}: {len(frames)} frames, {frames[-1][0]:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
