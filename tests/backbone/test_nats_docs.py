"""docs/nats.md shows every file that `cluster up --backbone nats` writes, as it writes it."""

from __future__ import annotations

import re

import pytest

from cluster import nats_files
from cluster.files import parse_topology, topology_source
from cluster.topology import assign_ports
from tests.running import ROOT

TEXT = (ROOT / "docs" / "nats.md").read_text()
CLUSTER = "c1a5c0de"
USERS = {
    "us-east-1": "UBQK3XCQ5CSWGGMNQ7TB3JH3WKD5MGEMHYKEUF2H7ZFDTKBBTKC6Z7HX",
    "eu-west-1": "UDT4WZ3ZYUQ6E2VMFMLVOWKZPQBXQGVC5MXMAMIM3BN4CGGJ5RMQLYPF",
    "ap-southeast-1": "UCQMEGJ4AIFZRWWPRHFJEXCE6F3LTTVDQIEOXZZ2RCMVTNXLFFXYMZ5Y",
}


def regions() -> dict[str, nats_files.Region]:
    """The example of the page: the default topology on the default ports, with readable secrets."""
    topology = parse_topology(*topology_source("three_regions"))
    ports = assign_ports(topology, 8700, "nats")
    return {
        region: nats_files.Region(
            name=region,
            ports=ports.nats[region],
            users=(USERS[region],),
            gateways={to: port for (own, to), port in ports.gateways.items() if own == region},
            gateway_password="GATEWAY-PASSWORD",
            leaf_password=f"LEAF-PASSWORD-OF-{region}",
            store=f"/var/lib/stsd/nats/{region}/store",
        )
        for region in topology.regions
    }


FILES = {
    f"{region}/{name}.conf": write(told, CLUSTER)
    for region, told in regions().items()
    for name, write in (("core", nats_files.core), ("jetstream", nats_files.jetstream))
}


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_each_file_as_it_is_written(name):
    found = re.search(rf"`{re.escape(name)}`[^\n]*\n\n```\n(.*?)```\n", TEXT, re.DOTALL)
    assert found, f"docs/nats.md lacks {name}"
    assert found[1] == FILES[name]


if __name__ == "__main__":
    for name, content in FILES.items():
        print(f"`{name}`:\n\n```\n{content}```\n")
