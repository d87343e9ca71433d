"""Turns runs into a page: medians, ratios, and what was to be reached."""

import statistics

KIB = 1024
PLOTS = {"steady-4000": "latency", "idle": "memory"}


def page(scenarios, runs, machine):
    lines = [
        "# Comparison",
        "",
        "Written by `benches/compare/run`; what it does is in [README.md](README.md). Medians of the rounds that were not noisy;",
        "in brackets the smallest and the largest. Ratios are those of the medians, ours being 1. For each table all servers ran in",
        "the same session, in turn, each on the same machine as the load tool; when, how often and with which commit of ours stands above it.",
        "",
        f"{machine['cores']} cores ({machine['cpu']}), Linux {machine['kernel']}; "
        + ", ".join(v for n, v in machine["versions"].items() if n != "chat") + ".",
        "",
    ]  # fmt: skip
    lines += goals(runs)
    for scenario in scenarios:
        if not any(r["scenario"] == scenario.key for r in runs):
            continue
        lines += table(scenario, runs)
        if scenario.key in PLOTS:
            lines += [f"![{PLOTS[scenario.key]}](results-{PLOTS[scenario.key]}.svg)", ""]
    return "\n".join(lines).rstrip() + "\n"


def table(scenario, runs):
    lines = [f"## {scenario.title}", "", f"`chat-load {' '.join(scenario.arguments)}`; {taken(scenario, runs)}", ""]
    head = "| | rounds |"
    for _, heading, _, _ in scenario.figures:
        head += f" {heading} | to ours |"
    lines += [head, "|---|---|" + "---|---|" * len(scenario.figures)]
    for server in scenario.servers:
        good, all_ = select(runs, scenario.key, server)
        row = f"| {server} | {len(good)} of {len(all_)} |"
        for name, _, factor, decimals in scenario.figures:
            values = [value(r, name) for r in good]
            values = [v * factor for v in values if v is not None]
            if not values:
                row += " – | – |"
                continue
            median = statistics.median(values)
            ours = figure(runs, scenario.key, "chat", name)
            ratio = f"{median / factor / ours:.2f}" if ours else "–"
            row += f" {median:,.{decimals}f} ({min(values):,.{decimals}f} to {max(values):,.{decimals}f}) | {ratio} |"
        lines.append(row)
    return [*lines, ""]


def taken(scenario, runs):
    """When and how a table was measured."""
    of = [r for r in runs if r["scenario"] == scenario.key]
    rounds = 1 + max(r["round"] for r in of)
    length = f" of {of[0]['seconds']:g} s" if scenario.timed else ""
    return f"{of[0]['date']}, {rounds} rounds{length}, ours at `{of[0]['commit']}`"


def goals(runs):
    """What was to be reached, and whether it was: with a worker for each core, and with one."""
    lines = ["## Goals", "", "| | goal | ours | | ours with one worker | |", "|---|---|---|---|---|---|"]
    for default, single in zip(checks(runs, "chat"), checks(runs, "chat-1"), strict=True):
        text, goal, _, _ = default
        cells = "".join(f" {judged(measured, holds)} |" for _, _, measured, holds in (default, single))
        if default[2] is not None:
            lines.append(f"| {text} | {goal} |{cells}")
    return [*lines, ""]


def judged(measured, holds):
    if measured is None:
        return "– | "
    shown = f"{measured:,.0f}" if measured >= 1000 else f"{measured:.2f}"
    return f"{shown} | {'holds' if holds(measured) else '**missed**'}"


def checks(runs, ours):
    cpu, rate = "server_cpu_us_each", "rate_per_s"
    p50, p99 = "latency.p50_us", "latency.p99_us"
    memory = "memory.pss_per_session"

    def ratio(text, scenario, above, below, name, least):
        a, b = figure(runs, scenario, above, name), figure(runs, scenario, below, name)
        return (text, f"at least {least}", a / b if a and b else None, lambda v: v >= least)

    def most(text, scenario, name, bound, unit, factor=1.0):
        v = figure(runs, scenario, ours, name)
        return (text, f"at most {bound:g} {unit}", v * factor if v is not None else None, lambda x: x <= bound)

    rows = []
    for key, what in (("window-16", "100-byte bodies"), ("body-1024", "1 KiB bodies")):
        rows += [
            ratio(f"{what}, window 16: ejabberd's CPU to ours", key, "ejabberd", ours, cpu, 20),
            ratio(f"{what}, window 16: Prosody's CPU to ours", key, "prosody", ours, cpu, 30),
            ratio(f"{what}, window 16: our throughput to ejabberd's", key, ours, "ejabberd", rate, 10),
            ratio(f"{what}, window 16: our throughput to the relay's", key, ours, "relay", rate, 0.25),
        ]
    sha256, sha1 = figure(runs, "login-sha256", ours, cpu), figure(runs, "login-sha1", ours, cpu)
    return [
        *rows,
        ratio("window 1: our throughput to the relay's", "window-1", ours, "relay", rate, 0.5),
        ratio("STARTTLS: ejabberd's CPU to ours", "starttls", "ejabberd", ours, cpu, 8),
        ratio("4,000/s: ejabberd's CPU to ours", "steady-4000", "ejabberd", ours, cpu, 8),
        ratio("4,000/s: ejabberd's p50 to ours", "steady-4000", "ejabberd", ours, p50, 1),
        ratio("4,000/s: ejabberd's p99 to ours", "steady-4000", "ejabberd", ours, p99, 1),
        most("40,000/s: p99", "steady-40000", p99, 5, "ms", 1e-3),
        most("idle session, plain TCP", "idle", memory, 3 * KIB, "bytes"),
        ratio("idle session: ejabberd's memory to ours", "idle", "ejabberd", ours, memory, 20),
        most("idle session, TLS 1.3", "idle-tls", memory, 6.5 * KIB, "bytes"),
        ratio("login, SCRAM-SHA-1: ejabberd's CPU to ours", "login-sha1", "ejabberd", ours, cpu, 4),
        ("login: SCRAM-SHA-256 to SCRAM-SHA-1", "at most 1.3", sha256 / sha1 if sha1 and sha256 else None, lambda v: v <= 1.3),
    ]


def select(runs, scenario, server):
    every = [r for r in runs if r["scenario"] == scenario and r["server"] == server]
    quiet = [r for r in every if not r["noisy"]]
    return quiet, every


def figure(runs, scenario, server, name):
    """The median of a figure, or nothing."""
    values = [value(r, name) for r in select(runs, scenario, server)[0]]
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def value(run, name):
    found = run["report"]
    for part in name.split("."):
        if found is None:
            return None
        found = found.get(part)
    return found
