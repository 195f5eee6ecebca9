"""Users at several places call STS through the global and the regional endpoint, as seen from there.

    locust -f loadtest/locustfile.py --headless -u 30 -r 30 -t 20s
    locust -f loadtest/locustfile.py            # then open http://localhost:8089

The running cluster is found through its data directory (`--data-dir`, or STSD_DATA; `.stsd` by default). Users are
spread evenly over its places. Each calls GetCallerIdentity, AssumeRole and verify, half of the time through the global
endpoint and half through the regional one of the nearest region; every request is signed for itself by `signer`.
Results are named by operation, endpoint and place: `AssumeRole global eu-west-1`.

This is a closed load: a user waits for its answer before it thinks and calls again. For how much a node can do, use
`python -m loadtest.bench`; for latency under a fixed arrival rate, `python -m cluster experiment`.
"""

from __future__ import annotations

import itertools
import random
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

# `locust -f` puts this file's folder on the path, not the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from locust import between, events, task
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment

from loadtest.client import LoadError, loopback_target
from loadtest.places import GLOBAL_REGION, DataDirError, Place, RoleProfile, read_places, read_role
from loadtest.signer import Signer, assume_role_body, get_caller_identity_body, session_token_of, verify_body

DEFAULT_DATA = ".stsd"


class Scene:
    """Where users are and as whom they call; set once, before the first user."""

    places: Iterator[Place]
    role: RoleProfile


@events.init_command_line_parser.add_listener
def add_arguments(parser: ArgumentParser) -> None:
    """Our own argument beside locust's."""
    parser.add_argument(
        "--data-dir",
        env_var="STSD_DATA",
        default=DEFAULT_DATA,
        help="data directory of a running cluster",
        include_in_web_ui=False,
    )
    parser.set_defaults(web_host="127.0.0.1")  # the web page has no password, so it is for this machine


@events.init.add_listener
def set_scene(environment: Environment, **_: object) -> None:
    """Reads the cluster's data directory; exit 2 with one line when it cannot be used."""
    assert environment.parsed_options is not None
    try:
        data_dir = Path(environment.parsed_options.data_dir)
        places = read_places(data_dir)
        for place in places:
            for url in (place.global_url, *place.regional.values()):
                loopback_target(url)
        Scene.places, Scene.role = itertools.cycle(places), read_role(data_dir)
    except (DataDirError, LoadError) as error:
        print(f"locust: {error}", file=sys.stderr)
        sys.exit(2)


class StsUser(FastHttpUser):
    """Somebody at one place who needs credentials and shows them around."""

    host = "http://127.0.0.1"
    wait_time = between(0.1, 0.4)  # uneven, so that users do not call all at once

    def on_start(self) -> None:
        """Takes the next place, and gets a first session token there."""
        self.place = next(Scene.places)
        self.session_token = ""
        self._assume_role("regional")

    @task(2)
    def get_caller_identity(self) -> None:
        """Who am I?"""
        self._signed("GetCallerIdentity", _endpoint(), get_caller_identity_body())

    @task(1)
    def assume_role(self) -> None:
        """New credentials."""
        self._assume_role(_endpoint())

    @task(2)
    def verify(self) -> None:
        """What a resource server asks about the token that it was given."""
        endpoint = _endpoint()
        url, _ = self._target(endpoint)
        name = self._name("verify", endpoint)
        body, headers = verify_body(self.session_token), {"content-type": "application/json"}
        with self.client.post(
            f"{url}/v1/verify", data=body.decode(), headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code == 200 and b'"active":true' not in (answer.content or b""):
                answer.failure("the token is not active")

    def _assume_role(self, endpoint: str) -> None:
        answer = self._signed("AssumeRole", endpoint, assume_role_body(Scene.role, f"user-{id(self):x}"))
        if answer is not None:
            self.session_token = session_token_of(answer)

    def _signed(self, operation: str, endpoint: str, body: bytes) -> bytes | None:
        """The body of a good answer, None for a failure, which locust has counted."""
        url, region = self._target(endpoint)
        headers = Signer(Scene.role.key, region, url).headers(body)
        answer = self.client.post(f"{url}/", data=body.decode(), headers=headers, name=self._name(operation, endpoint))
        return answer.content if answer.status_code == 200 else None

    def _target(self, endpoint: str) -> tuple[str, str]:
        """URL and signing region of an endpoint, seen from here."""
        if endpoint == "global":
            return self.place.global_url, GLOBAL_REGION
        region = self.place.region if self.place.region in self.place.regional else next(iter(self.place.regional))
        return self.place.regional[region], region

    def _name(self, operation: str, endpoint: str) -> str:
        return f"{operation} {endpoint} {self.place.name}"


def _endpoint() -> str:
    return random.choice(("global", "regional"))
