"""A cluster of two nodes on loopback that share a PostgreSQL of their own, for as long as a measurement takes."""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time

SECRET = "sixteen-bytes-or-more"
USERS = 400


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Postgres:
    """Debian's PostgreSQL on a socket in its folder. It does not sync: nothing that is measured here waits for it."""

    def __init__(self, folder):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        self.binaries = found[-1].parent if found else pathlib.Path(shutil.which("initdb")).parent
        self.folder = folder
        self.port = free_port()

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        self.run("initdb", "-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", self.folder / "data")
        self.prepare()
        self.start()
        return self

    def __exit__(self, *_):
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()

    def prepare(self):
        """What is to be changed before it runs."""

    def options(self):
        return f"-c listen_addresses= -c unix_socket_directories={self.folder} -p {self.port} -c fsync=off"

    def start(self):
        self.run("pg_ctl", "-w", "-D", self.folder / "data", "-o", self.options(), "-l", self.folder / "log", "start")

    def stop(self):
        """As if it had been killed."""
        self.run("pg_ctl", "-m", "immediate", "-D", self.folder / "data", "stop")

    def run(self, program, *arguments):
        # It refuses to be root.
        owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*self.place(), *owner, str(self.binaries / program), *map(str, arguments)]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)

    def place(self):
        """What its commands begin with."""
        return []

    @property
    def url(self):
        return f"postgres://postgres@{str(self.folder).replace('/', '%2F')}:{self.port}/postgres"


class Node:
    """One `chat serve`."""

    def __init__(self, program, folder, settings):
        self.program, self.folder, self.settings = program, folder, settings
        self.process = None
        self.addresses = {}
        # Where the log of its present life begins.
        self.born = 0

    def command(self, *arguments):
        settings = [part for key, value in self.settings.items() for part in ("--set", f"{key}={value}")]
        return [str(self.program), *arguments, *settings]

    def launch(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log", "a") as log:
            self.born = log.tell()
            environment = {"PATH": os.environ["PATH"]}
            self.process = subprocess.Popen(
                self.command("serve"), cwd=self.folder, env=environment, stdout=log, stderr=log
            )

    def __enter__(self):
        self.launch()
        self.wait(lambda line: line.get("message") == "ready")
        for line in self.lines():
            if line.get("message") == "listening":
                self.addresses[line["service"]] = line["address"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def lines(self):
        with open(self.folder / "log") as log:
            log.seek(self.born)
            for line in log.read().splitlines():
                with contextlib.suppress(ValueError):
                    yield json.loads(line)

    def wait(self, wanted):
        begun = time.monotonic()
        while not any(wanted(line) for line in self.lines()):
            if self.process.poll() is not None or time.monotonic() - begun > 60:
                raise SystemExit(f"{self.folder / 'log'}:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)


def settings(url, workers, **more):
    any_port = "127.0.0.1:0"
    return {
        "listen.c2s": any_port, "listen.c2s_tls": "", "listen.web": "", "listen.s2s": "", "listen.admin": "",
        "log.format": "json", "log.level": "info,chat_net::server=warn", "c2s.allow_plaintext": "true", "limits.c2s_rate": "0",
        "net.workers": str(workers), "store.url": url, "drain.grace": "0s", **more,
    }


@contextlib.contextmanager
def pair(program, work, workers):
    """Two nodes that know each other, and a third that is alone; all know the same users."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(Postgres(work / "postgres")).url
        cluster = {"cluster.secret": SECRET, "listen.cluster": "127.0.0.1:0"}
        first = Node(program, work / "a", settings(url, workers, **cluster, **{"node.name": "a@127.0.0.1"}))
        accounts = "".join(f"user{n}:password\n" for n in range(USERS))
        subprocess.run(
            first.command("user", "import", "/dev/stdin"), input=accounts, text=True, check=True, env={},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        stack.enter_context(first)
        listed = {"node.name": "b@127.0.0.1", "cluster.nodes": "a@" + first.addresses["cluster"]}
        second = stack.enter_context(Node(program, work / "b", settings(url, workers, **cluster, **listed)))
        alone = stack.enter_context(Node(program, work / "alone", settings(url, workers)))
        for node in (first, second):
            node.wait(lambda line: line.get("message") == "a node is up")
        yield first, second, alone
