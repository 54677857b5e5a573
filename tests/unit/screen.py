# SPDX-License-Identifier: Apache-2.0
"""A terminal for tests: a program on a pty, and what would stand on its screen. Knows what ncurses sends to xterm,
linux and vt100, and fails on what it does not know."""
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

SEQUENCE = re.compile(rb"\x1b(\[(?P<private>[?>]?)(?P<arguments>[0-9;]*)(?P<final>[@-~])|[()][A-Z0-9]|[=>78]|(?P<back>M))")


class Screen:
    """Rows of characters; one column each, which is all that is asked of it."""

    def __init__(self, rows, columns):
        self.resize(rows, columns)
        self.raw = b""      # all that came
        self.rest = b""     # half a sequence or character
        self.colours = 0    # sequences that set one
        self.alternate = 0  # switched to the other screen and not back

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.top, self.bottom = 0, rows  # what scrolls
        self.last = " "

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def feed(self, data):
        self.raw += data
        data = self.rest + data
        while data:
            if data[0] == 0x1b:
                found = SEQUENCE.match(data)
                if not found:
                    assert len(data) < 32, f"unknown sequence {data[:32]!r}"
                    break
                if found.group("back") and self.row == self.top:
                    self._scroll(self.top, -1)
                elif found.group("back"):
                    self._move(self.row - 1, self.column)
                elif found.group("final"):
                    self._sequence(found)
                data = data[found.end():]
                continue
            length = 1 if data[0] < 0x80 else 2 if data[0] < 0xe0 else 3 if data[0] < 0xf0 else 4
            if len(data) < length:
                break
            self._character(data[:length].decode())
            data = data[length:]
        self.rest = data

    def _character(self, c):
        if c == "\r":
            self.column = 0
        elif c == "\n":
            if self.row + 1 == self.bottom:
                self._scroll(self.top, 1)
            else:
                self._move(self.row + 1, self.column)
        elif c == "\b":
            self._move(self.row, self.column - 1)
        elif c == "\t":
            self._move(self.row, self.column // 8 * 8 + 8)
        elif c >= " ":
            if self.column >= self.columns:
                self._move(self.row + 1, 0)
            self.cells[self.row][self.column] = self.last = c
            self.column += 1
        else:
            assert c in "\a\x0e\x0f\0", f"control character {c!r} on the terminal"

    def _move(self, row, column):
        self.row = max(0, min(row, self.rows - 1))
        self.column = max(0, min(column, self.columns - 1))

    def _scroll(self, top, count):
        """Rows from top to the lower margin go up (count < 0: down)."""
        part = self.cells[top:self.bottom]
        blank = [[" "] * self.columns for _ in range(min(abs(count), len(part)))]
        self.cells[top:self.bottom] = part[len(blank):] + blank if count > 0 else blank + part[:len(part) - len(blank)]

    def _sequence(self, found):
        arguments = [int(a) if a else 0 for a in found.group("arguments").split(b";")]
        first, final = arguments[0], found.group("final").decode()
        count = max(1, first)
        line = self.cells[self.row]
        if found.group("private"):
            if first in (47, 1047, 1049):
                self.alternate += 1 if final == "h" else -1
        elif final == "H":
            self._move(first - 1, (arguments[1] if len(arguments) > 1 else 1) - 1)
        elif final in "ABCD":
            rows, columns = {"A": (-count, 0), "B": (count, 0), "C": (0, count), "D": (0, -count)}[final]
            self._move(self.row + rows, self.column + columns)
        elif final == "d":
            self._move(first - 1, self.column)
        elif final == "G":
            self._move(self.row, first - 1)
        elif final == "K":
            start, end = ((self.column, self.columns), (0, self.column + 1), (0, self.columns))[first]
            line[start:end] = [" "] * (end - start)
        elif final == "J":
            if first == 0:
                line[self.column:] = [" "] * (self.columns - self.column)
            for row in range(self.row + 1 if first == 0 else 0, self.rows):
                self.cells[row] = [" "] * self.columns
        elif final == "X":
            line[self.column:self.column + count] = [" "] * min(count, self.columns - self.column)
        elif final == "P":
            del line[self.column:self.column + count]
            line += [" "] * (self.columns - len(line))
        elif final == "@":
            line[self.column:self.column] = [" "] * count
            del line[self.columns:]
        elif final in "ST":
            self._scroll(self.top, count if final == "S" else -count)
        elif final in "LM":
            self._scroll(self.row, count if final == "M" else -count)
        elif final == "r":
            self.top, self.bottom = max(0, first - 1), (arguments[1] if len(arguments) > 1 and arguments[1] else self.rows)
            self._move(0, 0)
        elif final == "b":
            for _ in range(count):
                self._character(self.last)
        elif final == "m":
            self.colours += any(30 <= a <= 37 or 40 <= a <= 47 for a in arguments)
        else:
            assert final in "lhtn", f"unknown sequence {found.group(0)!r}"


class Terminal:
    """argv on a terminal of this size."""

    def __init__(self, argv, env, rows=24, columns=80, deadline_sec=60):
        self.screen = Screen(rows, columns)
        self.deadline_sec = deadline_sec
        self.master, slave = os.openpty()
        self.slave = slave  # kept, so that what the program leaves behind can be read
        self._set_size(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(argv, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def _set_size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self._set_size(rows, columns)  # the kernel tells the program by SIGWINCH

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self):
        if select.select([self.master], [], [], 0.05)[0]:
            try:
                self.screen.feed(os.read(self.master, 65536))
            except OSError:
                return False
        return True

    def wait_for(self, condition, what):
        end = time.monotonic() + self.deadline_sec
        while not condition(self.screen.text()):
            self.read()
            assert time.monotonic() < end, f"{what}; on the screen is:\n{self.screen.text()}"
            assert self.process.poll() is None or condition(self.screen.text()), f"{what}: it ended\n{self.screen.text()}"

    def wait_words(self, *words):
        self.wait_for(lambda text: all(word in text for word in words), f"no {words}")

    def wait_end(self):
        end = time.monotonic() + self.deadline_sec
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < end, f"it does not end; on the screen is:\n{self.screen.text()}"
        while select.select([self.master], [], [], 0)[0]:
            if not self.read():
                break
        return self.process.returncode

    def is_as_before(self):
        """Echo and line editing are back, and so is the screen."""
        return termios.tcgetattr(self.slave) == self.before and self.screen.alternate == 0

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)
