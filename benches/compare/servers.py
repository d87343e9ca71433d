"""The servers that are compared: each runs in a directory of its own, on a loopback port of its own."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server; use it with `with`."""

    name = ""
    template = ""

    def __init__(self, work):
        self.dir = pathlib.Path(work) / self.name
        self.port = free_port()
        self.child = None
        self.pid = None

    def command(self, config):
        """The command line that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self):
        return {}

    def version(self):
        raise NotImplementedError

    def find_pid(self):
        """The process that does the work: not always the one that was started."""
        return self.child.pid

    def wipe(self):
        """Begins anew, without accounts."""
        shutil.rmtree(self.dir, ignore_errors=True)
        (self.dir / "data").mkdir(parents=True)
        make_certificate(self.dir)

    def __enter__(self):
        config = self.dir / self.template
        text = (HERE / "servers" / self.template).read_text()
        config.write_text(text.replace("@DIR@", str(self.dir)).replace("@PORT@", str(self.port)))
        self.log = open(self.dir / "out.log", "wb")
        self.child = subprocess.Popen(
            self.command(config),
            cwd=self.dir,
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.wait()
            self.pid = self.find_pid()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{self.name} does not start; see {self.dir / 'out.log'}") from None
                time.sleep(0.1)

    def __exit__(self, *_):
        try:
            os.killpg(self.child.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.log.close()


class Chat(Server):
    name = "chat"
    template = "chat.toml"

    def __init__(self, work, binary, workers=None, name="chat"):
        self.name = name
        self.binary = binary
        self.workers = workers
        super().__init__(work)

    def command(self, config):
        return [str(self.binary), "serve", "--config", str(config)]

    def environment(self):
        return {} if self.workers is None else {"CHAT_NET_WORKERS": str(self.workers)}

    def version(self):
        return run(self.binary, "--version")


class Prosody(Server):
    name = "prosody"
    template = "prosody.cfg.lua"

    def command(self, config):
        return ["prosody", "-F", "--config", str(config)]

    def version(self):
        return "Prosody " + package_version("prosody")


class Ejabberd(Server):
    name = "ejabberd"
    template = "ejabberd.yml"

    def command(self, config):
        # As Debian's ejabberdctl runs it, but without its change to another user and without a node name: nothing here
        # talks to other nodes.
        return [
            "erl", "+K", "true", "+P", "250000", "-noinput", "-smp", "enable",
            "-mnesia", "dir", f'"{self.dir / "data"}"',
            "-ejabberd", "log_rotate_count", "0",
            "-s", "ejabberd",
        ]

    def environment(self):
        return {
            "HOME": str(self.dir),
            "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
            "EJABBERD_CONFIG_PATH": str(self.dir / self.template),
            "EJABBERD_LOG_PATH": str(self.dir / "ejabberd.log"),
            "ERL_CRASH_DUMP": str(self.dir / "crash.dump"),
            # As Debian's ejabberdctl.cfg has it: more connections than the machine's descriptor limit allows.
            "ERL_MAX_PORTS": "65536",
        }

    def version(self):
        return "ejabberd " + package_version("ejabberd")


class Relay(Server):
    """The load tool's own relay: what sockets alone cost."""

    name = "relay"

    def __init__(self, work, binary):
        self.binary = binary
        super().__init__(work)

    def __enter__(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log = open(self.dir / "out.log", "wb")
        self.child = subprocess.Popen(
            [str(self.binary), "relay", "--listen", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        self.pid = self.child.pid
        return self

    def version(self):
        return "relay"


def make_certificate(directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", directory / "server.key", "-out", directory / "server.crt",
         "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    both = (directory / "server.crt").read_text() + (directory / "server.key").read_text()
    (directory / "server.pem").write_text(both)


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}{done.stdout[-2000:]}")
    return done.stdout.strip()


def package_version(name):
    version = run("dpkg-query", "-W", "-f", "${Version}", name)
    return re.sub(r"^\d+:", "", version)
