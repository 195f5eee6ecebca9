"""Settings: what cannot be used is refused with one line, before anything is listened on."""

from __future__ import annotations

from pathlib import Path

import pytest

from stsd import config
from stsd.config import ConfigError


def keys_file(directory: Path, text: str) -> Path:
    path = directory / "keys"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_comment_is_never_a_resource_server_key(tmp_path):
    path = keys_file(
        tmp_path, "# keys of our verifiers\n\n  # of the second one, in Dublin\n  a-key-of-a-resource-server \n"
    )
    assert config.read_resource_server_keys(path) == ("a-key-of-a-resource-server",)


@pytest.mark.parametrize(
    "line", ["short", "a-key-of-a-resource-server # Dublin", "a-key-of-a-résource-server", "# none"]
)
def test_a_line_that_is_not_one_key_is_refused(tmp_path, line):
    with pytest.raises(ConfigError, match="each line holds one key"):
        config.read_resource_server_keys(keys_file(tmp_path, line))


@pytest.mark.parametrize("text", ["127.0.0.1:9100", "[::1]:0", "localhost:65535"])
def test_an_address_to_listen_on(text):
    host, port = config.address(text)
    assert f"{host}:{port}" == text.replace("[", "").replace("]", "")


@pytest.mark.parametrize("text", ["9100", ":9100", "x:65536", "x:-1", "x:²", f"x:{'9' * 5_000}", "a..b:1", "x:"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match=r"^--metrics-listen: "):
        config.address(text)


@pytest.mark.parametrize("text", ["", "a..b", "x" * 64])
def test_a_host_that_no_resolver_takes_is_refused(text):
    with pytest.raises(ConfigError, match=r"^--host: "):
        config.host(text)


@pytest.mark.parametrize("text", ["http://[", "http://", "http://x:y", "http://x:0", "http://x:99999", "x", "ftp://x"])
def test_what_is_no_url_is_refused(text):
    with pytest.raises(ConfigError, match=r"^--issuer: "):
        config.issuer(text)
