import asyncio

from client import Client, Failed, check, scenario


async def register(args, account):
    """Tries to make an account before login (XEP-0077 §3.1): "result", the condition of the error, or "not offered"."""
    client = Client(args, account, "new")
    plugin = client.plugin["xep_0077"]
    plugin.create_account = True
    outcome = asyncio.get_running_loop().create_future()

    async def on_register(form):
        try:
            check(form["register"]["username"] is not None, "the form wants no username")
            iq = client.make_iq_set()
            iq["register"]["username"], iq["register"]["password"] = account
            await iq.send(timeout=10)
            outcome.set_result("result")
        except Exception as error:
            condition = getattr(error, "condition", None) or str(error)
            outcome.done() or outcome.set_result(condition)

    client.add_event_handler("register", on_register)
    # Without the feature the login comes next; it fails, or succeeds for an account that exists.
    for event in ["failed_all_auth", "session_start"]:
        client.add_event_handler(event, lambda _: outcome.done() or outcome.set_result("not offered"))
    client.connect(args.host, args.port)
    try:
        return await asyncio.wait_for(outcome, 10)
    except asyncio.TimeoutError:
        raise Failed("no answer to the registration") from None
    finally:
        client.abort()


async def main(args, romeo, newcomer):
    """XEP-0077 §3.1 where registration is open: a new account, and a conflict for a name that is taken."""
    outcome = await register(args, newcomer)
    check(outcome == "result", f"a new account: {outcome}")
    client = await Client(args, newcomer, "first").login()
    await client.online()
    await client.leave()
    outcome = await register(args, (romeo[0], "stolen"))
    check(outcome == "conflict", f"a name that is taken: {outcome}")
    client = await Client(args, romeo, "orchard").login()
    await client.leave()
    # Gone again, so that the scenario can be run once more.
    client = await Client(args, newcomer, "last").login()
    await client.online()
    try:
        await client.plugin["xep_0077"].cancel_registration(jid=args.domain, timeout=5)
    except Exception as error:
        if client.transport:
            raise error
    await client.expect(["stream_error", "disconnected"], what="the end of its stream")


scenario(main, 2)
