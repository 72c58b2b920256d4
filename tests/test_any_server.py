"""perf/collect.sh --pid: servers that are not forkkv are counted and explained alike."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from programs import needs

from forkkv.perf import probe
from forkkv.perf.proof.stage import Stage

NGINX = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "yes"; }} }}
}}
"""


@pytest.fixture(autouse=True)
def counted_by_perf() -> None:
    """Only the kernel can count them."""
    needs("perf")
    found = probe.probe(1)
    if isinstance(found, probe.Refusal):
        pytest.skip(f"perf cannot count here: {found.problem}")


def report(stage: Stage) -> dict[str, Any]:
    words = [sys.executable, "-m", "forkkv", "report", str(stage.out), "--format", "json"]
    return dict(json.loads(subprocess.run(words, capture_output=True, check=True).stdout))


def test_a_redis_server_is_counted_and_explained() -> None:
    needs("redis-server")
    with Stage() as stage:
        stage.redis()
        client = stage.client("mixed", "--ops", "997")
        stage.collect(client, seconds=2)
        built = report(stage)
    server = next(each for each in built["processes"] if each["role"] == "worker")
    assert server["process"].startswith("redis_server-")
    assert 997 <= server["calls"]["read"] <= 1100
    assert server["commands"] is None  # nobody counts them
    assert built["run"]["table"] is None
    assert any("commands are not counted there" in caveat for caveat in built["caveats"])
    observations = [row["observation"] for table in built["tables"] for row in table["rows"]]
    assert observations
    assert len(built["bottlenecks"]) > 10


def test_nginx_is_counted_with_its_workers(tmp_path: Path) -> None:
    needs("nginx")
    with Stage() as stage:
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(folder=tmp_path, port=stage.port))
        stage.server = stage.start(["nginx", "-e", "stderr", "-c", str(config)]).pid
        wait_until(stage.answers, "nginx")

        def ask() -> None:
            for _ in range(43):
                with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/") as reply:
                    assert reply.read() == b"yes"

        stage.collect(meanwhile=ask)
        built = report(stage)
    roles = [each["role"] for each in built["processes"]]
    assert roles.count("worker") >= 2 and roles.count("master") == 1
    accepted = sum(each["calls"]["accept4"] - each["failed"]["accept4"]
                   for each in built["processes"])  # fmt: skip
    assert accepted == 43
    assert built["findings"][0]["situation"] == "connection-churn"
