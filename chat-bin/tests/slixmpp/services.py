import re

from client import Client, check, refused, scenario


async def main(args, romeo, juliet):
    """XEP-0030, 0092, 0199, 0202, and errors for what is not there: RFC 6120 §8.3, §10.4."""
    orchard = await Client(args, romeo, "orchard").login()
    await orchard.online()
    server = args.domain

    info = (await orchard.plugin["xep_0030"].get_info(jid=server))["disco_info"]
    features = set(info["features"])
    wanted = {"http://jabber.org/protocol/disco#info", "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time",
              "urn:xmpp:blocking", "urn:xmpp:carbons:2"}
    # Where carbons are announced, server or account, was not always agreed on.
    account = (await orchard.plugin["xep_0030"].get_info(jid=orchard.boundjid.bare))["disco_info"]
    missing = wanted - features - set(account["features"])
    check(not missing, f"not announced: {sorted(missing)}")
    identities = {(i[0], i[1]) for i in info["identities"]}
    check(("server", "im") in identities, f"the server is {identities}")
    check(("account", "registered") in {(i[0], i[1]) for i in account["identities"]}, "the account has no identity")
    items = await orchard.plugin["xep_0030"].get_items(jid=server)
    check(items["type"] == "result", "no answer to disco#items")

    version = (await orchard.plugin["xep_0092"].get_version(server))["software_version"]
    check(version["name"] and version["version"], "no name or version")
    time = (await orchard.plugin["xep_0202"].get_entity_time(server))["entity_time"]
    utc, tzo = (time.xml.findtext(f"{{urn:xmpp:time}}{name}") for name in ["utc", "tzo"])
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", utc or ""), f"the time is {utc}")
    check(re.fullmatch(r"Z|[+-]\d\d:\d\d", tzo or ""), f"the zone is {tzo}")
    await orchard.plugin["xep_0199"].send_ping(server)
    await orchard.plugin["xep_0199"].send_ping(orchard.boundjid.bare)

    # Between clients an iq passes both ways.
    balcony = await Client(args, juliet, "balcony").login()
    await balcony.online()
    await orchard.plugin["xep_0199"].send_ping(balcony.boundjid.full)

    # What nobody answers comes back.
    odd = orchard.make_iq_get(queryxmlns="urn:example:nobody-knows-this", ito=server)
    await refused(odd.send(), ["service-unavailable", "feature-not-implemented"])
    gone = orchard.plugin["xep_0199"].send_ping(f"{balcony.boundjid.bare}/nowhere")
    await refused(gone, "service-unavailable")
    far = orchard.plugin["xep_0199"].send_ping("far.invalid")
    await refused(far, "remote-server-not-found")
    print(f"{version['name']} {version['version']}")
    for client in [orchard, balcony]:
        await client.leave()


scenario(main, 2)
