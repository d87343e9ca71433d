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
    print("| work | alone | inside one of two nodes | from node to node | ratio |")
    print("|---|---|---|---|---|")
    for key, of in costs.items():
        alone, inside, across = (statistics.median(of[name]) for name in ("alone", "inside", "across"))
        print(f"| {key} | {alone:.2f} µs | {inside:.2f} µs | {across:.2f} µs | {across / inside:.2f} |")


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
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    parser.add_argument("--seconds", type=float, default=5, help="seconds that one run measures")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of a sender and a recipient")
    parser.add_argument("--workers", type=int, default=2, help="workers of each node")
    parser.add_argument("--only", nargs="*", choices=list(SCENARIOS), help="these kinds of work")
    parser.add_argument("--work", default=str(here.parent.parent / "target" / "cluster"), help="where the nodes keep their data")
    parser.add_argument("--binaries", default=str(here.parent.parent / "target" / "release"), help="where chat and chat-load are")
    return parser.parse_args()


if __name__ == "__main__":
    main()
