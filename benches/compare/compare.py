"""Runs the same load against several servers in turn, and writes down what came of it. See ../README.md."""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys

import results
from scenarios import IDLE, OURS, PRESENCE, SCENARIOS
from servers import Chat, Ejabberd, Prosody, Relay, run

# How often a noisy round is measured again before it is left out.
ATTEMPTS = 4


def main():
    # Whoever ends this ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    work = pathlib.Path(options.work).resolve()
    binaries = pathlib.Path(options.binaries).resolve()
    fleet = {
        "chat": Chat(work, binaries / "chat"),
        "chat-1": Chat(work, binaries / "chat", workers=1, name="chat-1"),
        "prosody": Prosody(work),
        "ejabberd": Ejabberd(work),
        "relay": Relay(work, binaries / "chat-load"),
    }
    chosen = [s for s in SCENARIOS if not options.only or s.key in options.only]
    load = binaries / "chat-load"
    for name in (*OURS, "prosody", "ejabberd"):
        if any(name in s.servers for s in chosen):
            prepare(fleet[name], load, {s.key for s in chosen})
    machine = describe(fleet)
    kept = kept_runs(pathlib.Path(options.out), {s.key for s in chosen}) if options.only else []
    runs = []
    for number in range(options.rounds):
        for scenario in chosen:
            # The order turns from round to round, so that nobody always follows the same neighbour.
            turn = number % len(scenario.servers)
            for name in scenario.servers[turn:] + scenario.servers[:turn]:
                taken = {"date": machine["date"], "commit": machine["commit"], "seconds": options.seconds}
                runs.append(taken | measure(number, scenario, fleet[name], load, options))
        # After each round, so that whoever loses patience keeps what there is.
        write(kept + runs, machine, options)


def kept_runs(out, chosen):
    """What the page has of the scenarios that are not measured now."""
    raw = out.with_suffix(".jsonl")
    lines = raw.read_text().splitlines()[1:] if raw.exists() else []
    return [run for run in map(json.loads, lines) if run["scenario"] not in chosen]


def write(runs, machine, options):
    out = pathlib.Path(options.out)
    out.write_text(results.page(SCENARIOS, runs, machine))
    # The machine, then a line for each run.
    raw = out.with_suffix(".jsonl")
    raw.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [machine, *runs]))
    load = pathlib.Path(options.binaries).resolve() / "chat-load"
    for kind, scenario in (("latency", "steady-4000"), ("memory", "idle")):
        reports = [r["report"] for r in runs if r["scenario"] == scenario and not r["noisy"]]
        plot(load, kind, reports, out.with_name(f"{out.stem.lower()}-{kind}.svg"))
    print(f"written: {out}, {raw}, and the plots", file=sys.stderr)


def arguments():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each scenario against each server")
    parser.add_argument("--seconds", type=float, default=5, help="seconds that one run measures")
    parser.add_argument(
        "--noise", type=float, default=0.1, metavar="CORES", help="a round in which others used more is left out"
    )
    parser.add_argument("--only", nargs="*", choices=[s.key for s in SCENARIOS], help="these scenarios; the page keeps what it has of the others")
    parser.add_argument("--out", default=str(here.parent / "RESULTS.md"), help="the page to write")
    parser.add_argument("--work", default=str(here.parent.parent / "target" / "compare"), help="where the servers keep their data")
    parser.add_argument("--binaries", default=str(here.parent.parent / "target" / "release"), help="where chat and chat-load are")
    return parser.parse_args()


def prepare(server, load, keys):
    """Makes the accounts, the rosters and the subscriptions, before anything is measured."""
    server.wipe()
    wanted = [("idle", "--sessions", "200", "--before", "0", "--hold", "0", "--no-presence")]
    if "presence" in keys:
        wanted.append(("presence", *PRESENCE, "--warm-up", "0", "--duration", "1"))
    if keys & {"idle", "idle-tls"}:
        wanted.append(("idle", *IDLE, "--hold", "0", "--no-presence"))
    with server:
        for arguments in wanted:
            print(f"{server.name}: accounts for {arguments[0]}", file=sys.stderr, flush=True)
            run(load, *arguments, "--register", "--server", f"127.0.0.1:{server.port}")


def measure(number, scenario, server, load, options):
    """One run, again if somebody else was busy meanwhile."""
    for attempt in range(ATTEMPTS):
        with server:
            command = [load, *scenario.arguments, "--server", f"127.0.0.1:{server.port}", "--server-pid", str(server.pid), "--label", server.name]
            if server.name == "relay":
                command += ["--mechanism", "plain"]
            if scenario.timed:
                command += ["--duration", str(options.seconds)]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode != 0 or not done.stdout.strip():
            sys.exit(f"{scenario.key} against {server.name} failed:\n{done.stderr[-2000:]}\n{done.stdout[-2000:]}")
        report = json.loads(done.stdout)
        noise = report.get("noise_cores") or 0.0
        noisy = noise > options.noise
        cpu = report.get("server_cpu_us_each")
        print(
            f"round {number + 1}  {scenario.key:14} {server.name:9}"
            f" {report['rate_per_s']:12,.0f}/s  {cpu or 0:8.2f} µs each  noise {noise:.2f}"
            + ("  again" if noisy and attempt + 1 < ATTEMPTS else ""),
            file=sys.stderr, flush=True,
        )
        if not noisy:
            break
    return {"round": number, "scenario": scenario.key, "server": server.name, "noisy": noisy, "report": report}


def plot(load, kind, reports, out):
    """One curve for each server, over all its rounds."""
    if not reports:
        return
    lines = out.with_suffix(".jsonl")
    lines.write_text("".join(json.dumps(r) + "\n" for r in reports))
    try:
        run(load, "plot", lines, f"--{kind}", out)
    finally:
        lines.unlink()


def describe(fleet):
    """The machine and the versions, for whoever reads the page later."""
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "commit": commit(),
        "versions": {name: server.version() for name, server in fleet.items() if name not in ("relay", "chat-1")},
    }


def commit():
    if not shutil.which("git"):
        return "unknown"
    return run("git", "-C", pathlib.Path(__file__).parent, "describe", "--always", "--dirty")


if __name__ == "__main__":
    main()
