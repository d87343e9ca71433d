from client import Client, check, scenario


async def main(args, romeo):
    """XEP-0368: TLS from the first byte."""
    client = await Client(args, romeo, "orchard", direct=True).login()
    check("starttls" not in client.features, "STARTTLS was offered under TLS")
    check(client.certificate is not None, "there was no certificate")
    await client.online()
    await client.leave()


scenario(main, 1)
