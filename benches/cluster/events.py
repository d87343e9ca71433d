"""What a cluster of real processes makes of what happens to clusters, while its clients talk. See ../README.md."""

import argparse
import json
import pathlib
import random
import shutil
import signal
import statistics
import sys
import time

from netns import both
from releases import as_promised, halved, rolled_back, upgraded
from storm import Storm
from world import DATABASE, World

# The columns of the table.
COLUMNS = {
    "event": "event", "affected": "sessions affected", "resumed": "resumed", "anew": "logged in anew", "whole_s": "s until whole",
    "after_s": "s after it was over", "sent": "messages", "lost": "lost", "late": "late", "doubled": "doubled", "swapped": "swapped",
    "unacked": "never acked", "strange": "strange", "repeated": "again with delay", "refused": "refused", "again": "said again",
}
# What stands above the tables.
RESULTS = [
    "# What happens to clusters",
    "",
    "Written by `benches/cluster/events --results benches/EVENTS.md`; [README.md](README.md#what-clusters-make-of-it) says what the columns mean.",
    "",
]
BAD = ("lost", "late", "doubled", "swapped", "unacked", "strange")


def killed(world, hold):
    node = world.some()
    node.kill()
    world.over()
    time.sleep(hold)
    node.start()


def stopped(world, hold):
    node = world.some()
    node.signal(signal.SIGSTOP)
    time.sleep(hold)
    node.signal(signal.SIGCONT)
    world.over()


def pair_cut(world, hold):
    one, other = world.some(2)
    cut_for(world, hold, both(one.machine, other.machine))


def split(world, hold):
    halves = world.halves()
    cut_for(world, hold, both(*halves))


def split_without_database(world, hold):
    one, other = world.halves()
    cut_for(world, hold, both(one, other) + both(other, DATABASE))


def split_one_way(world, hold):
    one, other = world.halves()
    cut_for(world, hold, [(a, b) for a in one for b in other])


def cut_for(world, hold, pairs):
    world.network.cut(*pairs)
    time.sleep(hold)
    world.network.mend()
    world.over()


def flapping(world, hold):
    until = time.monotonic() + hold
    pairs = [both(a.machine, b.machine) for a in world.nodes for b in world.nodes if a.number < b.number]
    while time.monotonic() < until:
        pair = world.dice.choice(pairs)
        world.network.cut(*pair)
        time.sleep(world.dice.uniform(0.1, 2.5))
        world.network.mend()
        time.sleep(world.dice.uniform(0.1, 1))
    world.over()


def database_down(world, hold):
    world.database.stop()
    time.sleep(hold)
    world.database.start()
    world.over()


def restarted(world, _hold):
    node = world.some()
    node.stop()
    node.start()
    world.over()


def killed_in_drain(world, hold):
    node = world.some()
    node.signal(signal.SIGTERM)
    time.sleep(4)
    if node.is_running():
        node.kill()
    world.over()
    time.sleep(hold)
    node.start()


def rolling(world, _hold):
    for node in world.nodes:
        node.stop()
        node.start()
        world.wait_until_whole()
    world.over()


def moved(world, _hold):
    world.swarm.ask(f"drop {world.options.clients // 4}")
    world.over()


def churned(world, hold):
    churn(world, hold)
    world.over()


def killed_in_churn(world, hold):
    churn(world, hold / 2)
    node = world.some()
    node.kill()
    churn(world, hold)
    node.start()
    churn(world, hold / 2)
    world.over()


