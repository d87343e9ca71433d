from client import Client, befriend, check, comes_from, refused, says, scenario


async def main(args, romeo, juliet):
    """XEP-0191: who is blocked sees nobody and reaches nobody, and everything is as before once unblocked."""
    balcony = Client(args, juliet, "balcony")
    garden = Client(args, juliet, "garden")
    orchard = Client(args, romeo, "orchard")
    for client in [balcony, orchard]:
        await client.login()
        await client.tidy()
    await garden.login()
    await garden.online()
    await befriend(balcony, orchard)
    r, j = orchard.boundjid.bare, balcony.boundjid.bare
    await garden.plugin["xep_0191"].get_blocked_jids()

    # The contact sees the user leave; her other resource is told (§3.3).
    orchard.forget()
    await balcony.plugin["xep_0191"].block(r)
    await orchard.expect("presence_unavailable", comes_from(balcony.boundjid.full))
    push = await garden.expect("blocked")
    check([str(item["jid"]) for item in push["block"]] == [r], f"the push says {push}")
    check(await balcony.plugin["xep_0191"].get_blocked_jids() == {r}, "the list is wrong")

    # From the contact nothing arrives; he gets errors that do not say why (§3.3).
    orchard.say(j, "let me in")
    error = await orchard.expect(["message", "message_error"], lambda m: m["type"] == "error", "an error")
    check(error["error"]["condition"] == "service-unavailable", f"refused with {error['error']['condition']}")
    await refused(orchard.plugin["xep_0199"].send_ping(balcony.boundjid.full, timeout=5), "service-unavailable")
    await balcony.settle()
    balcony.never("message", says("let me in"), "a message from a blocked contact")

    # To the contact nothing goes: a message comes back with a reason (§3.3).
    balcony.say(r, "he is gone")
    error = await balcony.expect(["message", "message_error"], lambda m: m["type"] == "error", "an error")
    check(error["error"]["condition"] == "not-acceptable", f"refused with {error['error']['condition']}")
    await orchard.settle()
    orchard.never("message", says("he is gone"), "a message of one who blocks him")

    # Unblocked: presence returns, messages pass (§3.4).
    orchard.forget()
    await balcony.plugin["xep_0191"].unblock(r)
    await orchard.expect("presence_available", comes_from(balcony.boundjid.full))
    await garden.expect("unblocked")
    orchard.say(j, "thou art back")
    await balcony.expect("message", says("thou art back"))
    for client in [balcony, orchard]:
        await client.tidy()
    for client in [balcony, garden, orchard]:
        await client.leave()


scenario(main, 2)
