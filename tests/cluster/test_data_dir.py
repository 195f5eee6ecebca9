from __future__ import annotations

import configparser
import json
import stat
from pathlib import Path

import pytest

from cluster import control, data_dir, files, supervisor
from cluster.data_dir import Wanted, prepare
from cluster.errors import ClusterError

WORLD = 'Accounts:\n- Id: "111122223333"\n  Users:\n  - UserName: ada\n    Administrator: true\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


def fault(path: Path, wanted: Wanted | None = None) -> str:
    with pytest.raises(ClusterError) as caught:
        prepare(path, wanted or Wanted())
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_an_empty_directory_is_filled_privately(path):
    path.mkdir(mode=0o755)
    data = prepare(path, Wanted())
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for entry in path.rglob("*"):
        assert stat.S_IMODE(entry.stat().st_mode) == (0o700 if entry.is_dir() else 0o600), entry
    assert data.topology.regions == ("us-east-1", "eu-west-1", "ap-southeast-1")
    assert data.url("router") == "http://127.0.0.1:8700"


def test_a_filled_directory_is_continued_as_it_is(path):
    first = prepare(path, Wanted(base_port=9100, topology="two_continents"))
    credentials = (path / "credentials").read_bytes()
    assert prepare(path, Wanted()) == first
    assert (path / "credentials").read_bytes() == credentials


def test_another_base_port_moves_the_endpoints_and_keeps_the_keys(path):
    prepare(path, Wanted())
    credentials = (path / "credentials").read_bytes()
    prepare(path, Wanted(base_port=9200))
    config = configparser.ConfigParser(interpolation=None)
    config.read(path / "config")
    assert config["profile admin"]["endpoint_url"] == "http://127.0.0.1:9200"
    assert config["profile admin@eu-west-1"]["endpoint_url"] == "http://127.0.0.1:9202"
    assert (path / "credentials").read_bytes() == credentials
    assert prepare(path, Wanted()).ports.router == 9200


def test_the_same_world_file_may_be_given_again_and_another_may_not(path, tmp_path):
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    prepare(path, Wanted(world=world))
    prepare(path, Wanted(world=world))
    world.write_text(WORLD + "# changed\n")
    assert "--world" in fault(path, Wanted(world=world))
    prepare(path, Wanted())


def test_another_topology_is_refused(path):
    prepare(path, Wanted())
    prepare(path, Wanted(topology="three_regions"))
    assert "holds a cluster of topology three_regions" in fault(path, Wanted(topology="two_continents"))


def test_a_foreign_directory_is_refused_and_left_alone(path):
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    assert "thesis.txt" in fault(path)
    assert [entry.name for entry in path.iterdir()] == ["thesis.txt"]


def test_a_file_instead_of_a_directory_is_refused(path):
    path.write_text("")
    assert "--data-dir" in fault(path)


def test_what_an_interrupted_filling_left_is_filled_anew(path):
    data = prepare(path, Wanted())
    marker = path / data_dir.MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"complete": False}))
    (path / "config").unlink()
    (path / "us-east-1" / "node.json").unlink()
    prepare(path, Wanted())
    assert (path / "config").exists()
    assert (path / "us-east-1" / "node.json").exists()
    assert data.read_key() != (path / "cluster.key").read_bytes()


def test_a_wrong_world_leaves_the_directory_empty(path, tmp_path):
    world = tmp_path / "world.yaml"
    world.write_text('Accounts:\n- Id: "1"\n  Colour: red\n- Id: "2"\n')
    lines = fault(path, Wanted(world=world)).splitlines()
    assert len(lines) >= 3
    assert all(f"--world {world}: " in line for line in lines)
    assert list(path.iterdir()) == []
    prepare(path, Wanted())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(topology="five_regions"), "no such topology"),
        (Wanted(topology="missing.toml"), "cannot be read"),
        (Wanted(world=Path("missing.yaml")), "--world missing.yaml: cannot be read"),
        (Wanted(base_port=0), "--base-port 0"),
        (Wanted(base_port=65530), "--base-port 65530"),
    ],
)
def test_wrong_flags_are_named(path, wanted, words):
    assert words in fault(path, wanted)


