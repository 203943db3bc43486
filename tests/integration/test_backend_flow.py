"""Contract: a sweep of the health monitor updates a status."""

from orchestrator.backends.manager import BackendManager
from orchestrator.backends.health_monitor import HealthMonitor
from orchestrator.backends.client import ComfyUIClient
from orchestrator.core.models.backend import BackendConfig


class StubClient(ComfyUIClient):
    async def health_check(self) -> bool:
        return True

    async def close(self) -> None:
        return None


def test_backend_flow_updates_status() -> None:
    manager = BackendManager()
    manager.register(BackendConfig(id="b1", name="PC1", host="127.0.0.1"))
    monitor = HealthMonitor(manager, lambda cfg: StubClient("http://127.0.0.1:8188"))
    import asyncio
    asyncio.run(monitor.run())
    assert manager.get_status("b1")
