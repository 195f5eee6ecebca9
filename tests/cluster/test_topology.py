from __future__ import annotations

import json

import pytest

from cluster import files, topology
from cluster.topology import RoundTrip, TopologyError
from stsd.config import DEFAULT_PORT

TABLE = {
    ("us-east-1", "us-east-1"): RoundTrip(5.5, 9.3),
    ("us-east-1", "eu-west-1"): RoundTrip(69.6, 74.6),
    ("eu-west-1", "us-east-1"): RoundTrip(69.7, 72.8),
    ("eu-west-1", "eu-west-1"): RoundTrip(3.2, 5.8),
}


def parse(text: str) -> topology.Topology:
    return topology.parse(text, "test", TABLE)


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse(text)
    return caught.value.faults


def test_home_and_locations_default_to_the_regions():
    found = parse('regions = ["eu-west-1", "us-east-1"]')
    assert found.home == "eu-west-1"
    assert found.locations == ("eu-west-1", "us-east-1")
    assert found.rtt["us-east-1", "eu-west-1"] == RoundTrip(69.6, 74.6)


def test_a_region_outside_the_table_needs_a_round_trip_to_each_place():
    text = 'regions = ["us-east-1", "moon-far-1"]'
    assert faults(text) == (
        "topology test: no round trip from us-east-1 to moon-far-1 is known: add one under [[rtt]]",
        "topology test: no round trip from moon-far-1 to us-east-1 is known: add one under [[rtt]]",
    )
    found = parse(text + '\n[[rtt]]\nfrom="us-east-1"\nto="moon-far-1"\np50_ms=2600\np90_ms=2700\n')
    assert found.rtt["us-east-1", "moon-far-1"] == found.rtt["moon-far-1", "us-east-1"] == RoundTrip(2600, 2700)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("regions = []", "name at least one"),
        ('regions = ["us-east-1", "us-east-1"]', "us-east-1 is named twice"),
        ('regions = ["Virginia"]', "'Virginia' is not a region name"),
        ('regions = ["us-east-1"]\nhome = "eu-west-1"', "'eu-west-1' is not one of the regions"),
        ('regions = ["us-east-1"]\nweather = "fine"', "weather: not known"),
        ('regions = "us-east-1"', "give a list"),
        ('regions = ["us-east-1"]\n[[rtt]]\nfrom="us-east-1"\nto="us-east-1"\np50_ms=5\np90_ms=4', "not below p50_ms"),
        (
            'regions = ["us-east-1"]\n[[rtt]]\nfrom="us-east-1"\nto="us-east-1"\np50_ms=5\np90_ms=inf',
            "not below p50_ms",
        ),
        ("regions = [", "not TOML"),
        ("regions = " + "[" * 9_999, "nested too deep"),
        ("regions = " + "9" * 9_999, "not TOML"),
        (
            'regions = ["us-east-1", "eu-west-1"]\ncapacity.us-east-1 = 9',
            "capacity: eu-west-1 is missing; give calls per second of every region or of none",
        ),
        ("capacity.x = " + "9" * 400, "capacity.x: the integer is out of range; allowed are 64 bits"),
        (f"regions = {json.dumps([f'us-east-{i}' for i in range(13)])}", "give 1 to 12"),
    ],
)
def test_a_wrong_topology_is_refused_with_the_reason(text, fault):
    assert any(fault in line for line in faults(text))


OWN = 'regions = ["us-east-1", "eu-west-1"]\n'


def trip(to: str, p90_ms: object = 6) -> str:
    return f'[[rtt]]\nfrom = "us-east-1"\nto = "{to}"\np50_ms = 5\np90_ms = {p90_ms}\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (trip("eu-wset-1"), "rtt[0]: eu-wset-1 is no region or location here; allowed are us-east-1, eu-west-1"),
        (trip("eu-west-1") * 2, "rtt[1]: us-east-1 to eu-west-1 is there twice"),
        (
            trip("eu-west-1", "1e9"),
            "rtt[0]: p50_ms and p90_ms are milliseconds up to 60,000, and p90_ms is not below p50_ms",
        ),
    ],
)
def test_a_round_trip_that_would_change_nothing_or_never_end_is_refused(text, fault):
    assert faults(OWN + text) == (f"topology test: {fault}",)


def test_an_empty_file_is_one_fault():
    assert faults("") == ("topology test: regions: name at least one region",)


def test_all_faults_are_told_at_once():
    assert len(faults('regions = ["us-east-1", "Virginia"]\nweather = 1\nhome = 3')) >= 3


@pytest.mark.parametrize("file", sorted(files.TOPOLOGIES.glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_topologies_parse(file):
    found = files.parse_topology(file.stem, file.read_text())
    assert set(found.rtt) == {(place, region) for place in found.locations for region in found.regions}


def test_the_default_topology_is_the_contracts():
    name, text = files.topology_source(files.DEFAULT_TOPOLOGY)
    assert files.parse_topology(name, text).regions == ("us-east-1", "eu-west-1", "ap-southeast-1")


def test_regions_follow_the_router_and_everything_else_leaves_the_port_of_a_single_node_free():
    found = parse('regions = ["us-east-1", "eu-west-1"]')
    ports = topology.assign_ports(found, 8700)
    assert ports.router == 8700
    assert ports.regions == {"us-east-1": 8701, "eu-west-1": 8702}
    others = [port for port in ports.named() if port not in (8700, 8701, 8702)]
    assert min(others) == 8720
    assert DEFAULT_PORT not in ports.named()
    assert len(ports.named()) == 1 + 2 + 2 * 3 + 2


def test_twelve_regions_follow_the_router_and_everything_else_is_above_them():
    found = files.parse_topology(*files.topology_source("twelve_regions"))
    ports = topology.assign_ports(found, 8700, "nats")
    assert list(ports.regions.values()) == list(range(8701, 8713))
    others = sorted({*ports.named()} - {8700, *ports.regions.values()})
    assert others[0] == 8720
    assert len(others) == 12 * 13 + 2 * 12 * 11 + 12 * 4  # places, links of both kinds, NATS servers: no port twice


def test_six_regions_are_called_from_every_place_of_the_twelve():
    six, twelve = (files.parse_topology(*files.topology_source(f"{name}_regions")) for name in ("six", "twelve"))
    assert len(six.regions) == 6
    assert {*six.regions} < {*six.locations} == {*twelve.regions} == {*twelve.locations}


@pytest.mark.parametrize("base_port", [0, -1, 65535, 70000])
def test_ports_that_do_not_exist_are_refused(base_port):
    with pytest.raises(TopologyError, match="--base-port"):
        topology.assign_ports(parse('regions = ["us-east-1"]'), base_port)
