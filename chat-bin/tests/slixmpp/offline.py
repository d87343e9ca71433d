from client import Client, check, says, scenario


async def main(args, romeo, juliet):
    """XEP-0160, XEP-0203: messages wait for one who is offline, in order and stamped; what is not worth keeping does not."""
    orchard = Client(args, romeo, "orchard")
    balcony = Client(args, juliet, "balcony")
    for client in [orchard, balcony]:
        await client.login()
        await client.tidy()
    await balcony.leave()
    j = balcony.boundjid.bare

    for n in range(3):
        orchard.say(j, f"waiting {n}")
    orchard.say(j, "old news", kind="headline")
    normal = orchard.make_message(mto=f"{j}/somewhere", mbody="to a resource that is gone", mtype="normal")
    normal.send()
    await orchard.settle()

    # Without presence nothing is delivered (XEP-0160 §3); with negative priority neither (RFC 6121 §8.5.2.1.1).
    shy = await Client(args, juliet, "shy").login()
    await shy.online(ppriority=-1)
    await shy.settle()
    shy.never("message", what="an offline message at a negative priority")
    balcony = await Client(args, juliet, "balcony").login()
    await balcony.settle()
    balcony.never("message", what="an offline message before presence")
    await balcony.online()
    for n in range(3):
        message = await balcony.expect("message", lambda m: m["body"].startswith("waiting"))
        check(message["body"] == f"waiting {n}", f"out of order: {message['body']}")
        check(message["from"] == orchard.boundjid, f"from {message['from']}")
        check(message["delay"]["stamp"] is not None, "no <delay/>")
    await balcony.expect("message", says("to a resource that is gone"))
    await balcony.settle()
    balcony.never("message", says("old news"), "a headline that was kept")

    # Once is enough.
    await balcony.leave()
    balcony = await Client(args, juliet, "balcony").login()
    await balcony.online()
    await balcony.settle()
    balcony.never("message", what="a message for the second time")
    for client in [shy, balcony, orchard]:
        await client.leave()


scenario(main, 2)
