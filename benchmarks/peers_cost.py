"""What one snapshot of a peer's cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU in seconds, from the kernel's accounting. What a peer does not have is 0."""

    target_seconds: float  # backends of the server that is watched
    store_seconds: float = 0.0  # the store's server, where that is another one: a backend, Prometheus
    client_seconds: float = 0.0  # the peer's own process
    wal_bytes: int = 0  # of PostgreSQL, wherever the peer stores

    @property
    def server_seconds(self) -> float:
        return self.target_seconds + self.store_seconds
