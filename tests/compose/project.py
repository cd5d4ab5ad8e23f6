"""The compose demo, started for a test on free ports under a name of its own, torn down with its volumes."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from typing import Any, Self

import docker
import httpx
from docker.models.containers import Container

from tests.compose.base_images import ROOT
from tests.harness.ports import free_ports

_FILES = ("--file", "compose.yaml", "--file", "compose.r-nacos.yaml")


class Project:
    """All services of compose.yaml, with r-nacos for Nacos."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._name = f"grayplane-test-{uuid.uuid4().hex[:8]}"
        ports = free_ports(7)
        names = (
            "EDGE_PORT",
            "HTTP_PORT",
            "XDS_PORT",
            "NACOS_PORT",
            "NACOS_GRPC_PORT",
            "NACOS_CONSOLE_PORT",
            "RNACOS_CONSOLE_PORT",
        )
        self._environment = dict(zip(names, map(str, ports), strict=True))
        self.edge, self.http, self.nacos = (
            f"http://127.0.0.1:{self._environment[name]}" for name in ("EDGE_PORT", "HTTP_PORT", "NACOS_PORT")
        )

    def __enter__(self) -> Self:
        try:
            self._compose("up", "--detach", "--build")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def container(self, service: str) -> Container:
        """Return the container of a service, running or not."""
        label = [f"com.docker.compose.project={self._name}", f"com.docker.compose.service={service}"]
        [found] = self._client.containers.list(all=True, filters={"label": label})
        return found

    def logs(self) -> str:
        """Return the last words of every container, for a test that failed."""
        label = f"com.docker.compose.project={self._name}"
        containers = self._client.containers.list(all=True, filters={"label": label})
        return "\n".join(
            f"---- {each.name} ({each.status})\n{each.logs(tail=30).decode(errors='replace')}"
            for each in containers
        )

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        """Send a request through the edge; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.get(f"{self.edge}{path}", headers={"host": "shop.example.com", **named}, trust_env=False)

    def document(self, name: str, group: str = "GRAY_GROUP") -> str:
        """Read a document as Nacos has it now."""
        parameters = {"dataId": name, "group": group, "tenant": ""}
        answer = httpx.get(f"{self.nacos}/nacos/v1/cs/configs", params=parameters, trust_env=False)
        return answer.raise_for_status().text

    def publish(self, name: str, content: str) -> None:
        """Publish a document, as its author does in the console."""
        form = {"dataId": name, "group": "GRAY_GROUP", "tenant": "", "content": content, "type": "yaml"}
        httpx.post(f"{self.nacos}/nacos/v1/cs/configs", data=form, trust_env=False).raise_for_status()

    def ready(self) -> Mapping[str, Any]:
        """Return what Grayplane says of itself."""
        said: dict[str, Any] = json.loads(httpx.get(f"{self.http}/ready", trust_env=False).text)
        return said

    def _compose(self, *arguments: str) -> None:
        command = [*_compose_command(), "--project-name", self._name, *_FILES, *arguments]
        # The classic builder: a stand-in of a base image is known to it alone.
        environment = {
            **os.environ,
            **self._environment,
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_DOCKER_CLI_BUILD": "0",
        }
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


def _compose_command() -> list[str]:
    """Compose as a plugin of the command line, or as the program that it used to be."""
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
    ):
        return plugin
    if program := shutil.which("docker-compose"):
        return [program]
    raise RuntimeError("neither `docker compose` nor `docker-compose` is installed")
