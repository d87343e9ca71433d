#!/usr/bin/env python3
"""Two stock clients talk through a server: presence, messages, a cut connection, and nothing lost.

    pip install slixmpp
    python examples/conversation.py --user1 romeo:PASSWORD --user2 juliet:PASSWORD --insecure

Both accounts must exist. Each step is printed as it happens; the exit code is 0 if all of them did. The certificate of a
server of one's own is accepted by its SHA-256 fingerprint (--fingerprint) or, on a machine of one's own, unseen
(--insecure). It works with any XMPP server that has XEP-0198.
"""

import argparse
import asyncio
import hashlib
import ssl
import sys
import time

import slixmpp

# Seconds until a step that should happen counts as not happening.
PATIENCE = 15
STARTED = time.monotonic()


class Failed(Exception):
    pass


def step(text):
    print(f"{time.monotonic() - STARTED:7.3f} s  {text}", flush=True)


class Person(slixmpp.ClientXMPP):
    """A client of one account. What happens to it can be awaited."""

    def __init__(self, options, account, resource):
        name, password = account
        super().__init__(f"{name}@{options.domain}/{resource}", password)
        self.options = options
        self.name = name
        self.enable_starttls = not options.direct_tls
        self.enable_direct_tls = options.direct_tls
        self.enable_plaintext = False
        if options.insecure or options.fingerprint:
            self.ssl_context.check_hostname = False
            self.ssl_context.verify_mode = ssl.CERT_NONE
        self.add_event_handler("ssl_cert", self.see_certificate)
        # Subscriptions are asked for and approved by the script.
        self.auto_authorize = None
        self.auto_subscribe = False
        for plugin in ["xep_0198", "xep_0199"]:
            self.register_plugin(plugin)
        self.events = []
        self.news = asyncio.Event()
        for event in ["session_start", "session_resumed", "failed_all_auth", "disconnected", "message", "stanza_acked",
                      "presence_available", "presence_unavailable", "presence_subscribe", "sm_enabled", "sm_failed",
                      "wrong_certificate"]:
            self.add_event_handler(event, lambda data, event=event: self.note(event, data))

    def note(self, event, data):
        self.events.append((event, data))
        self.news.set()

    def see_certificate(self, pem):
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        step(f"{self.name}: TLS, certificate {fingerprint}")
        if self.options.fingerprint and fingerprint != self.options.fingerprint:
            self.note("wrong_certificate", fingerprint)
            self.abort()

    async def wait(self, what, *events, match=lambda data: True):
        """The first of these events that matches, as (event, data); it is taken away."""
        end = time.monotonic() + PATIENCE
        while True:
            for index, (event, data) in enumerate(self.events):
                if event in events and match(data):
                    return self.events.pop(index)
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), max(0, end - time.monotonic()))
            except asyncio.TimeoutError:
                raise Failed(f"{self.name} waited {PATIENCE} s for {what}") from None

    async def log_in(self):
        """A new session, or the old one again: what became of it."""
        self.events.clear()
        self.connect(self.options.host, self.options.port)
        event, data = await self.wait("its login", "session_start", "session_resumed", "failed_all_auth",
                                      "wrong_certificate", "disconnected")
        if event == "failed_all_auth":
            raise Failed(f"{self.name} was refused: is the password right?")
        if event in ["wrong_certificate", "disconnected"]:
            raise Failed(f"{self.name} could not log in: {event} {data or ''}")
        return event

    async def done(self):
        """Returns when the server has handled everything that was sent."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.domain, timeout=PATIENCE)

    def tell(self, other, text):
        self.send_message(mto=other.boundjid.bare, mbody=text, mtype="chat")

    async def hear(self, other, text):
        await self.wait(f"the message '{text}'", "message",
                        match=lambda m: m["body"] == text and m["from"].bare == other.boundjid.bare)

    async def know_safe(self, text):
        """The server acknowledges that message: from now on it answers for it."""
        # slixmpp queues stanzas, but not this request: let what is queued go first.
        await self.done()
        self.plugin["xep_0198"].request_ack()
        await self.wait(f"the ack of '{text}'", "stanza_acked", match=lambda s: s.name == "message" and s["body"] == text)


async def begin(person):
    await person.log_in()
    mechanism = person.plugin["feature_mechanisms"].mech.name
    step(f"{person.name}: logged in with {mechanism} as {person.boundjid}")
    await person.wait("stream management (XEP-0198)", "sm_enabled", "sm_failed")
    if not person.plugin["xep_0198"].sm_id:
        raise Failed("the server offers no resumption (XEP-0198)")
    await person.get_roster()
    person.send_presence()
    await person.done()
    step(f"{person.name}: online, {len([j for j in person.client_roster if j != person.boundjid.bare])} contacts")


async def subscribe(a, b):
    """a sees b's presence from now on."""
    # An old subscription would make the request a formality: begin from nothing.
    a.send_presence_subscription(b.boundjid.bare, ptype="unsubscribe")
    await a.done()
    await b.done()
    a.events.clear()
    b.events.clear()
    a.send_presence_subscription(b.boundjid.bare)
    await b.wait(f"the request of {a.name}", "presence_subscribe", match=lambda p: p["from"].bare == a.boundjid.bare)
    step(f"{b.name}: {a.name} wants to see whether I am here; yes")
    b.send_presence_subscription(a.boundjid.bare, ptype="subscribed")
    await a.wait(f"the presence of {b.name}", "presence_available", match=lambda p: p["from"] == b.boundjid)
    step(f"{a.name}: sees that {b.boundjid} is here")


