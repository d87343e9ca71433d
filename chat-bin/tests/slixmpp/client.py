"""What the scenarios share: a slixmpp client whose events can be awaited, and the arguments of every scenario.

A scenario is a program. It ends with 0 after printing `ok NAME`, or with 1 after saying what it waited for in vain.
It begins by putting its accounts in order (empty roster, nothing blocked, no waiting messages), so it can be run again.
"""

import argparse
import asyncio
import hashlib
import logging
import pathlib
import ssl
import sys
import traceback

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout

# Seconds until something that should happen counts as not happening.
PATIENCE = 10

EVENTS = [
    "message", "message_error", "carbon_received", "carbon_sent",
    "presence_available", "presence_unavailable", "presence_error",
    "presence_subscribe", "presence_subscribed", "presence_unsubscribe", "presence_unsubscribed",
    "roster_update", "blocked", "unblocked",
    "session_start", "session_resumed", "sm_enabled", "sm_failed", "stanza_acked",
    "failed_auth", "failed_all_auth", "auth_success", "stream_error", "connection_failed", "disconnected",
]


# All clients of this run: whatever happens, none leaves a session behind that waits to be resumed.
CLIENTS = []


class Failed(Exception):
    """The scenario did not go as it should."""


class Client(ClientXMPP):
    """A client that does nothing by itself but what slixmpp does for everybody."""

    def __init__(self, args, account, resource, *, direct=None, mechanism=None):
        local, secret = account
        jid = f"{local}@{args.domain}/{resource}" if resource else f"{local}@{args.domain}"
        super().__init__(jid, secret, sasl_mech=mechanism)
        self.args = args
        self.direct = args.direct if direct is None else direct
        self.enable_starttls = not self.direct
        self.enable_direct_tls = self.direct
        self.enable_plaintext = False
        # Servers under test have certificates of their own; who runs a scenario may pin one.
        self.ssl_context = ssl.create_default_context()
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        self.auto_authorize = None
        self.auto_subscribe = False
        for plugin in ["xep_0030", "xep_0077", "xep_0092", "xep_0191", "xep_0198", "xep_0199", "xep_0202", "xep_0203",
                       "xep_0280"]:
            self.register_plugin(plugin)
        # Only scenarios create accounts.
        self.plugin["xep_0077"].create_account = False
        # slixmpp answers a request of the server; asking after every stanza makes acks visible in the scenario.
        self.plugin["xep_0198"].window = self.plugin["xep_0198"].window_counter = 1
        self.seen = []
        CLIENTS.append(self)
        self.changed = asyncio.Event()
        self.certificate = None
        self.add_event_handler("ssl_cert", self.on_certificate)
        for name in EVENTS:
            self.add_event_handler(name, lambda data, name=name: self.record(name, data))
        # To slixmpp the value of <show/> is a type of presence.
        for show in ["away", "chat", "dnd", "xa"]:
            self.add_event_handler(f"presence_{show}", lambda data: self.record("presence_available", data))

    def record(self, name, data):
        self.seen.append((name, data))
        self.changed.set()

    def on_certificate(self, pem):
        self.certificate = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        if self.args.fingerprint and self.certificate != self.args.fingerprint:
            self.record("stream_error", f"the certificate's fingerprint is {self.certificate}")
            self.abort()

    async def expect(self, names, match=lambda data: True, what=None, patience=PATIENCE):
        """Waits for one of these events that matches, takes it out of what was seen, and returns its data."""
        names = [names] if isinstance(names, str) else names
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            for index, (name, data) in enumerate(self.seen):
                if name in names and match(data):
                    del self.seen[index]
                    return data
            self.changed.clear()
            try:
                left = deadline - asyncio.get_running_loop().time()
                await asyncio.wait_for(self.changed.wait(), max(left, 0))
            except asyncio.TimeoutError:
                seen = ", ".join(f"{name}: {str(data)[:200]}" for name, data in self.seen) or "nothing"
                wanted = what or " or ".join(names)
                raise Failed(f"{self.boundjid} waited {patience} s for {wanted}; saw {seen}") from None

    def never(self, names, match=lambda data: True, what=None):
        """Fails if such an event has been seen. Call it after something that would have come later."""
        names = [names] if isinstance(names, str) else names
        for name, data in self.seen:
            if name in names and match(data):
                raise Failed(f"{self.boundjid} should not have seen {what or name}: {data}")

    async def acked(self, body):
        """The server acknowledges the message with this body (XEP-0198 §4), at once or when it is safe."""
        # slixmpp queues stanzas, but not this request: let what is queued go first.
        await self.settle()
        self.plugin["xep_0198"].request_ack()
        await self.expect("stanza_acked", lambda s: s.name == "message" and s["body"] == body, f"the ack of '{body}'")

    def forget(self):
        self.seen.clear()

    async def open(self):
        """Connects and waits for what becomes of the login: the name of the event."""
        port = self.args.direct_port if self.direct else self.args.port
        self.connect(self.args.host, port)
        ends = ["session_start", "session_resumed", "failed_all_auth", "stream_error", "disconnected"]
        done = {}

        def note(name):
            done["name"] = name
            self.changed.set()

        for name in ends:
            self.add_event_handler(name, lambda _, name=name: note(name) if not done else None)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not done:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), deadline - asyncio.get_running_loop().time())
            except (asyncio.TimeoutError, ValueError):
                self.cancel_connection_attempt()
                raise Failed(f"{self.requested_jid}: no login within {PATIENCE} s; saw {self.seen}") from None
        return done["name"]

    async def login(self):
        """Logs in, without roster and presence."""
        outcome = await self.open()
        if outcome != "session_start":
            raise Failed(f"{self.requested_jid} could not log in: {outcome}; saw {self.seen}")
        await self.expect("session_start")
        return self

    async def online(self, **presence):
        """Asks for the roster, sends presence, and returns once the server has handled both."""
        await self.get_roster()
        self.send_presence(**presence)
        await self.settle()
        return self

    async def settle(self):
        """Everything that was sent before has been handled by the server when this returns."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.domain, timeout=PATIENCE)

    async def read_roster(self):
        """The whole roster, whatever version the client has seen: items by their JIDs."""
        iq = self.make_iq_get()
        iq.enable("roster")
        return (await iq.send(timeout=PATIENCE))["roster"]["items"]

    async def tidy(self):
        """An empty roster, nothing blocked, no messages from earlier runs."""
        for jid in await self.read_roster():
            await self.del_roster_item(jid)
        blocked = await self.plugin["xep_0191"].get_blocked_jids(timeout=PATIENCE)
        if blocked:
            await self.plugin["xep_0191"].unblock(list(blocked), timeout=PATIENCE)
        self.send_presence()
        await self.settle()
        await self.settle()
        self.forget()

    async def cut(self):
        """The TCP connection is gone, without any word on the stream."""
        transport = self.transport
        transport.abort()
        await self.expect("disconnected")

    async def leave(self):
        if self.transport:
            await self.disconnect(wait=2.0)

    def say(self, to, body, kind="chat"):
        message = self.make_message(mto=to, mbody=body, mtype=kind)
        message.send()
        return message["id"]


def says(body, sender=None):
    """Matches a message with this body, from this bare or full JID."""
    def match(message):
        if message["body"] != body:
            return False
        return sender is None or sender in (message["from"].full, message["from"].bare)
    return match


def comes_from(jid):
    """Matches a stanza from this bare or full JID."""
    return lambda stanza: str(jid) in (stanza["from"].full, stanza["from"].bare)


def check(condition, sentence):
    if not condition:
        raise Failed(sentence)


async def refused(future, condition):
    """The iq is answered by an error of this condition, or of one of these."""
    wanted = [condition] if isinstance(condition, str) else condition
    try:
        await future
    except IqError as error:
        got = error.iq["error"]["condition"]
        check(got in wanted, f"refused with {got}, not {' or '.join(wanted)}")
        return error
    except IqTimeout:
        raise Failed("no answer to an iq") from None
    raise Failed(f"the iq should have been refused with {' or '.join(wanted)}")


async def befriend(a, b):
    """A mutual subscription between two clients that are online, and empty event lists."""
    a.send_presence_subscription(b.boundjid.bare)
    await b.expect("presence_subscribe", comes_from(a.boundjid.bare))
    b.send_presence_subscription(a.boundjid.bare, ptype="subscribed")
    b.send_presence_subscription(a.boundjid.bare)
    await a.expect("presence_subscribe", comes_from(b.boundjid.bare))
    a.send_presence_subscription(b.boundjid.bare, ptype="subscribed")
    await a.expect("presence_available", comes_from(b.boundjid.full))
    await b.expect("presence_available", comes_from(a.boundjid.full))
    await a.settle()
    await b.settle()
    a.forget()
    b.forget()


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="where the server listens")
    parser.add_argument("--port", type=int, default=5222, help="for STARTTLS")
    parser.add_argument("--direct-port", type=int, default=5223, help="for TLS from the first byte")
    parser.add_argument("--domain", default="localhost")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD",
                        help="an account; scenarios take as many as they need, in this order")
    parser.add_argument("--direct", action="store_true", help="use TLS from the first byte wherever it does not matter")
    parser.add_argument("--fingerprint", type=lambda text: text.replace(":", "").lower(),
                        help="SHA-256 of the server's certificate; without it any is accepted")
    parser.add_argument("--mechanisms", default="SCRAM-SHA-1,SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
                        help="what the server must offer under TLS (scenario mechanisms)")
    parser.add_argument("--verbose", action="store_true", help="show what goes over the streams")
    return parser


def scenario(main, accounts):
    """Runs `main(args, *accounts)` as a program."""
    name = pathlib.Path(sys.argv[0]).stem
    args = arguments(main.__doc__).parse_args()
    if args.verbose:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(asctime)s %(message)s")
    users = [tuple(user.split(":", 1)) for user in args.user]
    if len(users) < accounts:
        sys.exit(f"{name}: needs {accounts} accounts, see --user")

    async def run():
        try:
            await asyncio.wait_for(main(args, *users[:accounts]), 60)
        finally:
            for client in CLIENTS:
                await client.leave()

    try:
        asyncio.run(run())
    except Failed as failure:
        print(f"FAILED {name}: {failure}")
        sys.exit(1)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"FAILED {name}")
        sys.exit(1)
    print(f"ok {name}")
