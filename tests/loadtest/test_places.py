from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.places import DataDirError, read_places, read_role

CREDENTIALS = """
[bob]
aws_access_key_id = AKIABOB
aws_secret_access_key = bobs%secret
[carol]
aws_access_key_id = AKIACAROL
aws_secret_access_key = carols
"""
CONFIG = """
[profile bob]
region = us-east-1
[profile guarded]
role_arn = arn:guarded
source_profile = bob
mfa_serial = arn:mfa
external_id = x
[profile chained]
role_arn = arn:chained
source_profile = deploy
external_id = x
[profile deploy]
role_arn = arn:deploy
source_profile = bob
"""
AUDIT = """
[profile audit]
role_arn = arn:audit
source_profile = carol
external_id = books
"""


def data_dir(path: Path, config: str) -> Path:
    (path / "credentials").write_text(CREDENTIALS)
    (path / "config").write_text(config)
    return path


def test_a_role_that_a_user_may_assume_without_mfa_is_found(tmp_path):
    role = read_role(data_dir(tmp_path, CONFIG))
    assert (role.role_arn, role.external_id, role.key.access_key_id) == ("arn:deploy", "", "AKIABOB")
    assert role.key.secret_access_key == "bobs%secret"


def test_a_role_with_an_external_id_is_preferred(tmp_path):
    role = read_role(data_dir(tmp_path, CONFIG + AUDIT))
    assert (role.role_arn, role.external_id, role.key.access_key_id) == ("arn:audit", "books", "AKIACAROL")


def test_a_world_without_a_usable_role_is_said(tmp_path):
    with pytest.raises(DataDirError, match="no profile assumes a role without MFA"):
        read_role(data_dir(tmp_path, "[profile bob]\nregion = us-east-1\n"))


def test_places_come_from_the_cluster_file(tmp_path):
    place = {"region": "us-east-1", "global": "http://127.0.0.1:1", "regional": {"us-east-1": "http://127.0.0.1:2"}}
    (tmp_path / "cluster.json").write_text(json.dumps({"locations": {"virginia": place}}))
    [found] = read_places(tmp_path)
    assert (found.name, found.region, found.global_url) == ("virginia", "us-east-1", "http://127.0.0.1:1")
    assert found.regional == {"us-east-1": "http://127.0.0.1:2"}


@pytest.mark.parametrize("content", ["{", "[]", '{"locations": {"x": {}}}'])
def test_a_damaged_cluster_file_is_said(tmp_path, content):
    (tmp_path / "cluster.json").write_text(content)
    with pytest.raises(DataDirError, match=r"cluster.json: cannot be used"):
        read_places(tmp_path)


def test_no_cluster_says_how_to_start_one(tmp_path):
    with pytest.raises(DataDirError, match="python -m cluster up"):
        read_places(tmp_path)
