"""S3 in this process, on a loopback port; boto3 finds it as it finds any: in the environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


class Store:
    """One bucket, `shop`."""

    def __init__(self, client: Any) -> None:
        self.client = client
        httpx.post(f"{client.meta.endpoint_url}/moto-api/reset")  # it remembers what was before
        client.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": REGION})

    def objects(self) -> dict[str, bytes]:
        """What is in it, by key."""
        found = self.client.list_objects_v2(Bucket="shop").get("Contents", [])
        return {
            one["Key"]: self.client.get_object(Bucket="shop", Key=one["Key"])["Body"].read() for one in found
        }

    def unfinished(self) -> list[Any]:
        """Uploads that nobody completed."""
        return list(self.client.list_multipart_uploads(Bucket="shop").get("Uploads", []))


@contextlib.contextmanager
def storing() -> Iterator[Store]:
    """A store, and the environment that leads to it, until the end of the block."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    environ = {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            client = boto3.session.Session().client("s3")
            yield Store(client)
            client.close()
    finally:
        server.stop()