async def conversation(options):
    one = Person(options, options.user1, "one")
    two = Person(options, options.user2, "two")
    await begin(one)
    await begin(two)
    await subscribe(one, two)
    await subscribe(two, one)

    for speaker, listener, text in [(one, two, "Good morrow"), (two, one, "Is the day so young?")]:
        speaker.tell(listener, text)
        await listener.hear(speaker, text)
        step(f"{listener.name}: heard '{text}'")
        await speaker.know_safe(text)
        step(f"{speaker.name}: the server acknowledged it")

    full = one.boundjid.full
    one.events.clear()
    two.events.clear()
    one.transport.abort()
    await one.wait("the end of the connection", "disconnected")
    step(f"{one.name}: lost the TCP connection")
    missed = [f"Are you there? {n}" for n in range(1, 4)]
    for text in missed:
        two.tell(one, text)
    await two.know_safe(missed[-1])
    step(f"{two.name}: sent {len(missed)} messages meanwhile; the server acknowledged them")

    if await one.log_in() != "session_resumed":
        raise Failed(f"{one.name} got a new session instead of the old one")
    if one.boundjid.full != full:
        raise Failed(f"{one.name} came back as {one.boundjid}")
    step(f"{one.name}: resumed the session")
    for text in missed:
        await one.hear(two, text)
        step(f"{one.name}: heard '{text}'")
    one.tell(two, "I am back")
    await two.hear(one, "I am back")
    step(f"{two.name}: heard 'I am back'")
    await one.know_safe("I am back")
    await one.done()
    await two.done()
    for person in [one, two]:
        again = [data["body"] for event, data in person.events if event == "message"]
        if again:
            raise Failed(f"{person.name} heard twice: {again}")
    if any(event == "presence_unavailable" and data["from"] == full for event, data in two.events):
        raise Failed(f"{two.name} saw {one.name} leave")
    step("nothing was lost, nothing came twice, and nobody was seen leaving")

    await one.disconnect()
    await two.wait(f"the end of {one.name}'s presence", "presence_unavailable", match=lambda p: p["from"] == full)
    step(f"{two.name}: sees that {one.name} has left")
    await two.disconnect()


def account(text):
    name, _, password = text.partition(":")
    if not name or not password:
        raise argparse.ArgumentTypeError("NAME:PASSWORD is wanted")
    return name, password


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="5222, or 5223 with --direct-tls")
    parser.add_argument("--domain", default="localhost")
    parser.add_argument("--user1", type=account, required=True, metavar="NAME:PASSWORD")
    parser.add_argument("--user2", type=account, required=True, metavar="NAME:PASSWORD")
    parser.add_argument("--direct-tls", action="store_true", help="TLS from the first byte instead of STARTTLS")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", type=lambda text: text.replace(":", "").lower(),
                       help="accept the certificate with this SHA-256 fingerprint, whoever signed it")
    trust.add_argument("--insecure", action="store_true", help="accept any certificate")
    options = parser.parse_args()
    options.port = options.port or (5223 if options.direct_tls else 5222)
    try:
        asyncio.run(asyncio.wait_for(conversation(options), 120))
    except (Failed, asyncio.TimeoutError, slixmpp.exceptions.XMPPError) as failure:
        step(f"FAILED: {failure or type(failure).__name__}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
