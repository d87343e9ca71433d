from client import Client, befriend, check, comes_from, says, scenario


async def main(args, romeo, juliet):
    """XEP-0198 §5: the TCP connection is cut twice; nothing is lost, doubled or out of order, and nobody sees him leave."""
    orchard = Client(args, romeo, "orchard")
    balcony = Client(args, juliet, "balcony")
    for client in [orchard, balcony]:
        await client.login()
        await client.expect("sm_enabled", what="stream management")
        await client.tidy()
    await befriend(orchard, balcony)
    bound = orchard.boundjid.full
    token = orchard.plugin["xep_0198"].sm_id
    check(token, "the session cannot be resumed")

    for turn in ["first", "second"]:
        orchard.forget()
        await orchard.cut()
        for n in range(5):
            balcony.say(bound, f"{turn} {n}")
        await balcony.settle()
        outcome = await orchard.open()
        check(outcome == "session_resumed", f"not resumed but {outcome}")
        check(orchard.boundjid.full == bound, f"resumed as {orchard.boundjid}")
        for n in range(5):
            await orchard.expect("message", says(f"{turn} {n}", balcony.boundjid.full))
        bodies = [data["body"] for name, data in orchard.seen if name == "message"]
        check(bodies == [], f"came twice: {bodies}")
        # The stream goes on both ways.
        orchard.say(balcony.boundjid.full, f"{turn} answer")
        await balcony.expect("message", says(f"{turn} answer", bound))
        await orchard.acked(f"{turn} answer")

    balcony.never("presence_unavailable", comes_from(bound), "the presence of one who came back in time")

    # What was sent while the connection died is sent again by the client and arrives once.
    orchard.say(balcony.boundjid.full, "in flight")
    orchard.transport.abort()
    await orchard.expect("disconnected")
    check(await orchard.open() == "session_resumed", "not resumed after a loss in flight")
    await balcony.expect("message", says("in flight", bound))
    await orchard.settle()
    await balcony.settle()
    balcony.never("message", says("in flight"), "the same message again")

    # A session that was closed properly cannot be resumed (§5).
    await orchard.leave()
    await balcony.expect("presence_unavailable", comes_from(bound))
    orchard.plugin["xep_0198"].sm_id = token
    outcome = await orchard.open()
    check(outcome == "session_start", f"after a proper end: {outcome}")
    for client in [orchard, balcony]:
        await client.tidy()
        await client.leave()


scenario(main, 2)