def churn(world, seconds):
    """A fifth of the clients come and go every second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        world.swarm.ask(f"churn {world.options.clients // 50 + 1}")
        time.sleep(0.1)


def stormed(world, hold):
    Storm(world).rage(hold)
    world.over()


def shrunk(world, hold):
    for node in world.nodes[:1:-1]:
        node.stop()
        time.sleep(hold)
    world.over()


def grown(world, hold):
    for node in world.nodes:
        if not node.is_running():
            node.start()
            time.sleep(hold)
    world.over()


# Its name: what it is, what happens, seconds it lasts in a short run and in a long one.
EVENTS = {
    "kill": ("kill -9 of a node", killed, 5, 5),
    "stop": ("SIGSTOP of a node, then SIGCONT", stopped, 10, 20),
    "pair": ("two nodes do not see each other, the others see both", pair_cut, 10, 15),
    "database": ("the database is down", database_down, 10, 10),
    "restart": ("a node is replaced", restarted, 0, 0),
    "move": ("a quarter of the clients come back at other nodes", moved, 0, 0),
    "churn": ("clients come and go everywhere", churned, 10, 20),
    "churn-kill": ("clients come and go, and a node is killed -9", killed_in_churn, 10, 10),
    "split": ("two halves, the database with both", split, 10, 30),
    "split-database": ("two halves, the database with one", split_without_database, 10, 30),
    "one-way": ("two halves, one direction is cut", split_one_way, 10, 30),
    "flap": ("links flap", flapping, 10, 30),
    "drain-kill": ("kill -9 of a node that drains", killed_in_drain, 2, 5),
    "rolling": ("all nodes are replaced, one by one", rolling, 0, 0),
    "storm": ("all of this at once", stormed, 20, 60),
    "shrink": ("all but two nodes leave", shrunk, 5, 10),
    "grow": ("they come back, under load", grown, 5, 10),
    "half": ("half of the nodes are replaced by those of this release", halved, 0, 0),
    "upgrade": ("all that are of the release before are replaced by those of this one", upgraded, 0, 0),
    "rollback": ("all are replaced by those of the release before", rolled_back, 0, 0),
}
# Those that take two releases.
RELEASES = ["half", "upgrade", "rollback"]
SHORT = ["kill", "stop", "pair", "database", "restart", "move"]


def detect(world, rounds):
    """How long until all others know that a node is gone, as lines of a table."""
    lines = ["| a node is | seconds until all others know: median | worst |", "|---|---|---|"]
    for what, number in (("killed", signal.SIGKILL), ("stopped (SIGSTOP)", signal.SIGSTOP)):
        took = []
        for _ in range(rounds):
            node, begun = world.some(), time.time()
            node.signal(number)
            others = [other for other in world.nodes if other is not node]
            took.append(max(wait_for_down(other, node, begun) for other in others) - begun)
            if number == signal.SIGKILL:
                node.process.wait()
                node.start()
            else:
                node.signal(signal.SIGCONT)
            world.wait_until_whole()
            # What has just come up is to be as settled as any other.
            time.sleep(2)
        lines.append(f"| {what} | {statistics.median(took):.2f} | {max(took):.2f} |")
        print(f"{lines[-1]}  {sorted(round(t, 2) for t in took)}", file=sys.stderr, flush=True)
    return [*lines, ""]


def wait_for_down(other, node, since):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for at, message, whom in other.said(since):
            if whom == node.name and message.startswith("a node is down"):
                return at
        time.sleep(0.05)
    raise SystemExit(f"{other.name} never noticed that {node.name} is gone")


class Course(World):
    """The events, one after another."""

    def __init__(self, options, work):
        super().__init__(options, work)
        self.dice = random.Random(options.seed)

    def some(self, count=None):
        """Nodes that take clients from the beginning."""
        chosen = self.dice.sample(self.nodes[: len(self.nodes) - self.options.standby], count or 1)
        return chosen if count else chosen[0]

    def halves(self):
        """The machines of two halves; clients and the database are with both."""
        machines = [node.machine for node in self.nodes]
        middle = (len(machines) + 1) // 2
        return machines[:middle], machines[middle:]

    def event(self, key):
        name, happen, short, long = EVENTS[key]
        hold = short if self.options.short else long
        self.swarm.ask(f"begin {name}" + (f", {hold} s" if hold else ""))
        time.sleep(1)
        happen(self, hold)
        self.wait_until_whole()
        row = self.swarm.ask(f"end {self.options.patience}")
        print(json.dumps(row), file=sys.stderr, flush=True)
        return row

    def over(self):
        """What disturbs is over."""
        self.swarm.ask("healed")

    def calm(self):
        """Everybody where he was at first, as far as those nodes are there."""
        self.swarm.ask("spread")
        time.sleep(3)


def arguments():
    here = pathlib.Path(__file__).resolve().parent
    target = here.parent.parent / "target"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=6, help="nodes of the cluster")
    parser.add_argument("--standby", type=int, help="so many of them wait until they are needed; unless said, what is more than four")
    parser.add_argument("--clients", type=int, default=2000, help="clients, spread over them")
    parser.add_argument("--rate", type=float, default=0.5, help="messages a second of each client")
    parser.add_argument("--workers", type=int, default=1, help="workers of each node")
    parser.add_argument("--only", nargs="*", choices=list(EVENTS), help="these events, in this order")
    parser.add_argument("--short", action="store_true", help="the events that do not take long, and shorter")
    parser.add_argument("--roams", action="store_true", help="clients come back anywhere, not first where they were")
    parser.add_argument("--detect", type=int, metavar="ROUNDS", help="rounds of measuring how soon nodes are known to be gone")
    parser.add_argument("--patience", type=float, default=120, help="seconds until what has not arrived is lost")
    parser.add_argument("--seed", type=int, default=1, help="which nodes are hit")
    parser.add_argument("--log", default="info", help="what the nodes log")
    parser.add_argument("--results", type=pathlib.Path, help="a file for the tables")
    parser.add_argument("--work", type=pathlib.Path, default=target / "events", help="where the nodes keep their data and logs")
    parser.add_argument("--released", type=pathlib.Path, help="`chat` of the release before, as which all nodes begin (see build-released)")
    parser.add_argument("--binaries", type=pathlib.Path, default=target / "release", help="where chat and chat-load are")
    options = parser.parse_args()
    options.binaries, options.work = options.binaries.resolve(), options.work.resolve()
    options.released = options.released and options.released.resolve()
    if options.standby is None:
        options.standby = max(options.nodes - 4, 0)
    if options.only is None:
        options.only = SHORT if options.short else [key for key in EVENTS if key not in RELEASES]
        if options.detect is None:
            options.detect = 0 if options.short else 20
    if not options.released and set(options.only) & set(RELEASES):
        parser.error(f"{', '.join(RELEASES)}: these need --released")
    return options


def main():
    # Whoever ends this ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    rows, lines = [], [
        f"{options.nodes} nodes ({options.standby} on standby) with {options.workers} worker each, {options.clients:,} clients that "
        f"send {options.rate} messages a second each.",
        "",
    ]
    with Course(options, options.work) as world:
        if options.detect:
            lines += detect(world, options.detect)
            world.calm()
        for key in options.only:
            rows.append(world.event(key))
            world.calm()
    lines += ["| " + " | ".join(COLUMNS.values()) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = [f"{row[key]:.1f}" if isinstance(row[key], float) else str(row[key]) for key in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    print("\n".join(lines))
    if options.results:
        options.results.write_text("\n".join([*RESULTS, *lines, ""]))
    bad = [row["event"] for key, row in zip(options.only, rows) if any(row[bad] for bad in BAD) or key in RELEASES and not as_promised(row)]
    if bad:
        sys.exit("not as it should be: " + "; ".join(bad) + f" (logs in {options.work})")


if __name__ == "__main__":
    main()
