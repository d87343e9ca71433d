from client import Client, check, says, scenario


def carries(body):
    """Matches a carbon of a message with this body."""
    def match(message):
        for kind in ["carbon_received", "carbon_sent"]:
            if message.get_plugin(kind, check=True) is not None:
                return message[kind]["body"] == body
        return False
    return match


async def main(args, romeo, juliet):
    """XEP-0280: two resources of one account see both halves of a conversation, each message once."""
    phone = Client(args, romeo, "phone")
    tablet = Client(args, romeo, "tablet")
    balcony = Client(args, juliet, "balcony")
    for client in [phone, balcony]:
        await client.login()
        await client.tidy()
    await tablet.login()
    await tablet.online()
    for client in [phone, tablet]:
        await client.plugin["xep_0280"].enable()
        await client.settle()
        client.forget()

    # For one resource: the other gets a copy (§6).
    balcony.say(phone.boundjid.full, "Hist! Romeo, hist!")
    await phone.expect("message", says("Hist! Romeo, hist!", balcony.boundjid.full))
    copy = await tablet.expect("carbon_received", carries("Hist! Romeo, hist!"))
    inner = copy["carbon_received"]
    check(inner["from"] == balcony.boundjid and inner["to"] == phone.boundjid, f"the copy is of {inner}")

    # From one resource: the other gets a copy (§7).
    phone.say(balcony.boundjid.full, "It is my soul that calls upon my name")
    await balcony.expect("message", says("It is my soul that calls upon my name", phone.boundjid.full))
    copy = await tablet.expect("carbon_sent", carries("It is my soul that calls upon my name"))
    check(copy["carbon_sent"]["to"] == balcony.boundjid, f"the copy is of {copy['carbon_sent']}")

    # Private: no copy (§8). What follows shows that none is on its way.
    message = balcony.make_message(mto=phone.boundjid.full, mbody="a secret", mtype="chat")
    message.enable("carbon_private")
    message.send()
    await phone.expect("message", says("a secret"))
    balcony.say(phone.boundjid.full, "no secret")
    await tablet.expect("carbon_received", carries("no secret"))
    tablet.never("carbon_received", carries("a secret"), "a copy of a private message")

    # To the bare JID: both get the message itself, and no copy of it.
    balcony.say(phone.boundjid.bare, "to both")
    for client in [phone, tablet]:
        await client.expect("message", says("to both", balcony.boundjid.full))
    await tablet.plugin["xep_0280"].disable()
    balcony.say(phone.boundjid.full, "only to one")
    await phone.expect("message", says("only to one"))
    for client in [tablet, phone]:
        await client.settle()
        client.never("carbon_received", carries("to both"), "a copy beside the message")
        client.never("carbon_received", carries("only to one"), "a copy after switching copies off")
    for client in [phone, tablet, balcony]:
        await client.leave()


scenario(main, 2)
