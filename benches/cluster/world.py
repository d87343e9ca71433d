"""A cluster of `chat serve` on machines of their own, the database on another, and the swarm of clients on a third."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from datetime import datetime

from netns import Network
from nodes import SECRET, Node, Postgres

DATABASE, CLIENTS = 0, 1
PATIENCE = 60


class Machine(Node):
    """A node of the cluster, on a machine of its own."""

    def __init__(self, world, number, settings):
        self.world, self.number = world, number
        self.name = f"n{number}@{world.network.address(self.machine)}"
        super().__init__(world.options.released or world.program, world.work / f"n{number}", {"node.name": self.name, **settings})

    @property
    def machine(self):
        return CLIENTS + self.number

    def command(self, *arguments):
        return [*self.world.network.inside(self.machine), *super().command(*arguments)]

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts it, and waits until it serves."""
        self.__enter__()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; it must end with 0."""
        self.signal(signal.SIGTERM)
        status = self.process.wait(300)
        if status != 0:
            raise SystemExit(f"{self.name} ended with {status}: {self.folder / 'log'}")

    def end(self):
        """At once, if it runs."""
        if self.is_running():
            self.kill()

    def said(self, since):
        """What it has logged of others since a moment: (when, what, whom)."""
        for line in self.lines():
            at = datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).timestamp()
            if at >= since and "node" in line:
                yield at, line["message"], line["node"]

    def sees(self):
        """The names of those that are up for it."""
        up = set()
        for line in self.lines():
            message = line.get("message", "")
            if message == "this node takes part in a cluster":
                up = set()
            elif message == "a node is up":
                up.add(line["node"])
            elif message.startswith("a node is down"):
                up.discard(line["node"])
        return up


class Database(Postgres):
    """PostgreSQL on its own machine."""

    def __init__(self, network, folder):
        super().__init__(folder)
        self.network, self.port = network, 5432

    def options(self):
        return (
            f"-c listen_addresses={self.network.address(DATABASE)} -c unix_socket_directories={self.folder} -p {self.port}"
            " -c fsync=off -c max_connections=200"
        )

    def prepare(self):
        with open(self.folder / "data" / "pg_hba.conf", "a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")

    def place(self):
        return self.network.inside(DATABASE)

    def ask(self, statements):
        self.run("psql", "-q", "-h", self.network.address(DATABASE), "-p", self.port, "-v", "ON_ERROR_STOP=1", "-c", statements)

    @property
    def url(self):
        return f"postgres://postgres@{self.network.address(DATABASE)}:{self.port}/postgres?sslmode=disable"


class Swarm:
    """`chat-load swarm`: it does what it is told, and answers with a line."""

    def __init__(self, world):
        options = world.options
        command = [*world.network.inside(CLIENTS), str(world.load), "swarm"]
        command += ["--clients", str(options.clients), "--rate", str(options.rate)]
        for node in world.nodes:
            address = world.network.address(node.machine)
            command += ["--node", f"{address}:5222", "--web", f"{address}:80"]
        command += ["--roams"] if options.roams else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, order):
        self.process.stdin.write(order + "\n")
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the swarm has ended with {self.process.wait()}")
        return json.loads(line)

    def wait_until_online(self, count, patience):
        until = time.monotonic() + patience
        while (state := self.ask("state"))["online"] < count:
            if time.monotonic() > until:
                raise SystemExit(f"clients are missing: {state}")
            time.sleep(0.5)

    def close(self):
        self.process.kill()
        self.process.wait()


class World:
    """Everything together."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.program = options.binaries / "chat"
        self.load = options.binaries / "chat-load"
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            count = self.options.nodes
            self.network = stack.enter_context(Network(2 + count))
            self.database = stack.enter_context(Database(self.network, self.work / "postgres"))
            self.nodes = []
            listed = ",".join(f"n{n}@{self.network.address(CLIENTS + n)}:4369" for n in range(1, count + 1))
            for n in range(1, count + 1):
                role = "active" if n <= count - self.options.standby else "standby"
                node = Machine(self, n, {**self.settings(listed), "cluster.role": role})
                stack.callback(node.end)
                self.nodes.append(node)
            self.import_accounts()
            starts = [threading.Thread(target=node.start) for node in self.nodes]
            for start in starts:
                start.start()
            for start in starts:
                start.join()
            self.wait_until_whole()
            self.swarm = Swarm(self)
            stack.callback(self.swarm.close)
            self.swarm.wait_until_online(self.options.clients, 120 + self.options.clients / 10)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self.stack.__exit__(*error)

    def settings(self, listed):
        return {
            "listen.c2s": "0.0.0.0:5222", "listen.c2s_tls": "", "listen.web": "0.0.0.0:80", "listen.s2s": "",
            "listen.admin": "127.0.0.1:8000", "listen.cluster": "0.0.0.0:4369", "log.format": "json",
            "log.level": self.options.log, "c2s.allow_plaintext": "true", "net.workers": str(self.options.workers),
            "store.url": self.database.url, "cluster.secret": SECRET, "cluster.nodes": listed,
            "cluster.active_wanted": str(self.options.nodes - self.options.standby),
            # The balancer asks twice in this time.
            "drain.grace": "3s",
        }

    def import_accounts(self):
        accounts = "".join(f"user{n}:password\n" for n in range(self.options.clients))
        subprocess.run(
            self.nodes[0].command("user", "import", "/dev/stdin"), input=accounts, text=True, check=True,
            stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]},
        )

    def wait_until_whole(self, patience=PATIENCE):
        """Until every node that runs sees every other, and nobody else. Seconds that took."""
        begun = time.monotonic()
        while True:
            running = [node for node in self.nodes if node.is_running()]
            missing = [
                f"{node.name} sees {sorted(node.sees())}"
                for node in running
                if node.sees() != {other.name for other in running} - {node.name}
            ]
            if not missing:
                return time.monotonic() - begun
            if time.monotonic() - begun > patience:
                raise SystemExit("the cluster does not come together: " + "; ".join(missing))
            time.sleep(0.1)
