"""What is measured: each scenario is one run of chat-load, the same for every server that takes part."""

import dataclasses

# Ours as it comes, with a worker for each core, and with one worker, since the load tool needs a core, too.
OURS = ("chat", "chat-1")
PEERS = (*OURS, "prosody", "ejabberd")
ALL = ("relay", *PEERS)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One run. `figures` are (name in the report, heading, factor, decimals)."""

    key: str
    title: str
    arguments: tuple
    servers: tuple
    figures: tuple
    timed: bool = True


RATE = ("rate_per_s", "per second", 1, 0)
CPU = ("server_cpu_us_each", "server CPU each, µs (CPU seconds per million)", 1, 2)
P50 = ("latency.p50_us", "p50, ms", 1e-3, 3)
P99 = ("latency.p99_us", "p99, ms", 1e-3, 3)
BYTES = ("memory.pss_per_session", "bytes a session", 1, 0)
KERNEL = ("memory.socket_buffers_per_session", "socket buffers in the kernel, bytes", 1, 0)

PRESENCE = ("--user", "buddy", "--groups", "5", "--contacts", "10")
IDLE = ("--user", "idle", "--roster", "10", "--before", "1000", "--sessions", "2000")
PAIRS = ("--pairs", "100")

SCENARIOS = (
    Scenario("window-16", "One-to-one, window 16, 100-byte bodies", ("chat", *PAIRS, "--window", "16"), ALL, (RATE, CPU)),
    Scenario("window-1", "One-to-one, window 1, 100-byte bodies", ("chat", *PAIRS, "--window", "1"), ALL, (RATE, CPU)),
    Scenario(
        "body-1024", "One-to-one, window 16, 1 KiB bodies",
        ("chat", *PAIRS, "--window", "16", "--body", "1024"), ALL, (RATE, CPU),
    ),
    Scenario(
        "starttls", "One-to-one under STARTTLS, window 16, 100-byte bodies",
        ("chat", *PAIRS, "--window", "16", "--security", "starttls"), PEERS, (RATE, CPU),
    ),
    Scenario(
        "sm", "XEP-0198 on both sides, a request every 5 messages, window 16",
        ("sm", *PAIRS, "--window", "16", "--every", "5"), PEERS, (RATE, CPU),
    ),
    Scenario("steady-4000", "Open loop, 4,000 messages a second", ("chat", *PAIRS, "--rate", "4000"), ALL, (RATE, CPU, P50, P99)),
    Scenario(
        "steady-40000", "Open loop, 40,000 messages a second (neither peer sustains that)",
        ("chat", *PAIRS, "--rate", "40000"), ("relay", *OURS), (RATE, CPU, P50, P99),
    ),
    Scenario(
        "presence", "Presence in groups of 11 users who see each other; a delivery to a contact",
        ("presence", *PRESENCE), PEERS, (RATE, CPU),
    ),
    Scenario(
        "login-sha1", "Logins, SCRAM-SHA-1, with bind",
        ("login", "--mechanism", "scram-sha1"), PEERS, (RATE, CPU),
    ),
    Scenario("login-sha256", "Logins, SCRAM-SHA-256, with bind", ("login", "--mechanism", "scram-sha256"), OURS, (RATE, CPU)),
    Scenario(
        "idle", "Idle sessions after login, presence and a roster of 10",
        ("idle", *IDLE), ("chat", "prosody", "ejabberd"), (BYTES, KERNEL), timed=False,
    ),
    Scenario(
        "idle-tls", "The same under TLS 1.3 (STARTTLS)",
        ("idle", *IDLE, "--security", "starttls"), ("chat", "prosody", "ejabberd"), (BYTES, KERNEL), timed=False,
    ),
)  # fmt: skip
