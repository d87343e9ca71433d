"""What a message costs that goes from node to node, against one that stays inside a node. See ../README.md."""

import argparse
import json
import pathlib
import signal
import statistics
import subprocess
import sys

from nodes import pair

SCENARIOS = {
    "window-16": ("chat", "--window", "16"),
    "window-1": ("chat", "--window", "1"),
    "steady-4000": ("chat", "--rate", "4000"),
    "sm": ("sm", "--window", "16", "--every", "5"),
}


RESULTS = """# Messages from node to node

Written by `benches/cluster/run --results benches/ACROSS.md`; [README.md](README.md#from-node-to-node) says what is measured.

At {commit}: {rounds} rounds of {seconds:g} s each, {pairs} pairs, {workers} workers in each node; processor time per message, of all nodes that
take part together, on a machine that they share with the load tool. Medians, with the least and the most of the rounds; the ratio is the
median of those of the rounds.

{table}
"""


def main():
    # Whoever ends this ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    binaries = pathlib.Path(options.binaries).resolve()
    work = pathlib.Path(options.work).resolve()
    chosen = {key: SCENARIOS[key] for key in options.only or SCENARIOS}
    costs = {key: {"alone": [], "inside": [], "across": []} for key in chosen}
    with pair(binaries / "chat", work, options.workers) as (first, second, alone):
        places = {
            "alone": (alone, alone, None),
            "inside": (first, first, second),
            "across": (first, second, second),
        }
        for number in range(options.rounds):
            for key, arguments_of in chosen.items():
                # The order turns from round to round, so that nobody always follows the same neighbour.
                names = list(places)
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    report = measure(binaries / "chat-load", arguments_of, *places[name], options)
                    cost = report["server_cpu_us_each"]
                    costs[key][name].append(cost)
                    print(
                        f"round {number + 1}  {key:12} {name:7} {report['rate_per_s']:11,.0f}/s  {cost:7.2f} µs each"
                        f"  p50 {report['latency']['p50_us']:8.0f} µs  p99 {report['latency']['p99_us']:8.0f} µs"
                        f"  noise {report['noise_cores']:.2f}",
                        file=sys.stderr, flush=True,
                    )
    table = "\n".join(rows(costs))
    print(table)
    if options.results:
        options.results.write_text(RESULTS.format(commit=commit(here()), table=table, **vars(options)))


def rows(costs):
    """The table: medians, with the least and the most, and the median of what the rounds say of across and inside."""
    yield "| work | alone | inside one of two nodes | from node to node | ratio |"
    yield "|---|---|---|---|---|"
    for key, of in costs.items():
        cells = [f"{statistics.median(all):.1f} µs ({min(all):.1f} to {max(all):.1f})" for all in of.values()]
        ratio = statistics.median(across / inside for across, inside in zip(of["across"], of["inside"]))
        yield f"| {key} | {' | '.join(cells)} | {ratio:.2f} |"


def commit(place):
    """The commit that is measured, as far as its checkout knows."""
    done = subprocess.run(["git", "-C", place, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def here():
    return pathlib.Path(__file__).resolve().parent


def measure(load, arguments_of, server, peer, measured, options):
    """One run; senders at `server`, recipients at `peer`, the CPU of `server` and `measured` together."""
    command = [
        load, *arguments_of, "--pairs", options.pairs, "--duration", options.seconds, "--server", server.addresses["c2s"],
        "--server-pid", server.process.pid,
    ]
    if measured:
        command += ["--peer-server", peer.addresses["c2s"], "--peer-server-pid", measured.process.pid]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0 or not done.stdout.strip():
        sys.exit(f"{arguments_of} failed:\n{done.stderr[-2000:]}\n{done.stdout[-2000:]}")
    return json.loads(done.stdout)


def arguments():
    target = here().parent.parent / "target"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    parser.add_argument("--seconds", type=float, default=5, help="seconds that one run measures")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of a sender and a recipient")
    parser.add_argument("--workers", type=int, default=2, help="workers of each node")
    parser.add_argument("--only", nargs="*", choices=list(SCENARIOS), help="these kinds of work")
    parser.add_argument("--work", default=str(target / "cluster"), help="where the nodes keep their data")
    parser.add_argument("--binaries", default=str(target / "release"), help="where chat and chat-load are")
    parser.add_argument("--results", type=pathlib.Path, help="a file for the table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
