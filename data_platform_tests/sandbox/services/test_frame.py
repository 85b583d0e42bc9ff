"""The process of the services: started once, found again, stopped, and its errors on demand."""

from __future__ import annotations

import http.client
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from data_platform.errors import SandboxError
from data_platform.sandbox.environment import write_environment
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.services.process import Services
from data_platform.sandbox.services.registry import SERVICES, load
from data_platform_tests.conftest import SHOP_ORDERS

pytestmark = pytest.mark.slow
TOY = "data_platform_tests.sandbox.services.toy:SERVICE"
ANOTHER = "data_platform_tests.sandbox.services.toy:ANOTHER"
CONTROL = {"Sandbox-Control": "1"}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Without a database: nothing needs it until a request does."""
    home = tmp_path / "home"
    home.mkdir()
    services = Services(home, {"toy": TOY, "another": ANOTHER})
    yield services
    services.stop()


@pytest.fixture
def running(services: Services) -> Services:
    services.launch()
    services.wait()
    return services


def test_one_process_serves_all_each_on_its_port(running: Services) -> None:
    places = running.places()
    assert places["toy"].port != places["another"].port
    assert requests.get(f"{places['toy'].url}/ticks").json() == {"ticks": True}
    assert requests.get(f"{places['another'].url}/ticks").json() == {"ticks": False}


def test_it_is_found_again_and_keeps_ports_and_secrets(running: Services) -> None:
    again = Services(running.home, running.registry)
    pid = again.pid()
    assert pid is not None and pid == running.pid()
    again.launch()
    assert again.pid() == pid
    before = again.places()
    assert again.stop() and not again.stop()
    running.launch()
    running.wait()
    assert running.places() == before and running.pid() != pid


def test_a_changed_registry_is_served_anew(running: Services) -> None:
    toy = running.places()["toy"]
    fewer = Services(running.home, {"toy": TOY})
    fewer.launch()
    fewer.wait()
    assert fewer.places() == {"toy": toy}
    assert requests.get(f"{toy.url}/ticks").json() == {"ticks": True}


def test_a_killed_process_is_started_again(running: Services) -> None:
    assert running._process is not None
    running._process.kill()
    running._process.wait()
    assert running.pid() is None
    running.launch()
    running.wait()
    assert requests.get(f"{running.places()['toy'].url}/ticks").json() == {"ticks": True}


def test_a_port_that_is_taken_meanwhile_is_given_up(running: Services) -> None:
    import socket

    before = running.places()["toy"].port
    running.stop()
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", before))
        thief.listen()
        running.launch()
        running.wait()
        assert running.places()["toy"].port != before


def test_a_process_that_ends_while_starting_is_a_clear_error(services: Services) -> None:
    services.launch()
    assert services._process is not None
    services._process.kill()
    services._process.wait()
    with pytest.raises(SandboxError, match=r"do not answer .* log is .*services\.log"):
        services.wait()


def test_what_it_keeps_is_for_its_owner_alone(running: Services) -> None:
    for path in [running.folder, *running.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert "toy-key" not in repr(running.places())


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ({"status": 429, "headers": {"Retry-After": "2"}}, 429, '{"toy": "429"}'),
        ({"status": 500}, 500, '{"toy": "500"}'),
        ({"body": "<html>", "headers": {"Content-Type": "text/html"}}, 200, "<html>"),
        ({"delay_seconds": 0.01}, 200, '{"ticks":true}'),
    ],
)
def test_faults_meet_the_requests_they_are_meant_for(
    running: Services, fault: dict[str, object], status: int, body: str
) -> None:
    url = running.places()["toy"].url
    told = {**fault, "path": "/ticks", "skip": 1, "times": 2}
    assert requests.post(f"{url}/_sandbox/faults", json=told, headers=CONTROL).json()[0]["times"] == 2
    assert requests.get(f"{url}/nothing").status_code == 404
    answers = [requests.get(f"{url}/ticks") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, status, status, 200]
    assert answers[1].text == body
    assert answers[1].headers.get("Retry-After") == ("2" if status == 429 else None)
    assert requests.get(f"{url}/_sandbox/faults", headers=CONTROL).json() == []


@pytest.mark.parametrize("fault", ['{"half": true}', '{"drop": true}', '{"half": true, "status": 500}'])
def test_a_connection_can_end_in_the_middle(running: Services, fault: str) -> None:
    place = running.places()["toy"]
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
    connection.request("GET", "/ticks", headers={"Sandbox-Fault": fault})
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    assert requests.get(f"{place.url}/ticks").status_code == 200


def test_faults_are_told_by_whoever_means_it(running: Services) -> None:
    url = running.places()["toy"].url
    assert requests.post(f"{url}/_sandbox/faults", json={"status": 500}).status_code == 403
    wrong = requests.post(f"{url}/_sandbox/faults", json={"state": 500}, headers=CONTROL)
    assert wrong.status_code == 400 and "keys of" in wrong.text
    for _ in range(2):
        requests.post(f"{url}/_sandbox/faults", json={"status": 500, "times": 0}, headers=CONTROL)
    assert [requests.get(f"{url}/ticks").status_code for _ in range(3)] == [500] * 3
    assert requests.delete(f"{url}/_sandbox/faults", headers=CONTROL).json() == []
    assert requests.get(f"{url}/ticks").status_code == 200


def test_env_tells_clients_and_leaves_what_is_the_owners(running: Services, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nANOTHER_URL=https://api.example\nA=b=c\n")
    url = "postgresql://postgres:x@127.0.0.1:1/shop"
    notes = write_environment(tmp_path, url, running.variables())
    text = (tmp_path / ".env").read_text()
    assert f"TOY_URL={running.places()['toy'].url}\nTOY_KEY=toy-key\n" in text
    assert "# mine\nANOTHER_URL=https://api.example\nA=b=c\n" in text
    assert notes == [f"ANOTHER_URL in {tmp_path / '.env'} is your own, so ANOTHER_URL was left alone."]
    assert write_environment(tmp_path, url, running.variables()) == notes
    assert (tmp_path / ".env").read_text() == text
    (tmp_path / ".env").write_text("TOY_KEY=live\n")
    assert "TOY_KEY" in write_environment(tmp_path, url, running.variables())[0]
    assert "TOY_URL" not in (tmp_path / ".env").read_text()


def test_every_service_of_the_registry_is_what_it_says() -> None:
    for name, where in SERVICES.items():
        assert load(where).name == name


def test_a_service_reads_the_shop(services: Services, postgres: PostgresServer, shop_copy: str) -> None:
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {shop_copy.rpartition('/')[2]} RENAME TO shop".encode())
    try:
        for name in ("password", "port"):
            (services.home / name).write_text((postgres.home / name).read_text())
        services.launch()
        services.wait()
        for _ in range(2):
            with psycopg.connect(postgres.url("shop")) as connection:
                services.install(connection)
        url = f"{services.places()['toy'].url}/orders"
        assert requests.get(url).json() == {"orders": SHOP_ORDERS, "key": "toy-key"}
        with postgres.connect() as connection:
            assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'shop'").fetchone()
    finally:
        services.stop()
        postgres.drop_database("shop")
