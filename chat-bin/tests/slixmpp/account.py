from client import Client, check, refused, scenario


async def main(args, romeo, mayfly):
    """XEP-0077 §3.2, §3.3: a password is changed, then the second account is cancelled. It does not exist afterwards."""
    name, secret = mayfly
    client = await Client(args, mayfly, "old").login()
    await client.online()
    await client.plugin["xep_0077"].change_password(secret + "2", jid=args.domain)
    await client.leave()

    # One mechanism each: slixmpp would try all of them, and servers slow down who fails too often.
    outcome = await Client(args, mayfly, "old", mechanism="SCRAM-SHA-1").open()
    check(outcome == "failed_all_auth", f"with the old password: {outcome}")
    changed = (name, secret + "2")
    client = await Client(args, changed, "new").login()
    await client.online()
    other = await Client(args, changed, "other").login()

    # Nobody else's account can be cancelled by asking at it.
    orchard = await Client(args, romeo, "orchard").login()
    await refused(orchard.plugin["xep_0077"].cancel_registration(jid=client.boundjid.bare),
                  ["service-unavailable", "not-allowed", "forbidden"])
    await client.settle()

    # The answer may come before the stream ends, or the stream's end is the answer (§3.2).
    try:
        await client.plugin["xep_0077"].cancel_registration(jid=args.domain, timeout=5)
    except Exception as error:
        if client.transport:
            raise error
    await client.expect(["stream_error", "disconnected"], what="the end of its stream")
    await other.expect(["stream_error", "disconnected"], what="the end of the other stream")
    outcome = await Client(args, changed, "new", mechanism="SCRAM-SHA-1").open()
    check(outcome == "failed_all_auth", f"after the account was cancelled: {outcome}")
    await orchard.leave()


scenario(main, 2)
