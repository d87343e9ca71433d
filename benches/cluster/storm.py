"""Everything at once: nodes that die, stand still or are replaced, cuts in one or both directions, and a database that is away."""

import signal
import time

from netns import both
from world import DATABASE

FAULTS_MAX = 3


class Storm:
    """Faults that overlap; each ends by itself."""

    def __init__(self, world):
        self.world, self.dice = world, world.dice
        # (when it ends, what ends it, whom it keeps busy)
        self.faults = []

    def rage(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until or self.faults or not all(node.is_running() for node in self.world.nodes):
            now = time.monotonic()
            for fault in [fault for fault in self.faults if fault[0] <= now or now >= until]:
                self.faults.remove(fault)
                fault[1]()
            self.supervise()
            if now < until and len(self.faults) < FAULTS_MAX and self.dice.random() < 0.15:
                self.strike(now)
            self.world.swarm.ask(f"churn {self.world.options.clients // 200 + 1}")
            time.sleep(0.1)

    def strike(self, now):
        busy = self.busy()
        free = [node for node in self.world.nodes if node not in busy and node.is_running()]
        # Somebody must be left to talk to.
        if len(free) < 2:
            return
        node, other = self.dice.sample(free, 2)
        strike = self.dice.choice([self.kill, self.stop, self.replace, self.cut, self.cut_one_way, self.cut_off, self.database])
        found = strike(node, other)
        if found:
            self.faults.append((now + self.dice.choice([0.3, 2, 5, 9]), *found))

    def supervise(self):
        """Whoever ran processes like these would start them again: one that finds no database ends."""
        busy = self.busy()
        for node in self.world.nodes:
            if node not in busy and not node.is_running():
                node.launch()

    def busy(self):
        return {whom for fault in self.faults for whom in fault[2]}

    def kill(self, node, _other):
        node.kill()
        return lambda: None, {node}

    def stop(self, node, _other):
        node.signal(signal.SIGSTOP)
        return lambda: node.signal(signal.SIGCONT), {node}

    def replace(self, node, _other):
        node.signal(signal.SIGTERM)
        return lambda: node.process.wait(120), {node}

    def cut(self, node, other):
        return self.cut_pairs(both(node.machine, other.machine))

    def cut_one_way(self, node, other):
        return self.cut_pairs([(node.machine, other.machine)])

    def cut_off(self, node, _other):
        return self.cut_pairs(both(node.machine, DATABASE))

    def cut_pairs(self, pairs):
        pairs = [pair for pair in pairs if pair not in self.world.network.cuts]
        if not pairs:
            return None
        self.world.network.cut(*pairs)
        return lambda: self.world.network.mend(*pairs), set()

    def database(self, _node, _other):
        if any("database" in fault[2] for fault in self.faults):
            return None
        self.world.database.stop()
        return self.world.database.start, {"database"}
