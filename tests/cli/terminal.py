"""Talks to `apr chat` on a pseudo-terminal: terminal.py APR FOLDER. Run by chat.sh."""
import os
import pty
import select
import signal
import sys
import termios
import time

apr, folder = sys.argv[1:]
PROMPT = b">>> "


class Terminal:
    def __init__(self, *arguments):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", XDG_STATE_HOME=folder + "/state")
            os.execv(apr, [apr, *arguments])

    def read(self, end, wanted):
        """Some more bytes, none at the end of the program."""
        if not select.select([self.fd], [], [], max(0, end - time.time()))[0]:
            os.kill(self.pid, signal.SIGKILL)
            sys.exit("no %s within a minute; seen: %r" % (wanted, self.seen))
        try:
            part = os.read(self.fd, 4096)
        except OSError:
            part = b""
        self.seen += part
        return part

    def expect(self, wanted):
        """Reads until wanted has come, and forgets what came up to its end."""
        end = time.time() + 60
        while wanted not in self.seen:
            if not self.read(end, wanted):
                sys.exit("ended before %r; seen: %r" % (wanted, self.seen))
        before, _, self.seen = self.seen.partition(wanted)
        return before

    def prompt(self):
        """Waits for the prompt. Keys that answer it must reach the editor: a terminal that still
        edits lines itself would make Ctrl-D a zero byte and Ctrl-C a signal."""
        self.expect(PROMPT)
        mode = termios.tcgetattr(self.fd)
        assert not mode[3] & termios.ICANON, "the prompt is there before the editor is"
        assert mode[6][termios.VINTR] == b"\0", "Ctrl-C is a signal while a line is edited"

    def send(self, keys):
        os.write(self.fd, keys)

    def code(self):
        end = time.time() + 60
        while self.read(end, "end"):
            pass
        status = os.waitpid(self.pid, 0)[1]
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def tokens(*arguments):
    import subprocess
    return subprocess.check_output([apr, "tokenize", "demo", *arguments]).decode().split()


# Editing, a line given up with Ctrl-C, an error that does not end it, Ctrl-D.
t = Terminal("chat", "demo", "-v")
t.expect(b"/help")
t.prompt()
t.send(b"Hello\r")
t.expect(b"apr: turn")
t.prompt()
t.send(b"given up\x03")
t.prompt()
t.send(b"/nope\r")
t.expect(b"there is no command /nope")
t.prompt()
t.send(b"one \\\r")
t.expect(b"... ")
t.send(b"two\r")
t.expect(b"apr: turn")
t.prompt()
t.send(b"\x04")
assert t.code() == 0, "exit code after Ctrl-D"

# Ctrl-C stops the answer, not the program. The answer only ends with the context.
endless = [a for i in tokens("<|im_end|><|endoftext|>") for a in ("--logit-bias", i + "=-inf")]
t = Terminal("chat", "demo", "-v", "-n", "0", "-t", "1", "--cpu-level", "scalar", *endless)
t.prompt()
t.send(b"Hello\r")
t.expect(b"\n")
while len(t.seen) < 8:
    t.read(time.time() + 60, "answer")
t.send(b"\x03")
told = t.expect(b"context ")
assert b"finish: cancel" in told, told
t.prompt()
t.send(b"/exit\r")
assert t.code() == 0, "exit code after /exit"