def test_a_missing_or_damaged_cluster_key_is_named(path):
    prepare(path, Wanted())
    (path / "cluster.key").write_text("not hexadecimal\n")
    assert "cluster.key" in fault(path)
    (path / "cluster.key").unlink()
    assert "cluster.key" in fault(path)


def test_a_damaged_marker_is_named(path):
    prepare(path, Wanted())
    (path / data_dir.MARKER).write_text("{")
    assert "damaged" in fault(path)


def test_where_no_cluster_is_none_is_found(path):
    with pytest.raises(ClusterError, match="no cluster is here"):
        data_dir.find(path)


def test_cluster_json_has_the_contracts_form(path):
    data = prepare(path, Wanted(topology="two_continents"))
    with files.locked(path):
        data_dir.begin_cluster_file(data)
    data_dir.set_pid(data, "eu-west-1", 4711)
    content = json.loads((path / "cluster.json").read_text())
    assert set(content) == {"router", "regions", "locations", "topology", "started_at"}
    assert content["router"] == {"url": "http://127.0.0.1:8700", "pid": None}
    assert content["regions"]["eu-west-1"] == {
        "url": "http://127.0.0.1:8702",
        "pid": 4711,
        "nodes": [{"url": "http://127.0.0.1:8702", "pid": 4711, "log": str(path / "eu-west-1" / "node.log")}],
    }
    assert content["locations"]["us-east-1"] == {
        "region": "us-east-1",
        "global": "http://127.0.0.1:8720",
        "regional": {"us-east-1": "http://127.0.0.1:8721", "eu-west-1": "http://127.0.0.1:8722"},
    }


def test_a_socket_in_a_very_deep_directory_can_be_reached(tmp_path):
    run = tmp_path / ("d" * 120) / ("e" * 120)
    run.mkdir(parents=True)
    server = control.listen(run, "us-east-1")
    assert stat.S_IMODE((run / "us-east-1.sock").stat().st_mode) == 0o600
    server.close()
    assert control.ask(run, "us-east-1", "status") is None


def test_the_procfile_has_one_line_for_each_process_of_the_default_topology():
    name, text = files.topology_source(files.DEFAULT_TOPOLOGY)
    lines = (files.HERE.parent / "Procfile").read_text().splitlines()
    commands = dict(line.split(": ", 1) for line in lines)
    assert tuple(commands) == (*files.parse_topology(name, text).regions, "links", "router")
    assert all(command.endswith(f"-m cluster supervise {name}") for name, command in commands.items())


def test_every_node_knows_its_peers_and_the_router_gets_its_flags(path):
    data = prepare(path, Wanted())
    node = supervisor.command(data, "eu-west-1", supervisor.RunFlags(unsafe_test_hooks=True))
    peers = [node[i + 1] for i, part in enumerate(node) if part == "--peer"]
    assert peers == [
        f"{to}=http://127.0.0.1:{data.ports.links['eu-west-1', to]}" for to in ("us-east-1", "ap-southeast-1")
    ]
    assert not set(data.ports.links.values()) & set(data.ports.regions.values())
    assert "--unsafe-test-hooks" in node
    assert "--drain-s" not in node
    draining = supervisor.RunFlags(drain_s=6.5)
    assert supervisor.command(data, "eu-west-1", draining)[-2:] == ["--drain-s", "6.5"]
    assert all("--drain-s" not in supervisor.command(data, name, draining) for name in ("links", "router"))
    router = supervisor.command(data, "router", supervisor.RunFlags(policy="home-2011", seed=7))
    assert router[-4:] == ["--policy", "home-2011", "--seed", "7"]


def test_another_cluster_key_is_refused_before_anything_starts(path):
    data = prepare(path, Wanted())
    data.key_file.write_text("ab" * 32 + "\n")
    with pytest.raises(ClusterError, match=r"not the key that .* was made with"):
        prepare(path, Wanted())
