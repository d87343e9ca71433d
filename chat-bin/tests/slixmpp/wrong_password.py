from client import Client, check, scenario


async def main(args, romeo):
    """RFC 6120 §6.5.10: a wrong password and an unknown account are refused alike; the right one still works."""
    # One mechanism each: slixmpp would try all of them, and servers slow down who fails too often.
    for account, mechanism in [((romeo[0], romeo[1] + "x"), "SCRAM-SHA-1"), (("nobody-here", "x"), "PLAIN")]:
        client = Client(args, account, "x", mechanism=mechanism)
        outcome = await client.open()
        check(outcome == "failed_all_auth", f"{account[0]} with a wrong password by {mechanism}: {outcome}")
        failure = await client.expect("failed_auth")
        condition = failure["condition"]
        check(condition == "not-authorized", f"refused with {condition}")
        client.never(["auth_success", "session_start"])
        client.abort()
    client = await Client(args, romeo, "orchard").login()
    await client.leave()


scenario(main, 1)
