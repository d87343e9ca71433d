"""Machines as network namespaces: a router in the middle, and one cable to each. Needs root and iproute2, and nothing that is there
before is touched: the router has no way out."""

import os
import subprocess
import sys

PREFIX = "10.77"


def ip(*arguments, netns=None):
    command = ["ip", *(["-n", netns] if netns else []), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """So many machines, `m0` and so on, with the addresses 10.77.N.2; all reach each other through the router."""

    def __init__(self, count):
        if os.geteuid() != 0:
            sys.exit("this needs root: it makes network namespaces")
        self.name = f"chat{os.getpid()}"
        self.router = f"{self.name}-router"
        self.machines = [f"{self.name}-m{n}" for n in range(count)]
        self.cuts = set()

    def __enter__(self):
        try:
            self.make(self.router)
            subprocess.run(
                ["ip", "netns", "exec", self.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True
            )
            for n, machine in enumerate(self.machines):
                self.make(machine)
                ip("link", "add", f"m{n}", "netns", self.router, "type", "veth", "peer", "name", "eth0", "netns", machine)
                ip("addr", "add", f"{PREFIX}.{n}.1/24", "dev", f"m{n}", netns=self.router)
                ip("link", "set", f"m{n}", "up", netns=self.router)
                ip("addr", "add", f"{self.address(n)}/24", "dev", "eth0", netns=machine)
                ip("link", "set", "eth0", "up", netns=machine)
                ip("route", "add", "default", "via", f"{PREFIX}.{n}.1", netns=machine)
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self, name):
        ip("netns", "add", name)
        ip("link", "set", "lo", "up", netns=name)

    def __exit__(self, *_):
        for name in [*self.machines, self.router]:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    @staticmethod
    def address(n):
        return f"{PREFIX}.{n}.2"

    def inside(self, n):
        """What a command begins with that runs on a machine."""
        return ["ip", "netns", "exec", self.machines[n]]

    def cut(self, *pairs):
        """Nothing gets from the first machine of each pair to the second any more, without anybody being told."""
        for pair in set(pairs) - self.cuts:
            ip("rule", "add", *self.between(pair), netns=self.router)
            self.cuts.add(pair)

    def mend(self, *pairs):
        """It does again; without pairs, all that was cut."""
        for pair in self.cuts & set(pairs or self.cuts):
            ip("rule", "del", *self.between(pair), netns=self.router)
            self.cuts.discard(pair)

    def between(self, pair):
        return ["from", self.address(pair[0]), "to", self.address(pair[1]), "pref", "100", "blackhole"]


def both(one, other):
    """The two directions between two machines, or between all of two lists."""
    ones, others = ([side] if isinstance(side, int) else list(side) for side in (one, other))
    return [pair for a in ones for b in others for pair in ((a, b), (b, a))]
