import ssl

from client import Client, check, scenario


async def main(args, romeo):
    """RFC 5802, 7677, 4616: every mechanism by itself; then the client's own choice among all that is offered."""
    wanted = args.mechanisms.split(",")
    for mechanism in wanted:
        client = await Client(args, romeo, mechanism, mechanism=mechanism).login()
        used = client.plugin["feature_mechanisms"].mech.name
        check(used == mechanism, f"asked for {mechanism}, used {used}")
        await client.leave()

    client = await Client(args, romeo, "choice").login()
    offered = client.plugin["feature_mechanisms"].mech_list
    missing = [m for m in wanted if m not in offered]
    check(not missing, f"not offered: {missing}")
    used = client.plugin["feature_mechanisms"].mech.name
    bound = "tls-exporter" in ssl.CHANNEL_BINDING_TYPES
    check(used.startswith("SCRAM-"), f"chose {used}")
    # Where -PLUS is offered and Python has no tls-exporter, the client must get in without it.
    check(bound or client.transport.get_extra_info("ssl_object").version() != "TLSv1.3" or not used.endswith("-PLUS"),
          f"chose {used} without a channel binding")
    print(f"offered {', '.join(sorted(offered))}; chose {used}")
    await client.leave()


scenario(main, 1)
