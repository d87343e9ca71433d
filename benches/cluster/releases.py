"""Nodes of two releases in one cluster: replaced one by one by those of the other, while clients talk."""

import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent.parent / "chat-core" / "src" / "cluster" / "wire"


def protocols():
    """The newest protocol between nodes that the release before speaks, and the newest that there is."""
    released = int((HERE / "released").read_text().split()[2])
    return released, max(int(path.stem.removeprefix("golden_")) for path in GOLDEN.glob("golden_*.txt"))


def halved(world, _hold):
    """Every other node becomes one of this release; what comes next happens to both."""
    replaced(world, world.nodes[::2], world.program)


def upgraded(world, _hold):
    replaced(world, [node for node in world.nodes if node.program != world.program], world.program)


def rolled_back(world, _hold):
    # What a later release may have done to the tables.
    world.database.ask(
        "ALTER TABLE chat_spool ADD COLUMN IF NOT EXISTS later TEXT; ALTER TABLE chat_user ADD COLUMN IF NOT EXISTS later INTEGER NOT NULL DEFAULT 7; "
        "INSERT INTO chat_schema (version, needs) SELECT max(version) + 1, max(needs) FROM chat_schema"
    )
    replaced(world, world.dice.sample(world.nodes, len(world.nodes)), world.options.released)


def as_promised(row):
    """Whether at least 99 % of those who were sent away, and could, went on with their sessions."""
    return row["anew"] <= (row["resumed"] + row["anew"]) / 100


def replaced(world, nodes, program):
    for node in nodes:
        node.stop()
        node.program = program
        node.start()
        world.wait_until_whole()
        check_links(world)
        # From the old to the new and back, besides those who had to.
        world.swarm.ask(f"drop {world.options.clients // 8}")
    world.over()


def check_links(world):
    """Two nodes speak the newest protocol that both know."""
    released, newest = protocols()
    speaks = {node.name: newest if node.program == world.program else released for node in world.nodes}
    for node in world.nodes:
        told = subprocess.run(
            [*world.network.inside(node.machine), str(node.program), "ctl", "status", "--json"], capture_output=True, check=True
        )
        spoken = {peer["name"]: peer["protocol"] for peer in json.loads(told.stdout)["peers"]}
        wanted = {name: min(speaks[name], speaks[node.name]) for name in spoken}
        if spoken != wanted:
            raise SystemExit(f"{node.name} speaks {spoken} with the others, and not {wanted}")
