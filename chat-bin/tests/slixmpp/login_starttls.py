from client import Client, check, scenario


async def main(args, romeo):
    """RFC 6120 §5, §6, §7: STARTTLS, SASL, a resource of the client's choice and one of the server's."""
    client = await Client(args, romeo, "orchard", direct=False).login()
    check("starttls" in client.features, "TLS was not negotiated on the stream")
    check(client.certificate is not None, "there was no certificate")
    check(client.boundjid.full == f"{romeo[0]}@{args.domain}/orchard", f"bound {client.boundjid}")
    await client.online()
    await client.leave()

    client = Client(args, romeo, "", direct=False)
    await client.login()
    check(client.boundjid.resource != "", "the server chose no resource")
    await client.leave()


scenario(main, 1)
