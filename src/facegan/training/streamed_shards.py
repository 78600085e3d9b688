"""Opens a streamed data set for all of a run where its files are spread over the hosts.

SageMaker's ShardedByS3Key gives each host some of the files, or none. Every process reads all
shards, each when its window comes: a host with shards gives them to whoever asks, over HTTP, so
that no host needs room for all. Nothing is agreed upon while reading, so the order stays a function
of the seed, and one process may read alone, as evaluation does.
"""

import hmac
import http.client
import io
import secrets
import shutil
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

from facegan.data.streamed import StreamedDataset, StreamedPixels
from facegan.errors import DatasetError
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.packed_shards import Part, agree, join_labels

ATTEMPTS, PAUSE_SECONDS, WAIT_SECONDS = 4, 0.5, 60.0
# Hosts of one run reach one another without a proxy.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_streamed(
    group: ProcessGroup, folder: Path, resolution: int, labels_from: str, told: list[Part | None]
) -> StreamedDataset:
    """The data set, in every process: shards that a host lacks come when they are read.

    The arguments and errors are ``open_packed``'s.
    """
    manifest, owners = agree(group, folder, resolution, told)
    if owners is None:
        return StreamedDataset(folder, resolution, labels_from)
    token = group.broadcast_json(secrets.token_hex(16) if group.is_main_process else None)
    server = None
    if group.is_local_main_process:
        names = {shard.file for shard in manifest.shards if owners[shard.file] == group.rank}
        server = ShardServer(folder, names, token)
    ports = group.gather_json(server.server_port if server else None)
    elsewhere = {
        name: f"http://{address_of(group.hosts[rank])}:{ports[rank]}/{token}/{name}"
        for name, rank in owners.items()
        if rank != group.local_main_rank
    }
    files = SpreadFiles(folder, elsewhere)
    numbers = join_labels(group, folder, manifest, owners)
    stream = StreamedPixels(folder, manifest, files.open)
    return StreamedDataset(folder, resolution, labels_from, stream, numbers)


def address_of(host: str) -> str:
    """A host's name on the network; of several by one name ``ProcessGroup`` says which."""
    return host.partition(" (")[0]


class SpreadFiles:
    """Files in a folder, and others that another host gives.

    Args:
        folder: The data set's.
        elsewhere: The addresses of those that are not in it.
    """

    def __init__(self, folder: Path, elsewhere: dict[str, str]) -> None:
        self.folder, self.elsewhere = folder, elsewhere

    def open(self, name: str) -> IO[bytes]:
        """A file's bytes, from wherever it is.

        Raises:
            DatasetError: the host that has it does not give it.
        """
        if name not in self.elsewhere:
            return (self.folder / name).open("rb")
        address = self.elsewhere[name]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with DIRECTLY.open(address, timeout=WAIT_SECONDS) as answer:
                    return io.BytesIO(answer.read())
            except (OSError, http.client.HTTPException) as cause:
                if attempt == ATTEMPTS:
                    host = address.split("/")[2]
                    raise DatasetError(
                        f"The shard {self.folder / name} is on {host}, which does not give it: "
                        f"{cause}.",
                        "Hosts of a run must reach one another on every port.",
                    ) from cause
                time.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")


class ShardServer(ThreadingHTTPServer):
    """Gives a host's shards to those who know the run's token, until the process ends.

    Args:
        folder: Where they lie.
        names: Which may be asked for.
        token: Said by who asks, in the path.
    """

    daemon_threads = True
    request_queue_size = 128  # every process of every host may ask at once

    def __init__(self, folder: Path, names: set[str], token: str) -> None:
        super().__init__(("", 0), GiveShard)
        self.folder, self.names, self.token = folder, names, token
        threading.Thread(target=self.serve_forever, name="facegan-shards", daemon=True).start()


class GiveShard(BaseHTTPRequestHandler):
    """Answers GET /TOKEN/NAME with the file."""

    server: ShardServer
    timeout = WAIT_SECONDS

    def do_GET(self) -> None:
        token, _, name = self.path.lstrip("/").partition("/")
        is_known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not is_known or name not in self.server.names:
            return self.send_error(404)
        try:
            file = (self.server.folder / name).open("rb")
        except OSError as cause:
            return self.send_error(404, str(cause.strerror))
        with file:
            self.send_response(200)
            self.send_header("Content-Length", str(file.seek(0, io.SEEK_END)))
            self.end_headers()
            file.seek(0)
            shutil.copyfileobj(file, self.wfile)
        return None

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: it would be a line a shard."""
