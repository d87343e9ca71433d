from client import Client, befriend, check, comes_from, refused, scenario


def holds(jid, **wanted):
    """Matches a roster result or push that has this item with these attributes."""
    def match(iq):
        item = iq["roster"]["items"].get(jid)
        return item is not None and all(item[key] == value for key, value in wanted.items())
    return match


async def main(args, romeo, juliet):
    """RFC 6121 §2, §3, §4: roster pushes, the whole way of a subscription, presence, and the way back."""
    phone = Client(args, romeo, "phone")
    tablet = Client(args, romeo, "tablet")
    balcony = Client(args, juliet, "balcony")
    for client in [phone, balcony]:
        await client.login()
        await client.tidy()
    await tablet.login()
    await tablet.online()
    r, j = phone.boundjid.bare, balcony.boundjid.bare
    for client in [phone, tablet, balcony]:
        client.forget()

    # A name and a group: the other resource is told (§2.1.6).
    await phone.update_roster(j, name="Juliet", groups=["Verona"])
    for client in [phone, tablet]:
        push = await client.expect("roster_update", holds(j, name="Juliet", subscription="none"))
        check(push["roster"]["items"][j]["groups"] == ["Verona"], "the group is missing")

    # A request: pending at one side, waiting at the other (§3.1).
    phone.send_presence_subscription(j)
    await tablet.expect("roster_update", holds(j, subscription="none", ask="subscribe"))
    await balcony.expect("presence_subscribe", comes_from(r))
    balcony.send_presence_subscription(r, ptype="subscribed")
    await tablet.expect("roster_update", holds(j, subscription="to", name="Juliet"))
    await balcony.expect("roster_update", holds(r, subscription="from"))
    await phone.expect("presence_subscribed", comes_from(j))
    await phone.expect("presence_available", comes_from(balcony.boundjid.full))
    balcony.never("presence_available", comes_from(r), "presence without a subscription")

    # The other way, then both see each other (§3.1).
    balcony.send_presence_subscription(r)
    await phone.expect("presence_subscribe", comes_from(j))
    phone.send_presence_subscription(j, ptype="subscribed")
    await tablet.expect("roster_update", holds(j, subscription="both"))
    await balcony.expect("roster_update", holds(r, subscription="both"))
    for full in [phone.boundjid.full, tablet.boundjid.full]:
        await balcony.expect("presence_available", comes_from(full), f"presence of {full}")

    # Presence follows (§4.4, §4.5).
    phone.send_presence(pshow="away", pstatus="in exile")
    await balcony.expect("presence_available",
                         lambda p: p["from"] == phone.boundjid and p["show"] == "away" and p["status"] == "in exile")
    await tablet.leave()
    await balcony.expect("presence_unavailable", comes_from(tablet.boundjid.full))

    # A new resource learns who is there (§4.2, §4.3).
    garden = Client(args, juliet, "garden")
    await garden.login()
    await garden.online()
    await garden.expect("presence_available", lambda p: p["from"] == phone.boundjid and p["show"] == "away")
    await phone.expect("presence_available", comes_from(garden.boundjid.full))
    await garden.leave()

    # Withdrawn, and removed (§3.2, §2.5): presence ends, both rosters agree.
    phone.forget()
    balcony.send_presence_subscription(r, ptype="unsubscribed")
    await phone.expect("presence_unsubscribed", comes_from(j))
    await phone.expect("roster_update", holds(j, subscription="from"))
    await phone.expect("presence_unavailable", comes_from(balcony.boundjid.full))
    await phone.del_roster_item(j)
    await phone.expect("roster_update", holds(j, subscription="remove"))
    await balcony.expect("presence_unsubscribed", comes_from(r))
    await balcony.settle()
    items = await balcony.read_roster()
    check(items[r]["subscription"] == "none", f"the roster still says {items[r]['subscription']}")
    await refused(phone.del_roster_item("nobody@nowhere.example"), "item-not-found")

    await befriend(phone, balcony)
    for client in [phone, balcony]:
        await client.tidy()
        await client.leave()


scenario(main, 2)
