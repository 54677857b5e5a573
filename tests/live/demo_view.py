# SPDX-License-Identifier: Apache-2.0
"""What the demo shows while it runs: on a terminal a table with bars, redrawn in place; elsewhere a plain line now
and then."""
import os
import shutil
import sys
import threading
import time

FRAME_SEC = 0.5
LINE_SEC = 3
BAR_WIDTH = 24
ROLE_WIDTH = 29
NEWS_LINES = 6
MIB = 1 << 20

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def is_terminal(stream=sys.stdout):
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Paint:
    """Colours on terminals that want them (NO_COLOR: https://no-color.org)."""

    def __init__(self, stream=sys.stdout):
        self.on = is_terminal(stream) and not os.environ.get("NO_COLOR")

    def __call__(self, style, text):
        return f"\033[{STYLES[style]}m{text}\033[0m" if self.on and style else text


def bar(used, assigned, maximum, width=BAR_WIDTH):
    """'####====....': used, assigned beyond it, what it could have. All MiB."""
    def cells(value):
        return min(width, max(0, round(value * width / maximum))) if maximum else 0
    a = cells(assigned)
    u = min(a, cells(used))
    return "#" * u + "=" * (a - u) + "." * (width - a)


class View(threading.Thread):
    """Draws truth (see truth.py) in the background; news() tells what the plot does."""

    def __init__(self, roles):
        super().__init__(daemon=True)
        self.roles = roles
        self.truth = None
        self.stream = sys.stdout
        self.live = is_terminal(self.stream)
        self.paint = Paint(self.stream)
        self.drawn = 0
        self.lines = []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.begin = time.monotonic()

    def news(self, text):
        with self.lock:
            line = f"{time.monotonic() - self.begin:5.0f} s  {text}"
            self.lines.append(line)
            if not self.live:
                print(line, file=self.stream, flush=True)

    def run(self):
        while not self.ending.wait(FRAME_SEC if self.live else LINE_SEC):
            self.draw()

    def stop(self):
        self.ending.set()
        if self.is_alive():
            self.join(10)
        if self.live:
            self.draw()

    def draw(self):
        truth = self.truth
        sample = truth.samples[-1] if truth and truth.samples else None
        with self.lock:
            if self.live:
                self._redraw(self._frame(truth, sample))
            elif sample:
                print(self._line(truth, sample), file=self.stream, flush=True)

    def _line(self, truth, sample):
        parts = [f"{name} {g['assigned']}" for name, g in sample.guests.items()]
        return (f"{time.monotonic() - self.begin:5.0f} s  MiB: {', '.join(parts)}; all {sample.held_mib()}"
                f" of {truth.capacity_mib(sample)}")

    def _frame(self, truth, sample):
        lines = []
        if sample:
            capacity, held = truth.capacity_mib(sample), sample.held_mib()
            head = f"ballast demo: guests hold {held} of {capacity} MiB"
            lines.append((head, "bold" if held <= capacity else "yellow"))
            lines.append((f"{'guest':<9}{'what it is':<{ROLE_WIDTH}}{'#used =assigned .maximum':<{BAR_WIDTH + 2}}"
                          f"{'MiB':>5}{'sees':>5}{'free':>5}  remarks", "dim"))
            said = {g["name"]: g for g in (sample.status or {}).get("guests", [])}
            for name, g in sample.guests.items():
                lines.append(self._row(name, g, said.get(name, {}), truth.views.get(name)))
        latest = self.lines[-NEWS_LINES:][::-1]
        return lines + [("", None)] + [(line, None if i else "cyan") for i, line in enumerate(latest)]

    def _row(self, name, g, said, view):
        available = view["MemAvailable"] // 1024 if view else 0
        used = max(0, g["assigned"] - available) if view else 0
        flags = said.get("flags", [])
        remark = "reboots" if g["booting"] else ", ".join(flags)
        if said.get("order") in ("grow", "shrink"):
            remark = f"{said['order']} to {(said.get('order_bytes') or 0) // MIB}" + (f"  {remark}" if remark else "")
        text = (f"{name:<9}{self.roles.get(name, ''):<{ROLE_WIDTH}}"
                f"{bar(used, g['assigned'], g['maximum']):<{BAR_WIDTH + 2}}{g['assigned']:>5}"
                f"{view['MemTotal'] // 1024 if view else '-':>5}{available if view else '-':>5}  {remark}")
        bad = g["booting"] or {"breach", "stuck", "silent", "stalled"} & set(flags)
        return text, "yellow" if bad else "green" if said.get("order") == "grow" else None

    def _redraw(self, lines):
        width = shutil.get_terminal_size().columns - 1
        out = f"\033[{self.drawn}A" if self.drawn else ""
        for text, style in lines:
            out += "\r" + self.paint(style, text[:width]) + "\033[K\n"
        out += "\033[J"
        self.drawn = len(lines)
        self.stream.write(out)
        self.stream.flush()
